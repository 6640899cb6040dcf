"""One meta-step of MACAW, its offline buffers, and its validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.models.macaw import AdvantageWeighting
from hyprepro.models.networks.advantage_weighting import MetaLearner, Transitions
from hyprepro.stages.training import Job, batch_of, device
from hyprepro.velocity.episodes import Episodes


@dataclass(frozen=True)
class Buffer:
    """The transitions of one velocity, those of early checkpoints first.

    Attributes:
        columns: states, actions, returns, last states and discounts, as in `Transitions`, `[N, ...]` each.
    """

    columns: tuple[Tensor, ...]

    @classmethod
    def of(cls, episodes: Episodes, settings: AdvantageWeighting) -> Buffer:
        """Every `skip`-th transition of some episodes.

        Raises:
            UserError: There are fewer than a batch.
        """
        count, horizon = len(episodes), episodes.horizon
        left = torch.arange(horizon, 0, -1, dtype=torch.float32).expand(count, -1)
        columns = (
            torch.from_numpy(episodes.observations[:, :-1]).flatten(0, 1),
            torch.from_numpy(episodes.actions).flatten(0, 1),
            torch.from_numpy(episodes.to_go(settings.discount)).flatten() / settings.return_scale,
            torch.from_numpy(episodes.observations[:, -1]).repeat_interleave(horizon, dim=0),
            (settings.discount**left).flatten(),
        )
        kept = tuple(column[:: settings.skip].contiguous().to(device()) for column in columns)
        if len(kept[0]) < settings.batch_size:
            raise UserError(
                f"A buffer holds {count} episodes, of which every {settings.skip}-th transition makes {len(kept[0])}: "
                f"fewer than a batch of {settings.batch_size}.",
                where="AdvantageWeighting.batch_size",
                fix="bind AdvantageWeighting.skip or batch_size to less, or use a store with more episodes",
            )
        return cls(kept)

    def __len__(self) -> int:
        return len(self.columns[0])

    def rows(self, size: int, contiguous: bool = False) -> Tensor:
        """Row numbers of `size` random transitions, or of successive ones."""
        if not contiguous:
            return batch_of(len(self), size)
        return torch.randint(len(self) - size + 1, ()) + torch.arange(size)


def gathered(buffers: Sequence[Buffer], rows: Sequence[Tensor]) -> Transitions:
    """The transitions `rows[t]` `[B]` of each buffer t."""
    picked = [
        [column[chosen.to(column.device)] for column in buffer.columns]
        for buffer, chosen in zip(buffers, rows, strict=True)
    ]
    return Transitions(*(torch.stack(column) for column in zip(*picked, strict=True)))


class MACAWJob(Job):
    """Meta-steps on random training velocities.

    Args:
        model: The untrained networks.
        episodes: Training episodes of each velocity: the offline buffers.
        experts: Expert episodes of each velocity, for validation.
    """

    def __init__(self, model: MetaLearner, episodes: Sequence[Episodes], experts: Sequence[Episodes]) -> None:
        self._settings = settings = model.settings
        self._model = model.to(device())
        self._buffers = [Buffer.of(each, settings) for each in episodes]
        self._experts = [
            (torch.from_numpy(each.observations[:, :-1]).flatten(0, 1), torch.from_numpy(each.actions).flatten(0, 1))
            for each in experts
        ]
        self.modules = {"learner": self._model}
        self.optimisers = settings.optimisers(model.actor, model.value)

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One meta-step."""
        settings, model = self._settings, self._model
        chosen = [self._buffers[int(i)] for i in batch_of(len(self._buffers), settings.tasks)]
        inner = gathered(chosen, [each.rows(settings.batch_size, settings.contiguous) for each in chosen])
        outer = gathered(chosen, [each.rows(settings.batch_size) for each in chosen])
        adapted = model.adapt(inner, differentiable=True)
        value_loss = model.value_loss(adapted.value, outer, model.targets(adapted.value, outer)).mean()
        actor_loss = model.actor_loss(adapted.actor, adapted.value, outer).mean()
        (value_loss + actor_loss).backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return {
            "value_loss": value_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "inner_value_loss": adapted.value_loss,
            "inner_actor_loss": adapted.actor_loss,
        }

    def validate(self) -> dict[str, float]:
        """Losses on fixed batches of all training velocities, before and after the inner step."""
        model, size = self._model, self._settings.batch_size
        with torch.random.fork_rng():
            torch.manual_seed(0)
            inner = gathered(self._buffers, [each.rows(size) for each in self._buffers])
            outer = gathered(self._buffers, [each.rows(size) for each in self._buffers])
            rows = [batch_of(len(states), size) for states, _ in self._experts]
        states, actions = (
            torch.stack([part[i][chosen] for part, chosen in zip(self._experts, rows, strict=True)]).to(device())
            for i in (0, 1)
        )
        with torch.enable_grad():
            adapted = model.adapt(inner)
        before = model.actor.mean(model.actor.weights(len(states)), states)
        after = model.actor.mean(adapted.actor, states)
        return {
            "validation_value_loss": float(
                model.value_loss(adapted.value, outer, model.targets(adapted.value, outer)).mean()
            ),
            "validation_error_before": float((before - actions).square().mean()),
            "validation_error": float((after - actions).square().mean()),
        }

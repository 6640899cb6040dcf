"""One meta-step of MACAW, its offline buffers and validation, and its fine-tuning in the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyprepro.domains.base import Domain, Simulator, Start
from hyprepro.engine.training import Job, batch_of, device
from hyprepro.errors import UserError
from hyprepro.methods.macaw.learner import MetaLearner, Transitions, Weights
from hyprepro.methods.macaw.method import AdvantageWeighting
from hyprepro.stores.episodes import Episodes

if TYPE_CHECKING:
    from hyprepro.methods.macaw.method import MACAWOnline


@dataclass(frozen=True)
class Buffer:
    """The transitions of one task, those of early checkpoints first.

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
    """Meta-steps on random training tasks.

    Args:
        settings: The networks and how they are meta-trained.
        shape: Sizes of states and actions.
        episodes: Training episodes of each task: the offline buffers.
        experts: Expert episodes of each task, for validation.
    """

    def __init__(
        self,
        settings: AdvantageWeighting,
        shape: tuple[int, int],
        episodes: Sequence[Episodes],
        experts: Sequence[Episodes],
    ) -> None:
        self._settings, self.shape = settings, shape
        self._model = self.kept = settings.build(*shape).to(device())
        self._buffers = [Buffer.of(each, settings) for each in episodes]
        self._experts = [
            (torch.from_numpy(each.observations[:, :-1]).flatten(0, 1), torch.from_numpy(each.actions).flatten(0, 1))
            for each in experts
        ]
        self.modules = {"learner": self._model}
        self.optimisers = settings.optimisers(self._model.actor, self._model.value)

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
        """Losses on fixed batches of all training tasks, before and after the inner step."""
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


FIRST_START = 2_000_000
"""Seeds of starts from here on: collection's, none of an evaluation."""


def fine_tuned(
    method: MACAWOnline, model: MetaLearner, actor: Weights, value: Weights, domain: Domain, task: str
) -> Weights:
    """The actors' weights `[n, P]` after `environment_steps` each, with random draws from torch's global generator.

    Args:
        method: Its settings.
        model: The networks.
        actor: The actors' weights; left as they are.
        value: The value functions' weights; left as they are.
        domain: What the task is of.
        task: The task.
    """
    actor, value = ([part.detach().clone().requires_grad_() for part in each] for each in (actor, value))
    optimisers = [torch.optim.Adam(part, lr=method.tuning_rate, fused=True) for part in (value, actor)]
    simulator = domain.simulator(task, len(actor[0]))
    buffers: list[Buffer] = []
    for episode in range(method.environment_steps // domain.horizon):
        fresh = _episodes(model, actor, simulator, episode, domain.horizon)
        buffers = [_joined(*pair) for pair in zip(buffers, _buffers(fresh, method), strict=True)] if buffers else (
            _buffers(fresh, method)
        )  # fmt: skip
        if episode < method.burn_in:
            continue
        for _ in range(method.value_updates):
            batch = _batch(buffers, method)
            _descend(optimisers[0], model.value_loss(value, batch, batch.returns).sum())
        for _ in range(method.actor_updates):
            _descend(optimisers[1], model.actor_loss(actor, value, _batch(buffers, method)).sum())
    return [part.detach() for part in actor]


@torch.no_grad()
def _episodes(model: MetaLearner, actor: Weights, simulator: Simulator, number: int, horizon: int) -> list[Episodes]:
    """One episode of each actor with its noise."""
    slots, first = range(len(actor[0])), FIRST_START + number * len(actor[0])
    states = [np.stack([simulator.reset(slot, Start("fresh", first + slot)) for slot in slots])]
    taken, rewards = [], []
    for _ in range(horizon):
        mean = model.actor.mean(actor, torch.from_numpy(states[-1].astype(np.float32))[:, None])[:, 0]
        noisy = mean + model.settings.deviation * torch.randn_like(mean)
        actions = noisy.clamp(-1.0, 1.0).cpu().numpy()
        stepped = simulator.step(actions, slots)
        states.append(stepped.observations.copy())
        taken.append(actions)
        rewards.append(np.zeros(len(slots)) if stepped.rewards is None else stepped.rewards)
    parts = (np.stack(each, axis=1).astype(np.float32) for each in (states, taken, rewards))
    return [Episodes(*(part[None] for part in each)) for each in zip(*parts, strict=True)]


def _buffers(episodes: list[Episodes], method: MACAWOnline) -> list[Buffer]:
    return [Buffer.of(each, method.learner.model_copy(update={"skip": 1, "batch_size": 2})) for each in episodes]


def _joined(old: Buffer, new: Buffer) -> Buffer:
    return Buffer(tuple(torch.cat(pair) for pair in zip(old.columns, new.columns, strict=True)))


def _batch(buffers: list[Buffer], method: MACAWOnline) -> Transitions:
    return gathered(buffers, [each.rows(method.learner.batch_size) for each in buffers])


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()

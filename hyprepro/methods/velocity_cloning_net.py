"""The velocity-conditioned policy and one training step of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hyprepro.domains.cheetah_vel.tasks import task_velocity
from hyprepro.engine.training import Job, device
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.conditions import condition
from hyprepro.policies.forward import Weights, unstandardised
from hyprepro.stores.training_data import training_tasks

if TYPE_CHECKING:
    from hyprepro.methods.velocity_cloning import VelocityCloning
    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles

HELD_OUT = 10
"""Every so many pairs one is held out."""


class Pairs(NamedTuple):
    """Observations `[N, obs]`, velocities `[N]` in m/s, actions `[N, act]`."""

    observations: Tensor
    velocities: Tensor
    actions: Tensor

    def of(self, rows: Tensor) -> Pairs:
        """Some of them."""
        return Pairs(*(part[rows] for part in self))

    def to(self, where: torch.device) -> Pairs:
        """The same on a device."""
        return Pairs(*(part.to(where) for part in self))


class ConditionedPolicy(nn.Module):
    """tanh of an MLP of standardised observation and velocity, with the hidden layers of a layout.

    Args:
        layout: The layout of the policies that it folds into; its activations are ReLU.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layout: PolicyLayout) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("mean", torch.zeros(layout.observation_size))
        self.register_buffer("deviation", torch.ones(layout.observation_size))
        self.linear1 = nn.Linear(layout.observation_size + 1, layout.hidden)
        self.linear2 = nn.Linear(layout.hidden, layout.hidden)
        self.head = nn.Linear(layout.hidden, layout.action_size)

    def forward(self, observations: Tensor, velocities: Tensor) -> Tensor:
        """Actions `[N, act]` for observations `[N, obs]` and velocities `[N]` in m/s."""
        x = torch.cat([(observations - self.mean) / self.deviation, condition(velocities)[0]], dim=1)
        return torch.tanh(self.head(torch.relu(self.linear2(torch.relu(self.linear1(x))))))

    def folded(self, velocity: float) -> Tensor:
        """The ordinary policy `[P]` for one velocity; its log-std head is zero."""
        with torch.no_grad():
            h = condition(torch.tensor([velocity]))[0][0]
            weights: Weights = {
                "linear1.weight": self.linear1.weight[None, :, :-1],
                "linear1.bias": (self.linear1.bias + self.linear1.weight[:, -1] * h)[None],
            }
            parts = unstandardised(weights, self.mean[None, None], self.deviation[None, None])
            parts |= {"linear2.weight": self.linear2.weight[None], "linear2.bias": self.linear2.bias[None]}
            parts |= {"mean.weight": self.head.weight[None], "mean.bias": self.head.bias[None]}
            flat = [parts.get(spec.name, torch.zeros(1, *spec.shape)).reshape(-1) for spec in self.layout.layers]
            return torch.cat(flat)


class CloningJob(Job):
    """Steps on the mean squared error of actions.

    Args:
        settings: The method's settings.
        pairs: All pairs.
    """

    def __init__(self, settings: VelocityCloning, pairs: Pairs) -> None:
        from hyprepro.policies.layout import CHEETAH_LAYOUT

        self._settings = settings
        held_out = torch.arange(len(pairs.observations)) % HELD_OUT == HELD_OUT - 1
        self._pairs, self._held_out = pairs.of(~held_out).to(device()), pairs.of(held_out).to(device())
        policy = ConditionedPolicy(CHEETAH_LAYOUT).to(device())
        policy.mean.copy_(self._pairs.observations.mean(0))
        policy.deviation.copy_(self._pairs.observations.std(0, correction=0).clamp_min(settings.deviation_floor))
        self._policy = policy
        self._optimiser = settings.optimiser(policy.parameters())
        self.modules = {"policy": policy}
        self.optimisers = {"policy": self._optimiser}

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One batch, drawn with repetition."""
        count = len(self._pairs.observations)
        rows = torch.randint(count, (min(self._settings.batch_size, count),)).to(self._pairs.actions.device)
        pairs = self._pairs.of(rows)
        noise = self._settings.input_noise * torch.randn(pairs.observations.shape)
        shaken = pairs.observations + noise.to(pairs.observations.device) * self._policy.deviation
        loss = self._error(pairs._replace(observations=shaken))
        loss.backward()  # type: ignore[no-untyped-call]
        self._settings.update(self._optimiser, step)
        return {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        """The error on held-out pairs."""
        return {"validation_error": float(self._error(self._held_out))}

    def _error(self, pairs: Pairs) -> Tensor:
        error: Tensor = (self._policy(pairs.observations, pairs.velocities) - pairs.actions).square().mean()
        return error


def read_pairs(data: StoreFiles, episodes: str) -> Pairs:
    """All pairs of observation and action in the training velocities' episodes.

    Args:
        data: The stores; the policy store says what the training velocities are.
        episodes: "expert" (split validation), "offline" (split train) or "both".

    Raises:
        UserError: A training velocity has no such episode.
    """
    splits = {"expert": ["validation"], "offline": ["train"]}.get(episodes, ["validation", "train"])
    observations, velocities, actions = [], [], []
    with data.open_policies() as policies, data.open_trajectories() as store:
        for task in training_tasks(policies):
            found = [episode for split in splits for episode in store.episodes(task, split)]
            if not found:
                raise UserError(
                    f"The store has no episode of {task} in the split {' or '.join(splits)}.",
                    where=store.where,
                    fix=f"hyprepro store info {store.where}",
                )
            for episode in found:
                observations.append(episode.observations[:-1])
                actions.append(episode.actions)
                velocities.append(np.full(len(episode.actions), task_velocity(task), dtype=np.float32))
    return Pairs(*(torch.from_numpy(np.concatenate(each)) for each in (observations, velocities, actions)))

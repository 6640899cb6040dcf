"""Soft actor-critic for many agents at once: the reference implementation's algorithm on stacked tensors.

One update of `A` agents is a handful of batched matrix products and one fused Adam step per kind of network; agents
never mix. Algorithm, order of the sub-steps, losses and initialisation are those of stable-baselines3's `SAC.train`
(twin critics, squashed Gaussian, learned temperature), which a parity test compares loss by loss and gradient by
gradient. Two additions can be switched on for fine-tuning a clone: the actor's loss divided by the mean |Q| of its
batch, and a behaviour-cloning term (Fujimoto & Gu 2021).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collectors.collection import SACSettings
from hyprepro.collectors.mlp import StackedMLP, Weights
from hyprepro.collectors.networks import Parameters, actor_forward, actor_sizes, critic_sizes, mlp_parameters
from hyprepro.collectors.replay import Replay
from hyprepro.collectors.update import Batch, Losses, SACUpdate
from hyprepro.policies.layout import PolicyLayout

__all__ = ["Batch", "Replay", "StackedSAC"]

_CACHE_BYTES = 2**21
"""Largest activation of a part of the stack on a CPU, so that what a part works on stays in the core's cache."""


class StackedSAC:
    """A agents' networks, temperatures and optimisers.

    Args:
        settings: Hyperparameters.
        layout: The actors' layout; critics have the same width.
        agents: A.
        generator: Randomness of the initial weights (a CPU generator).
        actor: Initial actors; `torch.nn.Linear`'s default if None.
        device: Where networks and updates live.

    Attributes:
        actor, critic, target: Parameters by name, views of what is trained, gradients included. Agent a's two critics
            are rows 2a and 2a + 1.
        log_alpha: Logarithm of the temperatures `[A]`.
    """

    def __init__(
        self,
        settings: SACSettings,
        layout: PolicyLayout,
        agents: int,
        generator: torch.Generator,
        actor: Parameters | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.settings, self.layout, self.agents, self.device = settings, layout, agents, torch.device(device)
        start = actor if actor is not None else mlp_parameters(actor_sizes(layout), agents, generator)
        critic = mlp_parameters(critic_sizes(layout), 2 * agents, generator)
        self._actor = Weights(start, ("mean", "log_std"), self.device)
        self._critic, self._target = (Weights(critic, ("value",), self.device) for _ in range(2))
        self.actor, self.critic, self.target = self._actor.named, self._critic.named, self._target.named
        self.log_alpha = torch.full((agents,), math.log(settings.initial_temperature), device=self.device)
        self.log_alpha.grad = torch.zeros_like(self.log_alpha)
        trained = ([*self._actor.tensors(), self.log_alpha], self._critic.tensors())
        self._moments = [[torch.zeros((2, *tensor.shape), device=self.device) for tensor in some] for some in trained]
        size = self._part_size()
        self._parts = [self._part(low, min(low + size, agents)) for low in range(0, agents, size)]

    @property
    def parts(self) -> list[SACUpdate]:
        """The updates of the parts of the stack, one after the other."""
        return [part for _, _, part, _ in self._parts]

    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """Sampled actions `[A, action]` for observations `[A, obs]` and standard normal noise `[A, action]`."""
        with torch.inference_mode():
            mean, log_std = actor_forward(self.actor, observations.to(self.device).unsqueeze(1))
            actions = torch.tanh(mean[:, 0] + log_std[:, 0].exp() * noise.to(self.device))
            return actions.cpu().numpy()

    @torch.no_grad()
    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        """One gradient step of temperature, critics and actor, in stable-baselines3's order, then the Polyak step.

        Args:
            batch: Transitions.
            noise: Standard normal draws `[A, B, action]` for the actions at s.
            next_noise: The same for the actions at s'.
            train_actor: False trains the critics alone (and leaves actor and temperature as they are).

        Returns:
            Losses by name, each `[A]`.
        """
        found = [
            part(batch.part(low, high), noise[low:high], next_noise[low:high], train_actor)
            for low, high, part, _ in self._parts
        ]
        return {name: torch.cat([getattr(losses, name) for losses in found]) for name in Losses._fields}

    def tensors(self) -> list[Tensor]:
        """All that an update changes: networks, temperatures, moments and step counts of the optimisers."""
        weights = [t for each in (self._actor, self._critic, self._target) for t in each.tensors()]
        moments = [t for each in self._moments for t in each]
        steps = [t for _, _, _, optimisers in self._parts for each in optimisers for t in _steps(each)]
        return [*weights, self.log_alpha, *moments, *steps]

    def state(self) -> dict[str, Any]:
        """Everything a checkpoint needs."""
        return {"tensors": self.tensors()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put a checkpoint's values back in place."""
        for mine, theirs in zip(self.tensors(), state["tensors"], strict=True):
            mine.copy_(theirs)
        for part in self.parts:
            for network in (part.actor, part.critic, part.target):
                network.refresh()

    def _part_size(self) -> int:
        """Agents that are updated together: all on an accelerator, as many as the cache holds on a CPU."""
        if self.device.type != "cpu":
            return self.agents
        each = 2 * self.layout.hidden * self.settings.batch_size * 4
        return max(1, min(self.agents, _CACHE_BYTES // each))

    def _part(self, low: int, high: int) -> _Part:
        """The update of agents `low` to `high`, on views of their tensors."""
        log_alpha = self.log_alpha[low:high]
        log_alpha.grad = None if self.log_alpha.grad is None else self.log_alpha.grad[low:high]
        dtype = getattr(torch, self.settings.products)
        actor, critic, target = (
            StackedMLP(weights, each * low, each * high, each, dtype)
            for weights, each in ((self._actor, 1), (self._critic, 2), (self._target, 2))
        )
        actor_moments = [moments[:, low:high] for moments in self._moments[0]]
        critic_moments = [moments[:, 2 * low : 2 * high] for moments in self._moments[1]]
        of_actor = self._optimiser([*actor.parameters, log_alpha], actor_moments)
        of_critic = self._optimiser(critic.parameters, critic_moments)
        update = SACUpdate(self.settings, actor, critic, target, log_alpha, of_actor.step, of_critic.step)
        return low, high, update, (of_actor, of_critic)

    def _optimiser(self, parameters: list[Tensor], moments: list[Tensor]) -> torch.optim.Adam:
        """Adam whose state lies where the stack keeps it, and is there from the start."""
        on_gpu = self.device.type == "cuda"
        optimiser = torch.optim.Adam(parameters, lr=self.settings.learning_rate, fused=True, capturable=on_gpu)
        for parameter, (average, square) in zip(parameters, moments, strict=True):
            step = torch.zeros((), device=self.device)
            optimiser.state[parameter] = {"step": step, "exp_avg": average, "exp_avg_sq": square}
        return optimiser


_Part = tuple[int, int, SACUpdate, tuple[torch.optim.Adam, torch.optim.Adam]]


def _steps(optimiser: torch.optim.Adam) -> list[Tensor]:
    return [optimiser.state[parameter]["step"] for parameter in optimiser.param_groups[0]["params"]]

"""Soft actor-critic for many agents at once: the reference implementation's algorithm on stacked tensors.

One update of `A` agents is a handful of batched matrix products and one fused Adam step per kind of network; agents
never mix. Algorithm, order of the sub-steps, losses and initialisation are those of stable-baselines3's `SAC.train`
(twin critics, squashed Gaussian, learned temperature), which a parity test compares loss by loss and gradient by
gradient. Two additions can be switched on for fine-tuning a clone: the actor's loss divided by the mean |Q| of its
batch, and a behaviour-cloning term (Fujimoto & Gu 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collectors.collection import SACSettings
from hyprepro.collectors.networks import (
    Parameters,
    actor_forward,
    actor_sizes,
    critic_forward,
    critic_sizes,
    mlp_parameters,
)
from hyprepro.policies.layout import PolicyLayout

_TANH_EPSILON = 1e-6  # stable-baselines3's SquashedDiagGaussianDistribution


@dataclass
class Batch:
    """Transitions for one update of A agents with B each, float32.

    Attributes:
        observations, next_observations: `[A, B, obs]`.
        actions: `[A, B, action]` in [-1, 1].
        rewards: `[A, B]`.
        dones: `[A, B]`, 1 where the episode ended in a terminal state (a time limit is not one).
        expert_actions: `[A, B, action]`, what the expert would do; only read when the cloning weight is positive.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    dones: Tensor
    expert_actions: Tensor


class Replay:
    """The last `capacity` transitions of each of A agents, all filled in step."""

    def __init__(self, agents: int, capacity: int, observation_size: int, action_size: int) -> None:
        def room(*shape: int) -> NDArray[np.float32]:
            return np.zeros((capacity, agents, *shape), dtype=np.float32)

        self.fields = {
            "observations": room(observation_size),
            "actions": room(action_size),
            "rewards": room(),
            "next_observations": room(observation_size),
            "dones": room(),
            "expert_actions": room(action_size),
        }
        self.capacity, self.agents = capacity, agents
        self.added = 0

    def add(self, **transition: NDArray[np.floating[Any]]) -> None:
        """One transition of every agent: each field `[A, ...]`."""
        at = self.added % self.capacity
        for name, field in self.fields.items():
            field[at] = transition[name]
        self.added += 1

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Uniform transitions with replacement, independently for each agent."""
        rows = rng.integers(min(self.added, self.capacity), size=(self.agents, batch_size))
        agents = np.arange(self.agents)[:, None]
        return Batch(**{name: torch.from_numpy(field[rows, agents]) for name, field in self.fields.items()})

    def state(self) -> dict[str, Tensor]:
        """The filled part, for a checkpoint."""
        filled = min(self.added, self.capacity)
        return {name: torch.from_numpy(field[:filled]) for name, field in self.fields.items()}

    def restore(self, state: dict[str, Tensor], added: int) -> None:
        """Put a checkpoint's transitions back."""
        for name, tensor in state.items():
            self.fields[name][: len(tensor)] = tensor.numpy()
        self.added = added


class StackedSAC:
    """A agents' networks, temperatures and optimisers.

    Args:
        settings: Hyperparameters.
        layout: The actors' layout; critics have the same width.
        agents: A.
        generator: Randomness of the initial weights.
        actor: Initial actors; `torch.nn.Linear`'s default if None.
    """

    def __init__(
        self,
        settings: SACSettings,
        layout: PolicyLayout,
        agents: int,
        generator: torch.Generator,
        actor: Parameters | None = None,
    ) -> None:
        self.settings, self.layout, self.agents = settings, layout, agents
        start = actor if actor is not None else mlp_parameters(actor_sizes(layout), agents, generator)
        self.actor = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
        # Agent a's two critics are rows 2a and 2a + 1.
        self.critic = mlp_parameters(critic_sizes(layout), 2 * agents, generator)
        self.target = {name: tensor.clone() for name, tensor in self.critic.items()}
        for tensor in self.critic.values():
            tensor.requires_grad_()
        self.log_alpha = torch.full((agents,), math.log(settings.initial_temperature), requires_grad=True)
        self.target_entropy = -float(layout.action_size)
        self.actor_optimiser, self.critic_optimiser, self.alpha_optimiser = (
            torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
            for parameters in (list(self.actor.values()), list(self.critic.values()), [self.log_alpha])
        )

    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """Sampled actions `[A, action]` for observations `[A, obs]` and standard normal noise `[A, action]`."""
        with torch.inference_mode():
            mean, log_std = actor_forward(self.actor, observations.unsqueeze(1))
            return torch.tanh(mean[:, 0] + log_std[:, 0].exp() * noise).numpy()

    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        """One gradient step of temperature, critics and actor, in stable-baselines3's order, then the Polyak step.

        Args:
            batch: Transitions.
            noise: Standard normal draws `[A, B, action]` for the actions at s.
            next_noise: The same for the actions at s'.
            train_actor: False trains the critics alone (and leaves actor and temperature as they are).

        Returns:
            Losses by name, each `[A]`, detached.
        """
        actions, log_prob, mean = self._sample(batch.observations, noise)
        alpha = self.log_alpha.detach().exp()
        alpha_loss = -(self.log_alpha * (log_prob.detach() + self.target_entropy).mean(1))
        if train_actor:
            _step(self.alpha_optimiser, alpha_loss.sum())
        critic_loss = self.critic_loss(batch, next_noise, alpha)
        _step(self.critic_optimiser, critic_loss.sum())
        actor_loss = self.actor_loss(batch, actions, log_prob, mean, alpha)
        if train_actor:
            _step(self.actor_optimiser, actor_loss.sum())
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.values()), list(self.critic.values()), self.settings.polyak)
        losses = {
            "actor_loss": actor_loss,
            "critic_loss": critic_loss,
            "temperature_loss": alpha_loss,
            "temperature": alpha,
        }
        return {name: value.detach() for name, value in losses.items()}

    def critic_loss(self, batch: Batch, next_noise: Tensor, alpha: Tensor) -> Tensor:
        """Half the summed squared Bellman errors of both critics, `[A]`."""
        with torch.no_grad():
            next_actions, next_log_prob, _ = self._sample(batch.next_observations, next_noise)
            next_value = self._values(self.target, batch.next_observations, next_actions).amin(1)
            next_value = next_value - alpha[:, None] * next_log_prob
            wanted = batch.rewards + (1.0 - batch.dones) * self.settings.discount * next_value
        values = self._values(self.critic, batch.observations, batch.actions)
        return 0.5 * ((values - wanted[:, None]) ** 2).mean(2).sum(1)

    def actor_loss(self, batch: Batch, actions: Tensor, log_prob: Tensor, mean: Tensor, alpha: Tensor) -> Tensor:
        """E[alpha log pi - min Q], normalised and joined by the cloning term where switched on, `[A]`."""
        frozen = {name: tensor.detach() for name, tensor in self.critic.items()}
        value = self._values(frozen, batch.observations, actions).amin(1)
        loss = (alpha[:, None] * log_prob - value).mean(1)
        if self.settings.normalise_q:
            loss = loss / value.detach().abs().mean(1).clamp_min(1e-3)
        if self.settings.cloning_weight:
            distance = ((torch.tanh(mean) - batch.expert_actions) ** 2).mean((1, 2))
            loss = loss + self.settings.cloning_weight * distance
        return loss

    def _sample(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reparameterised actions `[A, B, action]`, their log probability `[A, B]`, and the mean before the tanh."""
        mean, log_std = actor_forward(self.actor, observations)
        actions = torch.tanh(mean + log_std.exp() * noise)
        normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2.0 * math.pi)
        return actions, (normal - torch.log(1.0 - actions**2 + _TANH_EPSILON)).sum(2), mean

    def _values(self, critic: Parameters, observations: Tensor, actions: Tensor) -> Tensor:
        """Both critics' values `[A, 2, B]`."""
        inputs = torch.cat((observations, actions), 2).repeat_interleave(2, dim=0)
        return critic_forward(critic, inputs).view(self.agents, 2, -1)

    def state(self) -> dict[str, Any]:
        """Everything a checkpoint needs: networks, temperatures, optimisers."""
        return {
            "actor": {name: t.detach() for name, t in self.actor.items()},
            "critic": {name: t.detach() for name, t in self.critic.items()},
            "target": self.target,
            "log_alpha": self.log_alpha.detach(),
            "optimisers": [o.state_dict() for o in self._optimisers()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put a checkpoint's values back in place."""
        with torch.no_grad():
            for mine, theirs in (
                (self.actor, state["actor"]),
                (self.critic, state["critic"]),
                (self.target, state["target"]),
            ):
                for name, tensor in mine.items():
                    tensor.copy_(theirs[name])
            self.log_alpha.copy_(state["log_alpha"])
        for optimiser, saved in zip(self._optimisers(), state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def _optimisers(self) -> tuple[torch.optim.Adam, ...]:
        return self.actor_optimiser, self.critic_optimiser, self.alpha_optimiser


def _step(optimiser: torch.optim.Adam, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()

"""Multi-task SAC on CARE's networks: the stacked collector's losses and order of sub-steps, by autograd.

The stacked collector's hand-written gradients are those of plain MLPs, one an agent; here tasks share networks.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from hyprepro.collectors.collection import SACSettings
from hyprepro.collectors.update import Batch
from hyprepro.methods.care.network import CareActor, CareCritic
from hyprepro.policies.layout import METAWORLD_LAYOUT

_ENCODER = "encoder."
_TANH_EPSILON = 1e-6  # stable-baselines3's SquashedDiagGaussianDistribution


class CareSAC:
    """SAC for A tasks with one actor, one pair of critics, and a temperature a task.

    Losses are one a task, `[A]`; their sum is descended.

    Args:
        settings: Hyperparameters; the batch is that of one task.
        actor: The actor; its encoder's weights are unused when tied.
        critic: The critics.
        embeddings: Vectors of the tasks' descriptions `[A, E]`.
        tied: Whether the actor sees through the critics' encoder, without training it.
    """

    def __init__(
        self, settings: SACSettings, actor: CareActor, critic: CareCritic, embeddings: Tensor, tied: bool
    ) -> None:
        self.settings, self.agents = settings, len(embeddings)
        self._actor_network, self._critic_network = actor, critic
        self._embeddings, self._tied = embeddings, tied
        self.actor = _parameters(actor, without=_ENCODER if tied else None)
        self.critic = _parameters(critic)
        self.target = {name: tensor.detach().clone() for name, tensor in self.critic.items()}
        self.log_alpha = torch.full((self.agents,), math.log(settings.initial_temperature), requires_grad=True)
        self.target_entropy = -float(METAWORLD_LAYOUT.action_size)
        self.actor_optimiser, self.critic_optimiser, self.alpha_optimiser = (
            torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
            for parameters in (list(self.actor.values()), list(self.critic.values()), [self.log_alpha])
        )

    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """Actions `[A, action]` for observations `[A, obs]` and standard normal noise `[A, action]`; zero: the mode."""
        with torch.inference_mode():
            mean, log_std = self._policy(observations.unsqueeze(1))
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

    def trained_actor(self) -> CareActor:
        """The actor with the encoder that it sees through."""
        with torch.no_grad():
            for name, tensor in self._actor_network.named_parameters():
                tensor.copy_(self._actor_parameters()[name])
        return self._actor_network

    def _policy(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        found = functional_call(self._actor_network, self._actor_parameters(), (observations, self._embeddings))
        return cast(tuple[Tensor, Tensor], found)

    def _actor_parameters(self) -> dict[str, Tensor]:
        if not self._tied:
            return self.actor
        shared = {name: tensor.detach() for name, tensor in self.critic.items() if name.startswith(_ENCODER)}
        return {**self.actor, **shared}

    def _sample(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_std = self._policy(observations)
        actions = torch.tanh(mean + log_std.exp() * noise)
        normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2.0 * math.pi)
        return actions, (normal - torch.log(1.0 - actions**2 + _TANH_EPSILON)).sum(2), mean

    def _values(self, critic: dict[str, Tensor], observations: Tensor, actions: Tensor) -> Tensor:
        found = functional_call(self._critic_network, critic, (observations, actions, self._embeddings))
        return cast(Tensor, found)


def _parameters(network: nn.Module, without: str | None = None) -> dict[str, Tensor]:
    return {
        name: tensor for name, tensor in network.named_parameters() if without is None or not name.startswith(without)
    }


def _step(optimiser: torch.optim.Adam, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()

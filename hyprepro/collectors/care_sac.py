"""Multi-task SAC on CARE's networks: the stacked collector's losses and updates, with networks that tasks share."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from hyprepro.collectors.collection import SACSettings
from hyprepro.collectors.sac import StackedSAC
from hyprepro.models.networks.care import CareActor, CareCritic
from hyprepro.policies.layout import METAWORLD_LAYOUT

_ENCODER = "encoder."
_TANH_EPSILON = 1e-6  # as in the base class


class CareSAC(StackedSAC):
    """SAC for A tasks with one actor, one pair of critics, and a temperature a task.

    An "agent" of the base class is a task here. Its losses are kept as they are, each `[A]`; their sum is descended.

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
        self.settings, self.layout, self.agents = settings, METAWORLD_LAYOUT, len(embeddings)
        self._actor_network, self._critic_network = actor, critic
        self._embeddings, self._tied = embeddings, tied
        self.actor = _parameters(actor, without=_ENCODER if tied else None)
        self.critic = _parameters(critic)
        self.target = {name: tensor.detach().clone() for name, tensor in self.critic.items()}
        self.log_alpha = torch.full((self.agents,), math.log(settings.initial_temperature), requires_grad=True)
        self.target_entropy = -float(self.layout.action_size)
        self.actor_optimiser, self.critic_optimiser, self.alpha_optimiser = (
            torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
            for parameters in (list(self.actor.values()), list(self.critic.values()), [self.log_alpha])
        )

    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """As the base class; zero noise gives the deterministic actions."""
        with torch.inference_mode():
            mean, log_std = self._policy(observations.unsqueeze(1))
            return torch.tanh(mean[:, 0] + log_std[:, 0].exp() * noise).numpy()

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

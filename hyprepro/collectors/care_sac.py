"""Multi-task SAC on CARE's networks, which tasks share: the one update, with gradients by autograd."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from hyprepro.collect.sac.agents import Agents
from hyprepro.collect.sac.update import ActorLoss, Adam, Batch, Hyperparameters, SACUpdate, Sample
from hyprepro.methods.care.network import CareActor, CareCritic
from hyprepro.policies.layout import METAWORLD_LAYOUT

_ENCODER = "encoder."


class CareSAC(SACUpdate, Agents):
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
        self, settings: Hyperparameters, actor: CareActor, critic: CareCritic, embeddings: Tensor, tied: bool
    ) -> None:
        log_alpha = torch.full((len(embeddings),), math.log(settings.initial_temperature))
        log_alpha.grad = torch.zeros_like(log_alpha)
        super().__init__(settings, METAWORLD_LAYOUT.action_size, log_alpha)
        self.agents, self.device = len(embeddings), torch.device("cpu")
        self._actor_network, self._critic_network = actor, critic
        self._embeddings, self._tied = embeddings, tied
        self.actor = _parameters(actor, without=_ENCODER if tied else None)
        self.critic = _parameters(critic)
        self.target = {name: tensor.detach().clone() for name, tensor in self.critic.items()}
        self._of_actor = Adam([*self.actor.values(), log_alpha], settings.learning_rate)
        self._of_critic = Adam(list(self.critic.values()), settings.learning_rate)

    @torch.inference_mode()
    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """See `Agents`; without noise it is the mode."""
        mean, log_std = self.policy(observations.unsqueeze(1))[:, :, 0].chunk(2, 1)
        return torch.tanh(mean + log_std.exp() * noise).numpy()

    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        """See `Agents`."""
        return self(batch, noise, next_noise, train_actor)._asdict()

    def tensors(self) -> list[Tensor]:
        """See `Agents`."""
        networks = [t.detach() for part in (self.actor, self.critic, self.target) for t in part.values()]
        moments = [t for each in (self._of_actor, self._of_critic) for t in (*each.moments, each.steps)]
        return [*networks, self.log_alpha, *moments]

    def policy(self, observations: Tensor) -> Tensor:
        """See `SACUpdate`."""
        found = functional_call(self._actor_network, self._actor_parameters(), (observations, self._embeddings))
        return torch.cat(found, -1).mT

    def values(self, observations: Tensor | None, actions: Tensor, which: str = "critic") -> Tensor:
        """See `SACUpdate`."""
        if observations is not None:
            self._seen = observations
        critic = self.target if which == "target" else self.critic
        if which == "frozen":
            critic = {name: tensor.detach() for name, tensor in critic.items()}
        found = functional_call(self._critic_network, critic, (self._seen, actions, self._embeddings))
        return cast(Tensor, found)

    def descend_critic(self, loss: Tensor, error: Tensor) -> None:
        """See `SACUpdate`."""
        self._of_critic.step(torch.autograd.grad(loss.sum(), list(self.critic.values())))

    def descend_actor(self, found: ActorLoss, sample: Sample) -> None:
        """See `SACUpdate`."""
        gradients = torch.autograd.grad(found.loss.sum(), list(self.actor.values()))
        assert self.log_alpha.grad is not None
        self._of_actor.step([*gradients, self.log_alpha.grad])

    @torch.no_grad()
    def follow(self) -> None:
        """See `SACUpdate`."""
        torch._foreach_lerp_(list(self.target.values()), list(self.critic.values()), self.settings.polyak)

    def trained_actor(self) -> CareActor:
        """The actor with the encoder that it sees through."""
        with torch.no_grad():
            for name, tensor in self._actor_network.named_parameters():
                tensor.copy_(self._actor_parameters()[name])
        return self._actor_network

    def _actor_parameters(self) -> dict[str, Tensor]:
        if not self._tied:
            return self.actor
        shared = {name: tensor.detach() for name, tensor in self.critic.items() if name.startswith(_ENCODER)}
        return {**self.actor, **shared}


def _parameters(network: nn.Module, without: str | None = None) -> dict[str, Tensor]:
    return {
        name: tensor for name, tensor in network.named_parameters() if without is None or not name.startswith(without)
    }

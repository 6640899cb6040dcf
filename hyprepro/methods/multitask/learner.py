"""SAC for A tasks with one actor, one pair of critics, and a temperature a task, for any architecture and gradient.

Losses are one a task, `[A]`. With the plain gradient their sum is descended. Where gradients are mixed, every task's is
found in one backward pass: each task computes with parameters of its own, which have the same values, so that one
product a layer and task takes the place of one a layer. The tasks' gradients are kept layer by layer; what mixes them
sees their products alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from hyprepro.collect.sac.agents import Agents
from hyprepro.collect.sac.update import ActorLoss, Adam, Batch, Critics, SACUpdate, Sample

if TYPE_CHECKING:
    from hyprepro.collect.sac.settings import SACSettings
    from hyprepro.methods.multitask.architecture import Architecture
    from hyprepro.methods.multitask.gradients import Gradient, Matrix

Parameters = dict[str, Tensor]


class MultiTaskLearner(SACUpdate, Agents):
    """See the module.

    Args:
        settings: SACSettings; the batch is that of one task.
        architecture: What `networks` are of: which of their parameters are tied, or of one task each.
        networks: Actor and critics; the actor's tied part is unused.
        told: What tells the tasks `[A, E]`.
        gradient: How the tasks' gradients become one.
        balanced: Whether a task's losses weigh A softmax(-log alpha).
        seed: Of what a gradient method draws.
    """

    def __init__(
        self,
        settings: SACSettings,
        architecture: Architecture,
        networks: tuple[nn.Module, nn.Module],
        told: Tensor,
        gradient: Gradient,
        balanced: bool = False,
        seed: int = 0,
        *,
        action_size: int,
    ) -> None:
        log_alpha = torch.full((len(told),), math.log(settings.initial_temperature))
        log_alpha.grad = torch.zeros_like(log_alpha)
        super().__init__(settings, action_size, log_alpha)
        self.agents, self.device = len(told), torch.device("cpu")
        actor, critic = networks
        target, frozen = (copy.deepcopy(critic).requires_grad_(False) for _ in range(2))
        self._networks = {"actor": actor, "critic": critic, "target": target, "frozen": _sharing(frozen, critic)}
        self._told, self._tied, self._own = told, architecture.tied_part, frozenset(architecture.own)
        self._gradient, self._balanced, self._seed = gradient, balanced, seed
        self.actor = _parameters(actor, without=self._tied)
        self.critic, self.target = _parameters(critic), _parameters(target)
        self._of_actor = Adam([*self.actor.values(), log_alpha], settings.learning_rate)
        self._of_critic = Adam(list(self.critic.values()), settings.learning_rate)
        self._apart: dict[str, Parameters] | None = {} if gradient.mixes else None
        """Each task's own parameters of "actor" and "critic" in the present update `[A, ...]`, where asked for."""

    @torch.inference_mode()
    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """See `Agents`; without noise it is the mode."""
        mean, log_std = self.policy(observations.unsqueeze(1))[:, :, 0].chunk(2, 1)
        return torch.tanh(mean + log_std.exp() * noise).numpy()

    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        return self(batch, noise, next_noise, train_actor)._asdict()

    def tensors(self) -> list[Tensor]:
        networks = [t.detach() for part in (self.actor, self.critic, self.target) for t in part.values()]
        moments = [t for each in (self._of_actor, self._of_critic) for t in (*each.moments, each.steps)]
        return [*networks, self.log_alpha, *moments]

    def policy(self, observations: Tensor) -> Tensor:
        return torch.cat(self._called("actor", (observations,), self.actor, self._tied_parameters()), -1).mT

    def values(self, observations: Tensor | None, actions: Tensor, which: Critics = "critic") -> Tensor:
        if observations is not None:
            self._seen = observations
        if which == "critic":
            return cast(Tensor, self._called("critic", (self._seen, actions), self.critic))
        return cast(Tensor, self._networks[which](self._seen, actions, self._told))

    def descend_critic(self, loss: Tensor, error: Tensor) -> None:
        self._of_critic.step(self._slopes("critic", loss, self.critic))

    def descend_actor(self, found: ActorLoss, sample: Sample) -> None:
        assert self.log_alpha.grad is not None
        self._of_actor.step([*self._slopes("actor", found.loss, self.actor), self.log_alpha.grad])

    @torch.no_grad()
    def follow(self) -> None:
        torch._foreach_lerp_(list(self.target.values()), list(self.critic.values()), self.settings.polyak)

    def products(self, batch: Batch, noise: Tensor, next_noise: Tensor) -> dict[str, Matrix]:
        """Products of the tasks' gradients of the shared parameters of "critic" and "actor"; nothing is changed.

        Args:
            batch: Transitions.
            noise: As for an update.
            next_noise: The same.
        """
        before, self._apart = self._apart, {}
        alpha = self.log_alpha.exp()
        wanted = self._wanted(batch, next_noise, alpha)
        sample = self._sample(batch.observations, noise)
        error = self.values(batch.observations, batch.actions) - wanted[:, None]
        actor_loss = self._actor_loss(sample, alpha, batch.expert_actions).loss
        losses = {"critic": self.critic_loss(error), "actor": actor_loss}
        found = {}
        for part, loss in losses.items():
            slopes = torch.autograd.grad(loss.sum(), list(self._apart[part].values()))
            found[part] = self._products(dict(zip(self._apart[part], slopes, strict=True)))
        self._apart = before
        return found

    def trained_actor(self) -> nn.Module:
        """The actor with what it uses of the critics."""
        with torch.no_grad():
            values = {**self.actor, **self._tied_parameters()}
            for name, tensor in self._networks["actor"].named_parameters():
                tensor.copy_(values[name])
        return self._networks["actor"]

    def _tied_parameters(self) -> Parameters:
        return {
            name: tensor.detach() for name, tensor in self.critic.items() if self._tied and name.startswith(self._tied)
        }

    def _called(
        self, which: str, inputs: Sequence[Tensor], parameters: Parameters, fixed: Mapping[str, Tensor] | None = None
    ) -> Any:
        """A network's outputs, where each task's gradient is asked for with parameters of its own.

        Args:
            which: "actor" or "critic".
            inputs: What the network sees beside what tells the tasks.
            parameters: Those that are trained.
            fixed: Others, which are the same for all tasks; the network has its own where there are none.
        """
        network, fixed = self._networks[which], fixed or {}
        if self._apart is None or not torch.is_grad_enabled():
            if not fixed:
                return network(*inputs, self._told)
            return functional_call(network, {**parameters, **fixed}, (*inputs, self._told))
        own = {name: tensor.detach().expand(self.agents, *tensor.shape) for name, tensor in parameters.items()}
        self._apart[which] = {name: tensor.requires_grad_() for name, tensor in own.items()}

        def one(mine: Parameters, told: Tensor, *seen: Tensor) -> Any:
            found = functional_call(network, {**mine, **fixed}, (*(each[None] for each in seen), told[None]))
            return tuple(each[0] for each in found) if isinstance(found, tuple) else found[0]

        return torch.func.vmap(one)(self._apart[which], self._told, *inputs)

    def _slopes(self, part: str, loss: Tensor, parameters: Parameters) -> Sequence[Tensor]:
        """What the optimiser of a part goes along."""
        if self._balanced:
            loss = loss * (self.agents * torch.softmax(-self.log_alpha, 0))
        if self._apart is None:
            return torch.autograd.grad(loss.sum(), list(parameters.values()))
        own = self._apart[part]
        slopes = dict(zip(own, torch.autograd.grad(loss.sum(), list(own.values())), strict=True))
        return self._mixed(slopes, 0 if part == "critic" else 1)

    @torch.no_grad()
    def _mixed(self, slopes: Parameters, part: int) -> list[Tensor]:
        """The tasks' gradients `[A, ...]` as one: mixed where parameters are shared, else summed."""
        draws = np.random.default_rng([self._seed, int(self._of_critic.steps), part])
        weights = self._gradient.weights(self._products(slopes), draws) * self.agents
        shares = torch.from_numpy(weights.astype(np.float32))
        return [
            slope.sum(0) if self._is_own(name) else (shares @ slope.flatten(1)).view(slope.shape[1:])
            for name, slope in slopes.items()
        ]

    def _products(self, slopes: Parameters) -> Matrix:
        found = torch.zeros(self.agents, self.agents)
        for name, slope in slopes.items():
            if not self._is_own(name):
                flat = slope.flatten(1)
                found.addmm_(flat, flat.mT)
        return found.numpy().astype(np.float64)

    def _is_own(self, name: str) -> bool:
        """Whether a parameter is of one task each."""
        return not self._own.isdisjoint(name.split("."))


def _sharing(network: nn.Module, other: nn.Module) -> nn.Module:
    """The network with the numbers of another one, now and when they change."""
    for mine, its in zip(network.parameters(), other.parameters(), strict=True):
        mine.data = its.data
    return network


def _parameters(network: nn.Module, without: str = "") -> Parameters:
    return {name: tensor for name, tensor in network.named_parameters() if not without or not name.startswith(without)}

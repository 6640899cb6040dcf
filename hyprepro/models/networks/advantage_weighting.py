"""MACAW's losses and inner loop, for several tasks at once; every sum over tasks keeps their gradients apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hyprepro.models.macaw import AdvantageWeighting
from hyprepro.models.networks.macaw import Actor, TransformedMLP, Weights


@dataclass(frozen=True)
class Transitions:
    """Transitions of T tasks, B of each.

    Attributes:
        states: `[T, B, S]`.
        actions: `[T, B, A]`.
        returns: Discounted sums of the rewards to the episode's end, divided by the return scale `[T, B]`.
        last_states: The last observation of the transition's episode `[T, B, S]`.
        discounts: What a value at that observation counts `[T, B]`.
    """

    states: Tensor
    actions: Tensor
    returns: Tensor
    last_states: Tensor
    discounts: Tensor


@dataclass(frozen=True)
class Adapted:
    """Both networks' weights after the inner loop, and its losses (scalars, means over tasks)."""

    actor: Weights
    value: Weights
    value_loss: Tensor
    actor_loss: Tensor


class MetaLearner(torch.nn.Module):
    """Actor, value function and the losses of both loops.

    Args:
        settings: MACAW's settings.
        state_size: S.
        action_size: A.
    """

    def __init__(self, settings: AdvantageWeighting, state_size: int, action_size: int) -> None:
        super().__init__()
        self.settings = settings
        self.actor: Actor
        self.value: TransformedMLP
        self.actor, self.value = settings.build(state_size, action_size)

    def adapt(self, batch: Transitions, differentiable: bool = False) -> Adapted:
        """One step of the inner loop of both networks, each task on its own transitions."""
        tasks = len(batch.states)
        value = self.value.weights(tasks)
        value_loss = self.value_loss(value, batch, batch.returns).sum()
        stepped_value = self.value.stepped(value, value_loss, differentiable)
        actor = self.actor.weights(tasks)
        actor_loss = self.actor_loss(actor, stepped_value, batch, with_head=True).sum()
        stepped_actor = self.actor.stepped(actor, actor_loss, differentiable)
        return Adapted(stepped_actor, stepped_value, value_loss.detach() / tasks, actor_loss.detach() / tasks)

    def value_loss(self, value: Weights, batch: Transitions, targets: Tensor) -> Tensor:
        """The squared error of each task's values `[T]`."""
        return (self.value.run(value, batch.states)[..., 0] - targets).square().mean(1)

    @torch.no_grad()
    def targets(self, value: Weights, batch: Transitions) -> Tensor:
        """Returns `[T, B]` that go on, discounted, with the value at the episode's end if the settings say so."""
        if not self.settings.bootstrap:
            return batch.returns
        return batch.returns + batch.discounts * self.value.run(value, batch.last_states)[..., 0]

    def actor_loss(self, actor: Weights, value: Weights, batch: Transitions, with_head: bool = False) -> Tensor:
        """Advantage-weighted negative log-likelihood of each task's actions `[T]`, plus the head's error if wanted."""
        with torch.no_grad():
            advantages = self.targets(value, batch) - self.value.run(value, batch.states)[..., 0]
            weights = self.weights_of(advantages)
        if not with_head:
            return -(weights * self._log_likelihood(self.actor.mean(actor, batch.states), batch.actions)).mean(1)
        mean, predicted = self.actor.mean_and_advantage(actor, batch.states, batch.actions)
        error = functional.softplus(self.actor.head_weight) * (predicted - advantages).square()
        return (error - weights * self._log_likelihood(mean, batch.actions)).mean(1)

    def weights_of(self, advantages: Tensor) -> Tensor:
        """Exp of the advantages `[T, B]`, standardised within each task, at most `largest_weight`."""
        centred = advantages - advantages.mean(1, keepdim=True)
        scaled = centred / (advantages.std(1, keepdim=True) + 1e-8) / self.settings.temperature
        return scaled.clamp(max=math.log(self.settings.largest_weight)).exp()

    def _log_likelihood(self, mean: Tensor, actions: Tensor) -> Tensor:
        deviation = self.settings.deviation
        constant = math.log(deviation) + 0.5 * math.log(2 * math.pi)
        return -(0.5 * ((actions - mean) / deviation).square() + constant).sum(-1)

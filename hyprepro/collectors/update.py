"""One SAC update of a few agents, with the gradients written out; `hyprepro.collectors.sac` puts agents together.

The order of the sub-steps is that of stable-baselines3's `SAC.train`: temperature, critics, actor, target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hyprepro.collectors.collection import SACSettings
from hyprepro.collectors.mlp import Activations, StackedMLP
from hyprepro.collectors.networks import LOG_STD_RANGE

TANH_EPSILON = 1e-6  # stable-baselines3's SquashedDiagGaussianDistribution
_SMALLEST_Q = 1e-3


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

    def part(self, low: int, high: int) -> Batch:
        """The transitions of agents `low` to `high`."""
        return Batch(**{name: value[low:high] for name, value in vars(self).items()})


class Losses(NamedTuple):
    """Losses and temperature before the update, each `[A]`."""

    actor_loss: Tensor
    critic_loss: Tensor
    temperature_loss: Tensor
    temperature: Tensor


class _Sample(NamedTuple):
    """Reparameterised actions, feature-major: all `[A, action, B]` but `log_prob` `[A, B]`.

    `spread` is standard deviation times noise, `unsquashed` the slope of the tanh.
    """

    actions: Tensor
    mean: Tensor
    raw_log_std: Tensor
    spread: Tensor
    unsquashed: Tensor
    log_prob: Tensor


class SACUpdate:
    """The update of A agents whose weights, gradients and optimisers are given; every tensor is changed in place.

    Args:
        settings: Hyperparameters.
        actor: The actors.
        critic: Two critics an agent, as twins.
        target: Their targets.
        log_alpha: `[A]`, with its gradient's memory as `.grad`.
        step_actor, step_critic: Optimiser steps: of actors and temperatures together, and of the critics.
    """

    def __init__(
        self,
        settings: SACSettings,
        actor: StackedMLP,
        critic: StackedMLP,
        target: StackedMLP,
        log_alpha: Tensor,
        step_actor: Callable[[], Any],
        step_critic: Callable[[], Any],
    ) -> None:
        self.settings, self.actor, self.critic, self.target = settings, actor, critic, target
        self.log_alpha, self.step_actor, self.step_critic = log_alpha, step_actor, step_critic
        self.action_size = actor.parameters[4].shape[1] // 2
        self._memory: tuple[Activations, Activations, Tensor] | None = None

    def __call__(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> Losses:
        """One gradient step of temperature, critics and actor, then the Polyak step; see `StackedSAC.update`."""
        actor_room, room, pair = self._rooms(batch.observations)
        alpha = self.log_alpha.exp()
        wanted = self._wanted(batch, next_noise, alpha, pair, room)
        observations = batch.observations.to(self.actor.dtype)
        sample = self._sample(observations, noise, actor_room)
        surplus = (sample.log_prob - self.action_size).mean(1)  # the target entropy is minus the action's size
        temperature_loss = -self.log_alpha * surplus

        self._fill(pair, batch.observations, batch.actions)
        error = self._values(self.critic, pair, room) - wanted[:, None]
        critic_loss = 0.5 * error.square().mean(2).sum(1)
        self.critic.backward(pair, _outputs(error / error.shape[2]), room)
        self.step_critic()
        self.critic.refresh()

        self._fill(pair, None, sample.actions.mT)
        values = self._values(self.critic, pair, room)
        value = values.amin(1)
        scale = value.abs().mean(1).clamp_min(_SMALLEST_Q) if self.settings.normalise_q else torch.ones_like(alpha)
        actor_loss = (alpha[:, None] * sample.log_prob - value).mean(1) / scale
        distance = torch.tanh(sample.mean) - batch.expert_actions.mT if self.settings.cloning_weight else None
        if distance is not None:
            actor_loss = actor_loss + self.settings.cloning_weight * distance.square().mean((1, 2))
        if train_actor:
            share = 1.0 / (scale * value.shape[1])  # of one transition in its agent's loss, [A]
            of_actions = self._value_slope(values, share, pair.shape[2], room)
            slope = self._actor_slope(sample, of_actions, alpha * share, distance)
            self.actor.backward(observations, slope, actor_room)
            torch.neg(surplus, out=self.log_alpha.grad)
            self.step_actor()
            self.actor.refresh()
        self.follow()
        return Losses(actor_loss, critic_loss, temperature_loss, alpha)

    def follow(self) -> None:
        """The Polyak step of the targets."""
        torch._foreach_lerp_(self.target.parameters, self.critic.parameters, self.settings.polyak)
        self.target.refresh()

    def _wanted(self, batch: Batch, noise: Tensor, alpha: Tensor, pair: Tensor, room: Activations) -> Tensor:
        """Bellman targets `[A, B]`."""
        following = batch.next_observations.to(self.actor.dtype)
        sample = self._sample(following, noise, room.narrow(len(alpha)))
        self._fill(pair, following, sample.actions.mT)
        value = self._values(self.target, pair, room).amin(1) - alpha[:, None] * sample.log_prob
        return batch.rewards + (1.0 - batch.dones) * self.settings.discount * value

    def _sample(self, observations: Tensor, noise: Tensor, room: Activations) -> _Sample:
        mean, raw = self.actor.forward(observations, room).chunk(2, 1)
        log_std, noise = raw.clamp(*LOG_STD_RANGE), noise.mT
        spread = log_std.exp() * noise
        actions = torch.tanh(mean + spread)
        unsquashed = 1.0 - actions.square()
        normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
        log_prob = (normal - torch.log(unsquashed + TANH_EPSILON)).sum(1)
        return _Sample(actions, mean, raw, spread, unsquashed, log_prob)

    def _values(self, critic: StackedMLP, pair: Tensor, room: Activations) -> Tensor:
        """Both critics' values `[A, 2, B]`."""
        return critic.forward(pair, room).view(len(pair), 2, -1)

    def _value_slope(self, values: Tensor, share: Tensor, inputs: int, room: Activations) -> Tensor:
        """The slope of minus the smaller value, weighted by `share` `[A]`, for the actions `[A, action, B]`."""
        first = (values[:, 0] <= values[:, 1]).float()
        chosen = torch.stack((first, 1.0 - first), 1) * -share[:, None, None]
        return self.critic.input_slope(_outputs(chosen), slice(inputs - self.action_size, inputs), room)

    def _actor_slope(self, sample: _Sample, slope: Tensor, weight: Tensor, distance: Tensor | None) -> Tensor:
        """The slope of the actor's outputs `[A, 2 * action, B]`.

        Args:
            sample: What the actor did.
            slope: Slope of the value part of the loss for the actions, `[A, action, B]`.
            weight: Weight of each transition's log probability in the loss, `[A]`.
            distance: tanh(mean) minus the expert's action, where the cloning term is on.
        """
        weight = weight[:, None, None]
        of_log_prob = 2.0 * weight * sample.actions / (sample.unsquashed + TANH_EPSILON)
        mean = (slope + of_log_prob) * sample.unsquashed
        low, high = LOG_STD_RANGE
        inside = (sample.raw_log_std >= low) & (sample.raw_log_std <= high)
        log_std = (mean * sample.spread - weight) * inside
        if distance is not None:
            factor = 2.0 * self.settings.cloning_weight / (distance.shape[1] * distance.shape[2])
            mean = mean + factor * distance * (1.0 - torch.tanh(sample.mean).square())
        return torch.cat((mean, log_std), 1)

    def _fill(self, pair: Tensor, observations: Tensor | None, actions: Tensor) -> None:
        """Put observations (if they change) and actions `[A, B, ...]` into the critics' input."""
        if observations is not None:
            pair[:, :, : -self.action_size].copy_(observations)
        pair[:, :, -self.action_size :].copy_(actions)

    def _rooms(self, observations: Tensor) -> tuple[Activations, Activations, Tensor]:
        """Room for an actor's pass, for the critics' pass, and for the critics' input; made anew for another batch."""
        agents, batch, size = observations.shape
        if self._memory is None or self._memory[2].shape[:2] != (agents, batch):
            dtype, device, hidden = self.actor.dtype, observations.device, self.actor.hidden
            self._memory = (
                Activations.room(agents, hidden, batch, dtype, device),
                Activations.room(2 * agents, hidden, batch, dtype, device),
                torch.empty((agents, batch, size + self.action_size), dtype=dtype, device=device),
            )
        return self._memory


def _outputs(values: Tensor) -> Tensor:
    """Both critics' `[A, 2, B]` as stacked outputs `[2A, 1, B]`."""
    return values.view(-1, 1, values.shape[2])

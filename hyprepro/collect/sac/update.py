"""One SAC update: temperature, critics, actor and targets, for whatever networks and however their gradients are found.

Order of the sub-steps and losses are those of stable-baselines3's `SAC.train` (twin critics, squashed Gaussian, learned
temperature). Two terms can be switched on for fine-tuning a clone: the actor's loss divided by the mean |Q| of its
batch, and a behaviour-cloning term (Fujimoto & Gu 2021).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from hyprepro.collect.sac.networks import LOG_STD_RANGE, StackedMLP

if TYPE_CHECKING:
    from hyprepro.collect.sac.settings import Hyperparameters

Critics = Literal["critic", "target", "frozen"]
TANH_EPSILON = 1e-6  # stable-baselines3's SquashedDiagGaussianDistribution
_SMALLEST_Q = 1e-3


@dataclass
class Batch:
    """Transitions for one update of A agents with B each, float32.

    Attributes:
        observations, next_observations: `[A, B, obs]`.
        actions: `[A, B, action]` in [-1, 1].
        rewards: `[A, B]`.
        dones: `[A, B]`, 1 where the episode ended in a terminal state (a time limit is not one); None if none can.
        expert_actions: `[A, B, action]`, what the expert would do; only read when the cloning weight is positive.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    dones: Tensor | None = None
    expert_actions: Tensor | None = None

    def part(self, low: int, high: int) -> Batch:
        """The transitions of agents `low` to `high`."""
        some = {name: value[low:high] for name, value in vars(self).items() if value is not None}
        return Batch(**some)


class Losses(NamedTuple):
    """Losses and temperature before the update, each `[A]`."""

    actor_loss: Tensor
    critic_loss: Tensor
    temperature_loss: Tensor
    temperature: Tensor


class Sample(NamedTuple):
    """Reparameterised actions, feature-major: all `[A, action, B]` but `log_prob` `[A, B]`.

    `spread` is standard deviation times noise, `unsquashed` the slope of the tanh.
    """

    actions: Tensor
    mean: Tensor
    raw_log_std: Tensor
    spread: Tensor
    unsquashed: Tensor
    log_prob: Tensor


class ActorLoss(NamedTuple):
    """The actor's loss `[A]` and what its slope is made of.

    Attributes:
        loss: E[alpha log pi - min Q] over `scale`, and the cloning term.
        values: Both critics' values `[A, 2, B]`.
        alpha: The temperatures `[A]`.
        scale: What the first part is divided by, `[A]`.
        distance: tanh(mean) minus the expert's action `[A, action, B]`, where the cloning term is on.
    """

    loss: Tensor
    values: Tensor
    alpha: Tensor
    scale: Tensor
    distance: Tensor | None


class Adam:
    """torch's fused Adam with its defaults, given gradients instead of finding them.

    Args:
        parameters: What is trained, in place.
        rate: The step size; may be set anew before any step.
        moments: Its memory, `[2, ...]` a parameter; made here if None.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float, moments: Sequence[Tensor] | None = None) -> None:
        self.parameters, self.rate = list(parameters), rate
        self.moments = list(moments) if moments is not None else [torch.stack((p, p)).zero_() for p in parameters]
        self.steps = torch.zeros((), device=self.parameters[0].device)
        self._average, self._square = ([moment[i] for moment in self.moments] for i in range(2))
        self._steps = [self.steps] * len(self.parameters)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step along the gradients."""
        self.steps += 1.0
        rest: dict[str, Any] = {"weight_decay": 0.0, "amsgrad": False, "maximize": False}
        torch._fused_adam_(
            self.parameters,
            list(gradients),
            self._average,
            self._square,
            [],
            self._steps,
            lr=self.rate,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            **rest,
        )


class SACUpdate(ABC):
    """The update of A agents, every tensor of which is changed in place; subclasses know networks and gradients.

    Args:
        settings: Hyperparameters.
        action_size: Components of an action.
        log_alpha: Logarithms of the temperatures `[A]`, with their gradient's memory as `.grad`.
    """

    def __init__(self, settings: Hyperparameters, action_size: int, log_alpha: Tensor) -> None:
        self.settings, self.action_size, self.log_alpha = settings, action_size, log_alpha
        entropy = settings.target_entropy
        self._target_entropy = -float(action_size) if entropy is None else entropy

    @abstractmethod
    def policy(self, observations: Tensor) -> Tensor:
        """Mean and unclamped log deviation, side by side `[A, 2 * action, B]`, for `[A, B, obs]`."""

    @abstractmethod
    def values(self, observations: Tensor | None, actions: Tensor, which: Critics = "critic") -> Tensor:
        """Both critics' values `[A, 2, B]` for `[A, B, ...]`.

        Args:
            observations: None if they are those of the last call.
            actions: What is judged.
            which: "critic", "target", or "frozen": the critics, of which no gradient is asked.
        """

    @abstractmethod
    def descend_critic(self, loss: Tensor, error: Tensor) -> None:
        """A step of the critics, whose last values differ by `error` `[A, 2, B]` from what is wanted."""

    @abstractmethod
    def descend_actor(self, found: ActorLoss, sample: Sample) -> None:
        """A step of actors and temperatures, after that of the critics; the temperatures' slope is there."""

    @abstractmethod
    def follow(self) -> None:
        """The Polyak step of the targets."""

    def __call__(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> Losses:
        """One gradient step of temperature, critics and actor, then the Polyak step.

        Args:
            batch: Transitions.
            noise: Standard normal draws `[A, B, action]` for the actions at s.
            next_noise: The same for the actions at s'.
            train_actor: False trains the critics alone (and leaves actor and temperature as they are).
        """
        alpha = self.log_alpha.exp()
        wanted = self._wanted(batch, next_noise, alpha)
        sample = self._sample(batch.observations, noise)
        surplus = (sample.log_prob.detach() + self._target_entropy).mean(1)
        temperature_loss = -self.log_alpha * surplus
        error = self.values(batch.observations, batch.actions) - wanted[:, None]
        critic_loss = self.critic_loss(error)
        self.descend_critic(critic_loss, error)
        found = self._actor_loss(sample, alpha, batch.expert_actions)
        if train_actor:
            assert self.log_alpha.grad is not None
            torch.neg(surplus, out=self.log_alpha.grad)
            self.descend_actor(found, sample)
        self.follow()
        return Losses(found.loss.detach(), critic_loss.detach(), temperature_loss, alpha)

    def critic_loss(self, error: Tensor) -> Tensor:
        """The critics' loss `[A]` where their values differ by `error` `[A, 2, B]` from what is wanted."""
        return 0.5 * error.square().mean(2).sum(1)

    @torch.no_grad()
    def _wanted(self, batch: Batch, noise: Tensor, alpha: Tensor) -> Tensor:
        """Bellman targets `[A, B]`."""
        sample = self._sample(batch.next_observations, noise)
        value = self.values(batch.next_observations, sample.actions.mT, "target").amin(1)
        value = value - alpha[:, None] * sample.log_prob
        discount = self.settings.discount
        return batch.rewards + (discount if batch.dones is None else (1.0 - batch.dones) * discount) * value

    def _sample(self, observations: Tensor, noise: Tensor) -> Sample:
        mean, raw = self.policy(observations).chunk(2, 1)
        log_std, noise = raw.clamp(*LOG_STD_RANGE), noise.mT
        spread = log_std.exp() * noise
        actions = torch.tanh(mean + spread)
        unsquashed = 1.0 - actions.square()
        normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
        log_prob = (normal - torch.log(unsquashed + TANH_EPSILON)).sum(1)
        return Sample(actions, mean, raw, spread, unsquashed, log_prob)

    def _actor_loss(self, sample: Sample, alpha: Tensor, expert_actions: Tensor | None) -> ActorLoss:
        values = self.values(None, sample.actions.mT, "frozen")
        value = values.amin(1)
        is_normalised, weight = self.settings.normalise_q, self.settings.cloning_weight
        scale = value.detach().abs().mean(1).clamp_min(_SMALLEST_Q) if is_normalised else torch.ones_like(alpha)
        loss = (alpha[:, None] * sample.log_prob - value).mean(1) / scale
        distance = None
        if weight:
            assert expert_actions is not None
            distance = torch.tanh(sample.mean) - expert_actions.mT
            loss = loss + weight * distance.square().mean((1, 2))
        return ActorLoss(loss, values, alpha, scale, distance)


class StackedUpdate(SACUpdate):
    """The update of stacked MLPs, one actor and two critics an agent, with the gradients written out.

    Args:
        settings: Hyperparameters.
        networks: The actors, the critics (two an agent, as twins) and their targets.
        log_alpha: See `SACUpdate`.
        optimisers: Of the actors and the temperatures together, and of the critics.
    """

    def __init__(
        self,
        settings: Hyperparameters,
        networks: tuple[StackedMLP, StackedMLP, StackedMLP],
        log_alpha: Tensor,
        optimisers: tuple[Adam, Adam],
    ) -> None:
        self.networks, self.optimisers = networks, optimisers
        self.actor, self.critic, self.target = networks
        super().__init__(settings, self.actor.parameters[4].shape[1] // 2, log_alpha)

    def policy(self, observations: Tensor) -> Tensor:
        return self.actor.forward(observations)

    def values(self, observations: Tensor | None, actions: Tensor, which: Critics = "critic") -> Tensor:
        network = self.target if which == "target" else self.critic
        return network.forward(observations, actions).view(len(actions), 2, -1)

    def descend_critic(self, loss: Tensor, error: Tensor) -> None:
        self.critic.backward(_outputs(error / error.shape[2]))
        self.step_critic()

    def descend_actor(self, found: ActorLoss, sample: Sample) -> None:
        self.actor.backward(self._actor_slope(found, sample))
        self.step_actor()

    def step_critic(self) -> None:
        """Along the gradients that are there."""
        self.optimisers[1].step(self.critic.gradients)
        self.critic.refresh()

    def step_actor(self) -> None:
        """The temperatures too."""
        assert self.log_alpha.grad is not None
        self.optimisers[0].step([*self.actor.gradients, self.log_alpha.grad])
        self.actor.refresh()

    def follow(self) -> None:
        torch._foreach_lerp_(self.target.parameters, self.critic.parameters, self.settings.polyak)
        self.target.refresh()

    def _actor_slope(self, found: ActorLoss, sample: Sample) -> Tensor:
        """The slope of the actor's outputs `[A, 2 * action, B]`."""
        values, distance = found.values, found.distance
        share = 1.0 / (found.scale * values.shape[2])  # of one transition in its agent's loss, [A]
        first = (values[:, 0] <= values[:, 1]).float()
        chosen = torch.stack((first, 1.0 - first), 1) * -share[:, None, None]
        of_actions = self.critic.input_slope(_outputs(chosen), self.action_size)
        weight = (found.alpha * share)[:, None, None]  # of a transition's log probability
        of_log_prob = 2.0 * weight * sample.actions / (sample.unsquashed + TANH_EPSILON)
        mean = (of_actions + of_log_prob) * sample.unsquashed
        low, high = LOG_STD_RANGE
        inside = (sample.raw_log_std >= low) & (sample.raw_log_std <= high)
        log_std = (mean * sample.spread - weight) * inside
        if distance is not None:
            factor = 2.0 * self.settings.cloning_weight / (distance.shape[1] * distance.shape[2])
            mean = mean + factor * distance * (1.0 - torch.tanh(sample.mean).square())
        return torch.cat((mean, log_std), 1)


def _outputs(values: Tensor) -> Tensor:
    """Both critics' `[A, 2, B]` as stacked outputs `[2A, 1, B]`."""
    return values.view(-1, 1, values.shape[2])

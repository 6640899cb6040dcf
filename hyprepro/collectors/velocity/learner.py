"""SAC for stacked agents with written-out gradients: autograd's bookkeeping would cost as much as the small products.

The algorithm is `collectors.sac`'s (stable-baselines3's: twin critics, squashed Gaussian, learned temperature, one step
of each an update), with critics of their own width and no terminal states. Tests compare all gradients with autograd's.
An agent may be told something beyond its observation (a *condition*, one more input of actor and critic); `fold` turns
such an agent at one value of the condition into an ordinary one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collectors.networks import LOG_STD_RANGE, Normaliser, Parameters, mlp_parameters, to_flat
from hyprepro.collectors.velocity.settings import VelocitySAC
from hyprepro.policies.layout import PolicyLayout

_LAYERS = ("linear1", "linear2", "head")
_TANH_EPSILON = 1e-6  # stable-baselines3's SquashedDiagGaussianDistribution
_relu_backward = torch.ops.aten.threshold_backward


class Sizes(NamedTuple):
    """Sizes of actor and critics: `inputs` is the observation and, if there is one, the condition."""

    inputs: int
    actions: int
    hidden: int
    critic_width: int


@dataclass
class Networks:
    """Everything that a stack of A agents has learned.

    Attributes:
        actor: Parameters `[A, ...]`; the head gives mean and log standard deviation side by side.
        critic: Parameters `[2 A, ...]`; agent a's two critics are rows 2a and 2a + 1.
        target: The critics' slow copies.
        log_alpha: `[A, 1, 1]`.
    """

    actor: Parameters
    critic: Parameters
    target: Parameters
    log_alpha: Tensor

    @classmethod
    def fresh(cls, sizes: Sizes, settings: VelocitySAC, agents: int, generator: torch.Generator) -> Networks:
        """Random weights."""
        inputs, hidden, width = sizes.inputs, sizes.hidden, sizes.critic_width
        actor = {"linear1": (inputs, hidden), "linear2": (hidden, hidden), "head": (hidden, 2 * sizes.actions)}
        critic = {"linear1": (inputs + sizes.actions, width), "linear2": (width, width), "head": (width, 1)}
        first = mlp_parameters(critic, 2 * agents, generator)
        return cls(
            mlp_parameters(actor, agents, generator),
            first,
            {name: tensor.clone() for name, tensor in first.items()},
            torch.full((agents, 1, 1), math.log(settings.initial_temperature)),
        )

    def fold(self, conditions: Tensor, at: int) -> Networks:
        """A single conditioned agent as one agent for each of `conditions` `[A]`, without the condition's input.

        The first layer's bias becomes b + w c, w being the weights of input number `at`; nothing else changes.
        """

        def folded(parameters: Parameters, conditions: Tensor) -> Parameters:
            count, weight = len(conditions) * len(parameters["head.bias"]), parameters["linear1.weight"]
            out = {name: tensor.repeat(len(conditions), 1, 1) for name, tensor in parameters.items()}
            shift = weight[None, :, at : at + 1] * conditions.view(-1, 1, 1, 1)
            out["linear1.bias"] = out["linear1.bias"] + shift.reshape(count, 1, -1)
            out["linear1.weight"] = torch.cat((out["linear1.weight"][:, :at], out["linear1.weight"][:, at + 1 :]), 1)
            return out

        actor, critic, target = (folded(part, conditions) for part in (self.actor, self.critic, self.target))
        return Networks(actor, critic, target, self.log_alpha.repeat(len(conditions), 1, 1))

    def flat(self, layout: PolicyLayout, normaliser: Normaliser) -> NDArray[np.float32]:
        """The actors as flat parameters `[A, P]` that act on raw observations."""
        return to_flat(split_head(self.actor, layout.action_size), layout, normaliser)

    def state(self) -> dict[str, Any]:
        """All tensors, for a checkpoint or an artifact."""
        return {"actor": self.actor, "critic": self.critic, "target": self.target, "log_alpha": self.log_alpha}


def split_head(actor: Parameters, actions: int) -> Parameters:
    """The same actor with the head as the two layers `mean` and `log_std`."""
    parts = {name: tensor for name, tensor in actor.items() if not name.startswith("head")}
    for kind in ("weight", "bias"):
        parts[f"mean.{kind}"], parts[f"log_std.{kind}"] = torch.split(actor[f"head.{kind}"], actions, 2)
    return parts


class Batch(NamedTuple):
    """Transitions for an update of A agents with B each, `[A, B, ...]`; observations include the condition, if any."""

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor


class Sample(NamedTuple):
    """Reparameterised actions `[A, B, actions]`, their log probability `[A, B, 1]`, and what the gradient needs."""

    actions: Tensor
    log_prob: Tensor
    layers: tuple[Tensor, Tensor, Tensor]
    std: Tensor
    inside: Tensor
    slope: Tensor


class Learner:
    """The networks of a stack of agents and their optimisers.

    Args:
        networks: Where they start.
        settings: Hyperparameters.
        actions: Number of action components.
    """

    def __init__(self, networks: Networks, settings: VelocitySAC, actions: int) -> None:
        self.networks, self.settings, self.actions = networks, settings, actions
        self.agents = len(networks.log_alpha)
        rate = settings.learning_rate
        self.optimisers = {
            "actor": Adam(networks.actor, rate),
            "critic": Adam(networks.critic, rate),
            "alpha": Adam({"log_alpha": networks.log_alpha}, rate),
        }

    def anneal(self, share: float) -> None:
        """Set the step size of the moment at which `share` of all updates are done."""
        first, last = self.settings.learning_rate, self.settings.last_learning_rate
        for optimiser in self.optimisers.values():
            optimiser.rate = first + share * (last - first)

    @torch.inference_mode()
    def act(self, observations: Tensor, noise: Tensor | None) -> Tensor:
        """Actions `[A, B, actions]`: sampled with standard normal noise of that shape, or the mode if it is None."""
        mean, log_std = torch.split(forward(self.networks.actor, observations)[2], self.actions, 2)
        if noise is None:
            return torch.tanh(mean)
        return torch.tanh(mean + log_std.clamp(*LOG_STD_RANGE).exp() * noise)

    @torch.inference_mode()
    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        """One gradient step of temperature, critics and actor, then the targets' step.

        Args:
            batch: Transitions.
            noise: Standard normal draws `[A, B, actions]` for the actions at s.
            next_noise: The same for the actions at s'.
            train_actor: False trains the critics alone.

        Returns:
            Losses by name, `[A]`.
        """
        networks = self.networks
        sample = self.sample(batch.observations, noise)
        alpha = networks.log_alpha.exp()
        if train_actor:
            missing = -(sample.log_prob.mean(1, keepdim=True) + self.settings.target_entropy)
            self.optimisers["alpha"].step({"log_alpha": missing})
        loss, gradient = self.critic_gradient(batch, next_noise, alpha)
        self.optimisers["critic"].step(gradient)
        if train_actor:
            self.optimisers["actor"].step(self.actor_gradient(batch.observations, sample, noise, alpha))
        for name, slow in networks.target.items():
            slow.lerp_(networks.critic[name], self.settings.polyak)
        return {"critic_loss": loss, "temperature": alpha.flatten()}

    def sample(self, observations: Tensor, noise: Tensor) -> Sample:
        """Actions at observations `[A, B, inputs]`."""
        first, second, head = forward(self.networks.actor, observations)
        mean, raw = torch.split(head, self.actions, 2)
        log_std = raw.clamp(*LOG_STD_RANGE)
        std, inside = log_std.exp(), raw == log_std
        actions = torch.tanh(mean + std * noise)
        slope = 1.0 - actions * actions
        density = -0.5 * noise * noise - log_std - torch.log(slope + _TANH_EPSILON)
        log_prob = density.sum(2, keepdim=True) - 0.5 * math.log(2.0 * math.pi) * self.actions
        return Sample(actions, log_prob, (observations, first, second), std, inside, slope)

    def critic_gradient(self, batch: Batch, next_noise: Tensor, alpha: Tensor) -> tuple[Tensor, Parameters]:
        """Half the summed mean squared Bellman errors of both critics `[A]`, and their gradient."""
        after = self.sample(batch.next_observations, next_noise)
        inputs = self._pairs(torch.cat((batch.next_observations, after.actions), 2))
        next_value = forward(self.networks.target, inputs)[2].view(self.agents, 2, -1, 1).amin(1)
        wanted = batch.rewards.unsqueeze(2) + self.settings.discount * (next_value - alpha * after.log_prob)
        inputs = self._pairs(torch.cat((batch.observations, batch.actions), 2))
        first, second, values = forward(self.networks.critic, inputs)
        error = values - self._pairs(wanted)
        loss = 0.5 * error.square().mean((1, 2)).view(self.agents, 2).sum(1)
        return loss, gradients(self.networks.critic, (inputs, first, second), error / error.shape[1])

    def actor_gradient(self, observations: Tensor, sample: Sample, noise: Tensor, alpha: Tensor) -> Parameters:
        """Gradient of E[alpha log pi - min Q]."""
        count, inputs = observations.shape[1], self._pairs(torch.cat((observations, sample.actions), 2))
        first, second, values = forward(self.networks.critic, inputs)
        both = values.view(self.agents, 2, count, 1)
        lower = (both[:, :1] <= both[:, 1:]).to(values.dtype)
        weight = torch.cat((lower, 1.0 - lower), 1).view(2 * self.agents, count, 1) / -count
        through = self._input_gradient(first, second, weight).view(self.agents, 2, count, self.actions).sum(1)
        share = alpha / count
        before = (through + share * 2.0 * sample.actions / (sample.slope + _TANH_EPSILON)) * sample.slope
        log_std = (before * sample.std * noise - share) * sample.inside
        return gradients(self.networks.actor, sample.layers, torch.cat((before, log_std), 2))

    def _input_gradient(self, first: Tensor, second: Tensor, upstream: Tensor) -> Tensor:
        """Of the critics with respect to the actions among their inputs."""
        critic = self.networks.critic
        down = _relu_backward(torch.bmm(upstream, critic["head.weight"].mT), second, 0)
        down = _relu_backward(torch.bmm(down, critic["linear2.weight"].mT), first, 0)
        return torch.bmm(down, critic["linear1.weight"][:, -self.actions :].mT)

    def _pairs(self, rows: Tensor) -> Tensor:
        """Every agent's rows for both of its critics: `[A, B, n]` to `[2 A, B, n]`."""
        return rows.unsqueeze(1).expand(-1, 2, -1, -1).reshape(2 * self.agents, *rows.shape[1:])

    def state(self) -> dict[str, Any]:
        """Everything that a checkpoint needs."""
        return {
            "networks": self.networks.state(),
            "optimisers": {name: optimiser.state() for name, optimiser in self.optimisers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, part in self.networks.state().items():
            saved = state["networks"][name]
            if isinstance(part, Tensor):
                part.copy_(saved)
            else:
                for key, tensor in part.items():
                    tensor.copy_(saved[key])
        for name, optimiser in self.optimisers.items():
            optimiser.restore(state["optimisers"][name])


def forward(parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both hidden layers and the output of stacked ReLU networks for inputs `[A, B, in]`."""
    first = torch.baddbmm(parameters["linear1.bias"], x, parameters["linear1.weight"]).relu_()
    second = torch.baddbmm(parameters["linear2.bias"], first, parameters["linear2.weight"]).relu_()
    return first, second, torch.baddbmm(parameters["head.bias"], second, parameters["head.weight"])


def gradients(parameters: Parameters, layers: tuple[Tensor, Tensor, Tensor], upstream: Tensor) -> Parameters:
    """Gradients of all parameters from the inputs of the three layers and the output's gradient."""
    found: Parameters = {}
    for number in (2, 1, 0):
        name = _LAYERS[number]
        found[f"{name}.weight"] = torch.bmm(layers[number].mT, upstream)
        found[f"{name}.bias"] = upstream.sum(1, keepdim=True)
        if number:
            upstream = _relu_backward(torch.bmm(upstream, parameters[f"{name}.weight"].mT), layers[number], 0)
    return found


class Adam:
    """torch's fused Adam with its defaults, given gradients instead of finding them."""

    def __init__(self, parameters: Parameters, rate: float) -> None:
        self.names, self.parameters, self.rate = list(parameters), list(parameters.values()), rate
        self.first, self.second = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.steps = [torch.zeros(()) for _ in parameters]

    def step(self, found: Parameters) -> None:
        """One step along the gradients `found`, by name."""
        torch._foreach_add_(self.steps, 1.0)
        torch._fused_adam_(
            self.parameters,
            [found[name] for name in self.names],
            self.first,
            self.second,
            [],
            self.steps,
            lr=self.rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> list[list[Tensor]]:
        """Moments and counts."""
        return [self.first, self.second, self.steps]

    def restore(self, state: list[list[Tensor]]) -> None:
        """Go on from a checkpoint."""
        for mine, saved in zip(self.state(), state, strict=True):
            torch._foreach_copy_(mine, saved)

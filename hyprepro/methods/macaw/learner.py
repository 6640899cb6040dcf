"""MACAW's networks: layers whose weights are a linear map of a code, and the inner gradient step on all of them.

A weight-transform layer computes theta = W z + b, its weights and bias laid end to end, from a code z. One gradient
step of the inner loop changes W, z and b, each with a step size of its own. Since the loss depends on them through
theta alone, with g = dL/dtheta their gradients are g z^T, W^T g and g, and the theta after the step is

    theta' = (W - r_W g z^T) (z - r_z W^T g) + (b - r_b g)
           = theta - r_z W (W^T g) - (r_W z^T (z - r_z W^T g) + r_b) g.

So the stepped layers of many tasks are computed without a copy of W for each, and stay differentiable.

Losses and inner loop run for several tasks at once; every sum over tasks keeps their gradients apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyprepro.methods.macaw.method import AdvantageWeighting

Weights = list[Tensor]
"""One flat vector a layer and task, `[T, (inputs + 1) * outputs]`: weights inputs x outputs, then the bias."""


class WeightTransform(nn.Module):
    """A layer whose weights are a linear map of a code.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        code: Size of the code.
        rate: First step size of the inner loop.
    """

    def __init__(self, inputs: int, outputs: int, code: int, rate: float) -> None:
        super().__init__()
        self.shape = (inputs, outputs)
        self.code = nn.Parameter(torch.randn(code) / outputs)
        self.map = nn.Linear(code, (inputs + 1) * outputs)
        self.rates = nn.Parameter(torch.full((3,), math.log(rate)))  # of map.weight, code, map.bias

    def theta(self) -> Tensor:
        """The layer's own weights `[P]`."""
        return cast(Tensor, self.map(self.code))

    def stepped(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """The weights `[T, P]` after one step from `theta` `[T, P]` against gradients `[T, P]`, one task a row."""
        map_rate, code_rate, bias_rate = functional.softplus(self.rates)
        change = code_rate * (gradient @ self.map.weight)
        length: Tensor = (self.code - change) @ self.code
        own = (map_rate * length + bias_rate)[:, None] * gradient
        return cast(Tensor, theta - functional.linear(change, self.map.weight) - own)

    def run(self, theta: Tensor, x: Tensor) -> Tensor:
        """Outputs `[T, B, outputs]` for inputs `[T, B, inputs]` with the weights `[T, P]`."""
        inputs, outputs = self.shape
        weight, bias = theta[:, : inputs * outputs], theta[:, inputs * outputs :]
        return torch.baddbmm(bias[:, None], x, weight.view(-1, inputs, outputs))


class TransformedMLP(nn.Module):
    """A ReLU MLP of weight-transform layers.

    Args:
        sizes: Widths from input to output.
        code: Size of each layer's code.
        rate: First step size of the inner loop.
    """

    def __init__(self, sizes: Sequence[int], code: int, rate: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([WeightTransform(i, o, code, rate) for i, o in pairwise(sizes)])

    def weights(self, tasks: int = 1) -> Weights:
        """The unadapted weights, the same for each of some tasks."""
        return [layer.theta()[None].expand(tasks, -1) for layer in self._transforms()]

    def stepped(self, weights: Weights, loss: Tensor, differentiable: bool = False) -> Weights:
        """The weights after one step of the inner loop against the gradient of `loss`, the sum of the tasks' losses.

        Args:
            weights: Where the step starts: `weights(tasks)`, on which `loss` was computed.
            loss: A scalar; a task's loss depends on that task's weights alone.
            differentiable: Whether the gradient, too, is differentiated in the outer loop.
        """
        gradients = torch.autograd.grad(loss, weights, create_graph=differentiable)
        steps = zip(self._transforms(), weights, gradients, strict=True)
        return [layer.stepped(theta, gradient) for layer, theta, gradient in steps]

    def run(self, weights: Weights, x: Tensor) -> Tensor:
        """Outputs `[T, B, O]` for inputs `[T, B, I]`."""
        for index, (layer, theta) in enumerate(zip(self._transforms(), weights, strict=True)):
            x = layer.run(theta, functional.relu(x) if index else x)
        return x

    def initial(self) -> list[nn.Parameter]:
        """What the outer loop trains as the start of the inner one."""
        return [part for layer in self._transforms() for part in (layer.code, *layer.map.parameters())]

    def learned_rates(self) -> list[nn.Parameter]:
        """The logarithms of the inner loop's step sizes."""
        return [layer.rates for layer in self._transforms()]

    def _transforms(self) -> list[WeightTransform]:
        return cast(list[WeightTransform], list(self.layers))


class Actor(TransformedMLP):
    """The actor: a tanh mean, and a head that predicts the advantage of an action in the inner loop.

    The head gives the inner gradient what advantage-weighted regression lacks: with it the gradient tells the
    advantages of the batch apart (the paper's section on expressiveness).

    Args:
        state_size: S.
        action_size: A.
        hidden: Hidden widths.
        head: Hidden width of the head.
        code: Size of each layer's code.
        rate: First step size of the inner loop.
        head_weight: First weight of the head's error.
    """

    def __init__(
        self, state_size: int, action_size: int, hidden: tuple[int, ...], head: int, code: int, rate: float,
        head_weight: float,
    ) -> None:  # fmt: skip
        super().__init__((state_size, *hidden, action_size), code, rate)
        self.layers.append(WeightTransform(hidden[-1] + action_size, head, code, rate))
        self.layers.append(WeightTransform(head, 1, code, rate))
        self.head_weight = nn.Parameter(torch.tensor(math.log(head_weight)))

    def mean(self, weights: Weights, states: Tensor) -> Tensor:
        """Mean actions `[T, B, A]` in (-1, 1) for states `[T, B, S]`."""
        *body, last = self._transforms()[:-2]
        return torch.tanh(last.run(weights[len(body)], self._features(weights, states)))

    def mean_and_advantage(self, weights: Weights, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean actions and the predicted advantages `[T, B]` of `actions` `[T, B, A]`."""
        *body, last, into_head, out_of_head = self._transforms()
        features = self._features(weights, states)
        mean = torch.tanh(last.run(weights[len(body)], features))
        hidden = functional.relu(into_head.run(weights[-2], torch.cat([features, actions], dim=-1)))
        return mean, out_of_head.run(weights[-1], hidden)[..., 0]

    def learned_rates(self) -> list[nn.Parameter]:
        """With the weight of the head's error."""
        return [*super().learned_rates(), self.head_weight]

    def _features(self, weights: Weights, states: Tensor) -> Tensor:
        features = states
        for layer, theta in zip(self._transforms()[:-3], weights, strict=False):
            features = functional.relu(layer.run(theta, features))
        return features


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
        self.actor, self.value = settings.networks(state_size, action_size)

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

"""MACAW's networks: layers whose weights are a linear map of a code, and the inner gradient step on all of them.

A weight-transform layer computes theta = W z + b, its weights and bias laid end to end, from a code z. One gradient
step of the inner loop changes W, z and b, each with a step size of its own. Since the loss depends on them through
theta alone, with g = dL/dtheta their gradients are g z^T, W^T g and g, and the theta after the step is

    theta' = (W - r_W g z^T) (z - r_z W^T g) + (b - r_b g)
           = theta - r_z W (W^T g) - (r_W z^T (z - r_z W^T g) + r_b) g.

So the stepped layers of many tasks are computed without a copy of W for each, and stay differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

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

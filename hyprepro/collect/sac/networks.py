"""Actors and critics of many agents as stacked tensors: parameters by name, coordinates, and hand-written gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.policies.layout import PolicyLayout

Parameters = dict[str, Tensor]
"""Stacked parameters by name: weights `[A, in, out]` (transposed for row-vector products), biases `[A, 1, out]`."""

LOG_STD_RANGE = (-20.0, 2.0)
"""Clamp of the log standard deviation, as in stable-baselines3 and Make-An-Agent."""


def mlp_parameters(sizes: dict[str, tuple[int, int]], agents: int, generator: torch.Generator) -> Parameters:
    """`torch.nn.Linear`'s default initialisation for `agents` independent networks.

    Args:
        sizes: (inputs, outputs) by layer name.
        agents: A, the number of networks stacked.
        generator: The source of randomness.
    """
    parameters: Parameters = {}
    for name, (inputs, outputs) in sizes.items():
        bound = 1.0 / math.sqrt(inputs)
        for part, shape in ((f"{name}.weight", (agents, inputs, outputs)), (f"{name}.bias", (agents, 1, outputs))):
            parameters[part] = (torch.rand(shape, generator=generator) * 2.0 - 1.0) * bound
    return parameters


def actor_sizes(layout: PolicyLayout) -> dict[str, tuple[int, int]]:
    """Layer sizes of the actor of a layout."""
    hidden, actions = layout.hidden, layout.action_size
    return {
        "linear1": (layout.observation_size, hidden),
        "linear2": (hidden, hidden),
        "mean": (hidden, actions),
        "log_std": (hidden, actions),
    }


def critic_sizes(layout: PolicyLayout) -> dict[str, tuple[int, int]]:
    """Layer sizes of one critic Q(s, a) with the actor's width."""
    inputs = layout.observation_size + layout.action_size
    return {"linear1": (inputs, layout.hidden), "linear2": (layout.hidden, layout.hidden), "value": (layout.hidden, 1)}


def _linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    return torch.baddbmm(parameters[f"{name}.bias"], x, parameters[f"{name}.weight"])


def actor_features(parameters: Parameters, x: Tensor) -> Tensor:
    """Second hidden layer `[A, B, hidden]` of ReLU actors for observations `[A, B, obs]`."""
    return torch.relu(_linear(parameters, "linear2", torch.relu(_linear(parameters, "linear1", x))))


def actor_forward(parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and clamped log standard deviation before the tanh, each `[A, B, action]`."""
    features = actor_features(parameters, x)
    return _linear(parameters, "mean", features), _linear(parameters, "log_std", features).clamp(*LOG_STD_RANGE)


@dataclass(frozen=True)
class Normaliser:
    """A fixed affine change of coordinates of observations, `(o - mean) / scale`, both `[obs]` float64.

    Experts learn in these coordinates, since metaworld's observations are metres with deviations of a few
    centimetres. It is folded into the first layer when a policy is stored, so that a stored policy acts on raw
    observations and has the plain layout.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, observations: NDArray[np.floating], smallest_scale: float) -> Normaliser:
        """Mean and standard deviation over rows `[n, obs]`; scales below `smallest_scale` are raised to it."""
        rows = np.asarray(observations, dtype=np.float64)
        return cls(rows.mean(0), np.maximum(rows.std(0), smallest_scale))

    def apply(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Normalised observations, float32."""
        return ((observations - self.mean) / self.scale).astype(np.float32)


def to_flat(parameters: Parameters, layout: PolicyLayout, normaliser: Normaliser) -> NDArray[np.float32]:
    """Flat parameters `[A, P]` that act on raw observations: W' = W / scale, b' = b - W (mean / scale)."""
    parts = {name: tensor.detach().cpu().numpy().astype(np.float64) for name, tensor in parameters.items()}
    weight = parts["linear1.weight"] / normaliser.scale[None, :, None]
    parts["linear1.bias"] = parts["linear1.bias"] - np.einsum("o,aoh->ah", normaliser.mean, weight)[:, None, :]
    parts["linear1.weight"] = weight
    for name in list(parts):
        parts[name] = parts[name].swapaxes(1, 2) if name.endswith("weight") else parts[name][:, 0, :]
    return layout.join(parts)


class Weights:
    """The parameters of N three-layer networks and their gradients, with views of them under the usual names.

    Args:
        start: Stacked parameters (weights `[N, in, out]`, biases `[N, 1, out]`); they are copied.
        heads: Names of the output layers, which are stored as one.
        device: Where they live.
    """

    def __init__(self, start: Parameters, heads: tuple[str, ...], device: torch.device) -> None:
        groups = (("linear1",), ("linear2",), heads)
        self.layers = [_merged(start, names, device) for names in groups]
        self.gradients = [(torch.zeros_like(weight), torch.zeros_like(bias)) for weight, bias in self.layers]
        self.named: Parameters = {}
        for names, layer, gradient in zip(groups, self.layers, self.gradients, strict=True):
            self.named |= _named(names, start, layer, gradient)

    def tensors(self) -> list[Tensor]:
        """Weights and biases, layer by layer."""
        return [tensor for layer in self.layers for tensor in layer]

    def slopes(self) -> list[Tensor]:
        """Their gradients in the same order."""
        return [tensor for layer in self.gradients for tensor in layer]


_Layer = tuple[Tensor, Tensor]
"""Weight `[N, out, in]` and bias `[N, out, 1]`."""


def _merged(start: Parameters, names: tuple[str, ...], device: torch.device) -> _Layer:
    weight = torch.cat([start[f"{name}.weight"].detach().mT for name in names], 1)
    bias = torch.cat([start[f"{name}.bias"].detach().mT for name in names], 1)
    return weight.contiguous().to(device), bias.contiguous().to(device)


def _named(names: tuple[str, ...], start: Parameters, layer: _Layer, gradient: _Layer) -> Parameters:
    """Views `[N, in, out]` and `[N, 1, out]` of a layer's parts, each with its gradient's view as `.grad`."""
    views: Parameters = {}
    row = 0
    for name in names:
        inputs, outputs = start[f"{name}.weight"].shape[1:]
        for part, columns, tensor, slope in zip(("weight", "bias"), (inputs, 1), layer, gradient, strict=True):
            views[f"{name}.{part}"] = tensor[:, row : row + outputs, :columns].mT
            views[f"{name}.{part}"].grad = slope[:, row : row + outputs, :columns].mT
        row += outputs
    return views


class _Room:
    """Memory for one pass of the networks of A agents, `twins` each.

    Attributes:
        x: Inputs `[A, B, in]`.
        first, second: Hidden layers `[N, hidden, B]`.
        by_agent: The first one as `[A, twins * hidden, B]`.
        slope: Slope of the second one.
        output: The second one in float32, for the output layer; the same memory where products are in float32.
    """

    def __init__(self, agents: int, twins: int, batch: int, like: Tensor) -> None:
        hidden, inputs = like.shape[1:]
        self.x = like.new_empty((agents, batch, inputs))
        shape = (agents * twins, hidden, batch)
        self.first, self.second, self.slope = (like.new_empty(shape) for _ in range(3))
        self.by_agent = self.first.view(agents, twins * hidden, batch)
        self.output = self.second if like.dtype == torch.float32 else like.new_empty(shape, dtype=torch.float32)


class StackedMLP:
    """Networks `low` to `high` of a stack, of which the `twins` of an agent read the same input.

    Activations are feature-major, `[N, features, B]`, and weights `[N, out, in]`, so that every product has the batch
    as its long side (a head with one output is then as fast as a wide layer). Large results go into memory that is
    allocated once. Nothing here waits for the device, so an update can be captured as a CUDA graph. Hidden layers can
    be computed in another dtype than float32, in which weights are kept and outputs are computed.

    Args:
        weights: The stack.
        low, high: Which of its networks; all tensors are views of the stack's.
        twins: Networks of an agent.
        dtype: What hidden layers are computed in; if not float32, `refresh` must follow every change of the weights.
        room: Another one of the same sizes, whose memory this one uses too.
    """

    def __init__(
        self, weights: Weights, low: int, high: int, twins: int, dtype: torch.dtype, room: StackedMLP | None = None
    ) -> None:
        self.parameters = [tensor[low:high] for tensor in weights.tensors()]
        self.gradients = [tensor[low:high] for tensor in weights.slopes()]
        self._twins, self._dtype = twins, dtype
        self._layers = [_as(tensor, dtype) for tensor in self.parameters[:4]] + self.parameters[4:]
        self._slopes = [_as(tensor, dtype) for tensor in self.gradients[:4]] + self.gradients[4:]
        self._wide = [self._by_agent(tensor) for tensor in self._layers[:2]]
        self._wide_slope = self._by_agent(self._slopes[0])
        self._rooms: dict[int, _Room] = {} if room is None else room._rooms
        self._room: _Room

    def refresh(self) -> None:
        """Bring the copies of another dtype up to date."""
        _copy(self._layers, self.parameters)

    def forward(self, left: Tensor | None, right: Tensor | None = None) -> Tensor:
        """Outputs `[N, out, B]`, float32.

        Args:
            left: The first inputs `[A, B, ...]`; None if they are those of the last pass in this room.
            right: The last inputs, likewise.
        """
        room = self._room = self._room_for(left if left is not None else right)
        if left is not None:
            room.x[:, :, : left.shape[2]].copy_(left)
        if right is not None:
            room.x[:, :, -right.shape[2] :].copy_(right)
        (w1, b1), (w2, b2, w3, b3) = self._wide, self._layers[2:]
        torch.baddbmm(b1, w1, room.x.mT, out=room.by_agent).relu_()
        torch.baddbmm(b2, w2, room.first, out=room.second).relu_()
        if room.output is not room.second:
            room.output.copy_(room.second)
        return torch.baddbmm(b3, w3, room.output)

    def backward(self, slope: Tensor) -> None:
        """Gradients of all parameters for the slope `[N, out, B]` of the last pass's outputs."""
        room, (_, e1, d2, e2, d3, e3) = self._room, self._slopes
        torch.bmm(slope, room.output.mT, out=d3)
        torch.sum(slope, 2, keepdim=True, out=e3)
        second = self._second_slope(slope)
        torch.bmm(second, room.first.mT, out=d2)
        torch.sum(second, 2, keepdim=True, out=e2)
        first = self._first_slope(second)
        torch.bmm(self._by_agent(first), room.x, out=self._wide_slope)
        torch.sum(first, 2, keepdim=True, out=e1)
        _copy(self.gradients, self._slopes)

    def input_slope(self, slope: Tensor, columns: int) -> Tensor:
        """The slope `[A, columns, B]` of the last inputs, summed over twins, for that of the outputs `[N, out, B]`."""
        first = self._first_slope(self._second_slope(slope))
        return torch.bmm(self._wide[0][:, :, -columns:].mT, self._by_agent(first)).float()

    def _second_slope(self, slope: Tensor) -> Tensor:
        room, weight, slope = self._room, self._layers[4].to(self._dtype), slope.to(self._dtype)
        product = torch.mul if weight.shape[1] == 1 else torch.bmm
        return _through_relu(product(weight.mT, slope, out=room.slope), room.second)

    def _first_slope(self, second: Tensor) -> Tensor:
        """Takes the place of the second hidden layer, which is not needed any more."""
        return _through_relu(torch.bmm(self._layers[2].mT, second, out=self._room.second), self._room.first)

    def _by_agent(self, tensor: Tensor) -> Tensor:
        """`[N, features, ...]` as `[A, twins * features, ...]`: the networks of an agent as one wide layer."""
        return tensor.view(-1, self._twins * tensor.shape[1], tensor.shape[2])

    def _room_for(self, part: Tensor | None) -> _Room:
        assert part is not None
        batch, weight = part.shape[1], self._layers[0]
        if batch not in self._rooms:
            agents = len(weight) // self._twins
            self._rooms[batch] = _Room(agents, self._twins, batch, weight)
        return self._rooms[batch]


def _through_relu(slope: Tensor, activation: Tensor) -> Tensor:
    """Zero, in place, the slope where the activation is zero."""
    result: Tensor = torch.ops.aten.threshold_backward.grad_input(slope, activation, 0, grad_input=slope)
    return result


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def _copy(to: list[Tensor], source: list[Tensor]) -> None:
    """Copy what is not the same memory."""
    for target, value in zip(to, source, strict=True):
        if target is not value:
            target.copy_(value)

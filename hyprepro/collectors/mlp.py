"""Stacks of small ReLU networks with hand-written gradients: what one SAC update multiplies, and nothing else.

Activations are feature-major, `[N, features, B]`, and weights `[N, out, in]`, so that every product has the batch as
its long side (a head with one output is then as fast as a wide layer). Large results go into memory that is allocated
once. Nothing here waits for the device, so an update can be captured as a CUDA graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyprepro.collectors.networks import Parameters

Layer = tuple[Tensor, Tensor]
"""Weight `[N, out, in]` and bias `[N, out, 1]`."""


class Weights:
    """The parameters of N three-layer networks and their gradients, with views of them under the usual names.

    Args:
        start: Stacked parameters (weights `[N, in, out]`, biases `[N, 1, out]`); they are copied.
        heads: Names of the output layers, which are stored as one.
        device: Where they live.
    """

    def __init__(self, start: Parameters, heads: tuple[str, ...], device: torch.device) -> None:
        groups = (("linear1",), ("linear2",), heads)
        self.layers = tuple(_merged(start, names, device) for names in groups)
        self.gradients = tuple((torch.zeros_like(weight), torch.zeros_like(bias)) for weight, bias in self.layers)
        self.named: Parameters = {}
        for names, layer, gradient in zip(groups, self.layers, self.gradients, strict=True):
            self.named |= _named(names, start, layer, gradient)

    def tensors(self) -> list[Tensor]:
        """Weights and biases, layer by layer."""
        return [tensor for layer in self.layers for tensor in layer]

    def slopes(self) -> list[Tensor]:
        """Their gradients in the same order."""
        return [tensor for layer in self.gradients for tensor in layer]


def _merged(start: Parameters, names: tuple[str, ...], device: torch.device) -> Layer:
    weight = torch.cat([start[f"{name}.weight"].detach().mT for name in names], 1)
    bias = torch.cat([start[f"{name}.bias"].detach().mT for name in names], 1)
    return weight.contiguous().to(device), bias.contiguous().to(device)


def _named(names: tuple[str, ...], start: Parameters, layer: Layer, gradient: Layer) -> Parameters:
    """Views `[N, in, out]` and `[N, 1, out]` of a layer's parts, each with its gradient's view as `.grad`."""
    views: Parameters = {}
    row = 0
    for name in names:
        rows = slice(row, row + start[f"{name}.weight"].shape[2])
        for part, tensor, slope in zip(("weight", "bias"), layer, gradient, strict=True):
            views[f"{name}.{part}"] = tensor[:, rows].mT
            views[f"{name}.{part}"].grad = slope[:, rows].mT
        row = rows.stop
    return views


@dataclass
class Activations:
    """Memory for one pass of N networks.

    Attributes:
        first, second: Hidden layers `[N, hidden, B]`.
        slope: Slope of the second one.
        output: The second one in float32, for the output layer; the same memory where products are in float32.
    """

    first: Tensor
    second: Tensor
    slope: Tensor
    output: Tensor

    @classmethod
    def room(cls, networks: int, hidden: int, batch: int, dtype: torch.dtype, device: torch.device) -> Activations:
        """Uninitialised memory."""
        shape = (networks, hidden, batch)
        first, second, slope = (torch.empty(shape, dtype=dtype, device=device) for _ in range(3))
        output = second if dtype == torch.float32 else torch.empty(shape, device=device)
        return cls(first, second, slope, output)

    def narrow(self, networks: int) -> Activations:
        """The memory of the first `networks` networks."""
        return Activations(*(tensor[:networks] for tensor in (self.first, self.second, self.slope, self.output)))


class StackedMLP:
    """Networks `low` to `high` of a stack, of which the `twins` of an agent read the same input.

    Hidden layers can be computed in another dtype than float32, in which weights are kept and outputs are computed.

    Args:
        weights: The stack.
        low, high: Which of its networks; all tensors are views of the stack's.
        twins: Networks of an agent.
        dtype: What hidden layers are computed in; if not float32, `refresh` must follow every change of the weights.
    """

    def __init__(self, weights: Weights, low: int, high: int, twins: int, dtype: torch.dtype) -> None:
        self.parameters = [tensor[low:high] for tensor in weights.tensors()]
        self.gradients = [tensor[low:high] for tensor in weights.slopes()]
        for tensor, gradient in zip(self.parameters, self.gradients, strict=True):
            tensor.grad = gradient
        self.twins, self.dtype = twins, dtype
        self._layers = [_as(tensor, dtype) for tensor in self.parameters[:4]] + self.parameters[4:]
        self._slopes = [_as(tensor, dtype) for tensor in self.gradients[:4]] + self.gradients[4:]

    @property
    def hidden(self) -> int:
        """Width of the hidden layers."""
        return self.parameters[0].shape[1]

    def refresh(self) -> None:
        """Bring the copies of another dtype up to date."""
        _copy(self._layers, self.parameters)

    def forward(self, x: Tensor, room: Activations) -> Tensor:
        """Outputs `[N, out, B]`, float32, for inputs `[A, B, in]` of the dtype."""
        w1, b1, w2, b2, w3, b3 = self._layers
        torch.baddbmm(self._by_agent(b1), self._by_agent(w1), x.mT, out=self._by_agent(room.first)).relu_()
        torch.baddbmm(b2, w2, room.first, out=room.second).relu_()
        if room.output is not room.second:
            room.output.copy_(room.second)
        return torch.baddbmm(b3, w3, room.output)

    def backward(self, x: Tensor, slope: Tensor, room: Activations) -> None:
        """Gradients of all parameters for the slope `[N, out, B]` of the outputs, after `forward` in the same room."""
        d1, e1, d2, e2, d3, e3 = self._slopes
        torch.bmm(slope, room.output.mT, out=d3)
        torch.sum(slope, 2, keepdim=True, out=e3)
        second = self._second_slope(slope, room)
        torch.bmm(second, room.first.mT, out=d2)
        torch.sum(second, 2, keepdim=True, out=e2)
        first = self._first_slope(second, room)
        torch.bmm(self._by_agent(first), x, out=self._by_agent(d1))
        torch.sum(first, 2, keepdim=True, out=e1)
        _copy(self.gradients, self._slopes)

    def input_slope(self, slope: Tensor, columns: slice, room: Activations) -> Tensor:
        """The slope `[A, columns, B]` of some inputs, summed over twins, for that of the outputs `[N, out, B]`."""
        first = self._first_slope(self._second_slope(slope, room), room)
        return torch.bmm(self._by_agent(self._layers[0])[:, :, columns].mT, self._by_agent(first)).float()

    def _second_slope(self, slope: Tensor, room: Activations) -> Tensor:
        weight, slope = self._layers[4].to(self.dtype), slope.to(self.dtype)
        product = torch.mul if weight.shape[1] == 1 else torch.bmm
        return _through_relu(product(weight.mT, slope, out=room.slope), room.second)

    def _first_slope(self, second: Tensor, room: Activations) -> Tensor:
        """Takes the place of the second hidden layer, which is not needed any more."""
        return _through_relu(torch.bmm(self._layers[2].mT, second, out=room.second), room.first)

    def _by_agent(self, tensor: Tensor) -> Tensor:
        """`[N, features, ...]` as `[A, twins * features, ...]`: the networks of an agent as one wide layer."""
        return tensor.view(-1, self.twins * tensor.shape[1], tensor.shape[2])


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

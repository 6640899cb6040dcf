"""HyperZero's network; see `hyprepro.methods.hyperzero`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from hyprepro.methods.hypernetwork import Sizes
    from hyprepro.methods.hypernetwork_net import Layers


class Heads(nn.Module):
    """z `[C, code]` -> all layers of an MLP, one linear head each for a layer's weight and its bias.

    Args:
        code: Width of z.
        sizes: Of the MLP that is written.
        spread: Bound of the first weights of heads of hidden layers.
        last_spread: The same of the last layer's.
    """

    def __init__(self, code: int, sizes: Sizes, spread: float, last_spread: float) -> None:
        super().__init__()
        self._shapes = [(outputs, inputs) for inputs, outputs in pairwise(sizes)]
        weights = [nn.Linear(code, outputs * inputs) for outputs, inputs in self._shapes]
        biases = [nn.Linear(code, outputs) for outputs, _ in self._shapes]
        for heads in (weights, biases):
            for head in heads:
                bound = last_spread if head is heads[-1] else spread
                nn.init.uniform_(head.weight, -bound, bound)
                nn.init.zeros_(head.bias)
        self.weights, self.biases = nn.ModuleList(weights), nn.ModuleList(biases)

    def forward(self, z: Tensor) -> Layers:
        """The layers of each condition's MLP."""
        return [
            (weight(z).reshape(-1, *shape), bias(z))
            for weight, bias, shape in zip(self.weights, self.biases, self._shapes, strict=True)
        ]

"""The modules and the network that routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.methods.multitask.layers import Perceptron, StackedLinear, Trunk, copies

_LAST = 3e-3
"""Bound of the last layers' first parameters, as in the published code."""


def _small(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    for tensor in layer.parameters():
        nn.init.uniform_(tensor, -_LAST, _LAST)
    return layer


class Routing(nn.Module):
    """Shares of modules, layer by layer.

    Args:
        layers, modules: L and n.
        embedding: Length of f(s) z(task).
        hidden: Widths of the layers after it.
    """

    def __init__(self, layers: int, modules: int, embedding: int, hidden: Sequence[int]) -> None:
        super().__init__()
        routes = modules * modules
        self.hidden = Perceptron((embedding, *hidden))
        self.before = nn.ModuleList([nn.Linear((n + 1) * routes, hidden[-1]) for n in range(layers - 1)])
        self.shares = nn.ModuleList([_small(hidden[-1], routes) for _ in range(layers - 1)])
        self.shares.append(_small(hidden[-1], modules))
        self._modules_a_layer = modules

    def forward(self, embedding: Tensor) -> list[Tensor]:
        """For `[N, D]` the shares between layers, L - 1 times `[N, n, n]` (of the next, of this), and `[N, 1, n]`."""
        embedding = self.hidden(torch.relu(embedding))
        found: list[Tensor] = []
        for number, layer in enumerate(self.shares):
            if number:
                known = torch.cat([shares.flatten(1) for shares in found], dim=-1)
                seen = embedding * self.before[number - 1](known)
            else:
                seen = embedding
            raw = layer(torch.relu(seen)).view(len(embedding), -1, self._modules_a_layer)
            found.append(torch.softmax(raw, dim=-1))
        return found


class SoftTrunk(Trunk):
    """See `SoftModularization`.

    Args:
        shape: L, n and the width of a module.
        encoder: Widths of f, from the inputs.
        told: Length of what tells a task.
        routing: Widths of the routing's own layers.
        outputs: Of the last layer.
    """

    def __init__(
        self, shape: tuple[int, int, int], encoder: Sequence[int], told: int, routing: Sequence[int], outputs: int
    ) -> None:
        super().__init__()
        layers, count, width = shape
        self.encoder = Perceptron(encoder)
        self.task = nn.Linear(told, encoder[-1])
        self.routing = Routing(layers, count, encoder[-1], routing)
        sizes = [(encoder[-1], width), *[(width, width)] * (layers - 1)]
        self.modules_of = nn.ModuleList([StackedLinear(count, *each) for each in sizes])
        self.last = _small(width, outputs)
        self._count = count

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        features = self.encoder(inputs)
        routes = self.routing((features * self.task(told)[:, None]).flatten(0, 1))
        x = copies(torch.relu(features), self._count)
        for layer, shares in zip(self.modules_of, routes, strict=True):
            x = torch.relu(torch.matmul(shares, layer(x).transpose(0, 1))).transpose(0, 1)
        return cast(Tensor, self.last(x[0]).view(*inputs.shape[:2], -1))

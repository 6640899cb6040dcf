"""Experts, Gram-Schmidt over their features, and what each task makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hyprepro.methods.multitask.layers import StackedLinear, Trunk, copies

_SMALLEST = 1e-8
"""Added to lengths that are divided by, as in Meta-World+'s code."""


def orthonormal(vectors: Sequence[Tensor]) -> list[Tensor]:
    """Gram-Schmidt: orthonormal vectors `[..., d]` that span, one after the other, what the given ones do."""
    found: list[Tensor] = []
    for vector in vectors:
        rest = vector
        for base in found:
            rest = rest - (vector * base).sum(-1, keepdim=True) * base
        found.append(rest / (torch.linalg.vector_norm(rest, dim=-1, keepdim=True) + _SMALLEST))
    return found


class MOORETrunk(Trunk):
    """See `MOORE`.

    Args:
        experts: k.
        tasks: Length of a label.
        widths: Of an expert, from the inputs to its features.
        outputs: Of a head.
    """

    def __init__(self, experts: int, tasks: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList([StackedLinear(experts, *sizes) for sizes in pairwise(widths)])
        self.weights = nn.Linear(tasks, experts, bias=False)
        nn.init.xavier_uniform_(self.weights.weight)
        self.heads = StackedLinear(tasks, widths[-1], outputs)
        self._count = experts

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        """See `Trunk`."""
        x, last = copies(inputs, self._count), len(self.experts) - 1
        for number, layer in enumerate(self.experts):
            x = layer(x) if number == last else torch.relu(layer(x))
        bases = orthonormal(x.view(self._count, *inputs.shape[:2], -1).unbind())
        weights = self.weights(told)[:, :, None, None].unbind(1)
        mixed = bases[0] * weights[0]
        for base, weight in zip(bases[1:], weights[1:], strict=True):
            mixed = torch.addcmul(mixed, base, weight)
        return self.heads.mixed(told, torch.tanh(mixed))

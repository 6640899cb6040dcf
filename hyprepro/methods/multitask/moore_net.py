"""Experts, Gram-Schmidt over their features, and what each task makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hyprepro.methods.multitask.layers import StackedLinear, Trunk, copies

_SMALLEST = 1e-6
"""Least squared length that is divided by, against the features' own: less is not told from rounding."""


def mixed_orthonormal(features: Tensor, weights: Tensor) -> Tensor:
    """A mixture of what Gram-Schmidt makes of features: sum_k w_k u_k, u_1 ... u_k being orthonormal.

    With G = X X^T = L L^T the rows of L^-1 X are Gram-Schmidt's vectors, so the mixture is (L^-T w)^T X: what is as
    long as features is done by matrix products, and all else is k x k.

    Args:
        features: X, `[N, k, d]`.
        weights: w, `[N, k]`.
    """
    rest = torch.bmm(features, features.mT)
    least = _SMALLEST * (rest.diagonal(dim1=1, dim2=2) + _SMALLEST)
    columns: list[Tensor] = []
    lengths: list[Tensor] = []
    for number in range(features.shape[1]):
        lengths.append(torch.maximum(rest[:, number, number], least[:, number]).sqrt())
        columns.append(rest[:, :, number] / lengths[-1][:, None])
        rest = rest - columns[-1][:, :, None] * columns[-1][:, None, :]
    shares: list[Tensor] = []
    left = weights
    for number in reversed(range(len(columns))):  # L^T is upper triangular: from the last to the first
        share = left[:, number] / lengths[number]
        shares.insert(0, share)
        row = torch.stack([column[:, number] for column in columns[:number]], 1) if number else None
        left = left if row is None else left[:, :number] - share[:, None] * row
    return torch.bmm(torch.stack(shares, 1)[:, None], features)[:, 0]


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
        x, last = copies(inputs, self._count), len(self.experts) - 1
        for number, layer in enumerate(self.experts):
            x = layer(x) if number == last else layer(x).relu_()
        weights = self.weights(told)[:, None].expand(-1, inputs.shape[1], -1).flatten(0, 1)
        mixed = mixed_orthonormal(x.transpose(0, 1), weights).view(*inputs.shape[:2], -1)
        return self.heads.mixed(told, torch.tanh(mixed))

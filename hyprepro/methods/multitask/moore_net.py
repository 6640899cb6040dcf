"""Experts, Gram-Schmidt over their features, and what each task makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hyprepro.methods.multitask.layers import StackedLinear, Trunk, copies

_SMALLEST = 1e-6
"""Least squared length that is divided by, against the features' own: less is not told from rounding."""


def mixed_orthonormal(features: Tensor, weights: Tensor) -> Tensor:
    """A mixture of what Gram-Schmidt makes of features: sum_k w_k u_k, u_1 ... u_k being orthonormal.

    With G = X X^T = L L^T the rows of L^-1 X are Gram-Schmidt's vectors, so the mixture is s^T X with s = L^-T w: what
    is as long as features is done by matrix products, and all else is k x k.

    Args:
        features: X, `[N, k, d]`.
        weights: w, `[N, k]`.
    """
    mixed: Tensor = _Mixture.apply(features, weights)[0]  # type: ignore[no-untyped-call]
    return mixed


class _Mixture(torch.autograd.Function):
    """`mixed_orthonormal` with its slope written out: k x k numbers an input, in place, the N of an entry side by side.

    By itself autograd makes a tensor of every entry's slope and adds them up. Of G the lower triangle alone is read.
    """

    @staticmethod
    def forward(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The mixture `[N, d]`, and for the way back L `[k, k, N]`, the least squared lengths and s, each `[k, N]`."""
        factor = torch.bmm(features, features.mT).permute(1, 2, 0).contiguous()
        least = _SMALLEST * (factor.diagonal().mT + _SMALLEST)
        _factorise(factor, least)
        shares = weights.mT.clone(memory_format=torch.contiguous_format)
        for number in reversed(range(len(shares))):  # L^T is upper triangular: from the last to the first
            shares[number] /= factor[number, number]
            shares[:number] -= shares[number] * factor[number, :number]
        mixed = torch.bmm(shares.mT.contiguous()[:, None], features)[:, 0]
        return mixed, factor, least, shares

    @staticmethod
    def vmap(info: Any, dims: Sequence[int | None], *given: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Inputs of several tasks are more inputs: without this each task would go through the slope by itself."""
        count = info.batch_size
        tasks = [
            x.expand(count, *x.shape) if at is None else x.movedim(at, 0) for x, at in zip(given, dims, strict=True)
        ]
        mixed, *kept = _Mixture.apply(*(x.flatten(0, 1) for x in tasks))  # type: ignore[no-untyped-call]
        return (mixed.unflatten(0, (count, -1)), *(x.unflatten(-1, (count, -1)) for x in kept)), (0, 2, 1, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        """What the way back needs."""
        ctx.save_for_backward(inputs[0], *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, slope: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes of features and weights, from that of the mixture `[N, d]`."""
        features, factor, least, shares = ctx.saved_tensors
        of_weights = torch.bmm(slope[:, None], features.mT)[:, 0].mT.contiguous()
        of_lengths = _solve(factor, of_weights, shares)
        of_factor = (shares[:, None] * of_weights).neg_()
        of_factor.masked_fill_(_above(factor), 0.0)
        of_squares = _factor_slope(factor, least, of_factor, of_lengths).permute(2, 0, 1).contiguous()
        of_features = torch.bmm(shares.mT.contiguous()[:, :, None], slope[:, None])
        return of_features.baddbmm_(of_squares, features).baddbmm_(of_squares.mT, features), of_weights.mT.contiguous()


def _factorise(squares: Tensor, least: Tensor) -> None:
    """Cholesky's L in the lower triangle of `[k, k, N]`, in place; no squared length is less than `least` `[k, N]`."""
    for number in range(len(squares)):
        length = torch.maximum(squares[number, number], least[number]).sqrt_()
        squares[number, number] = length
        column = squares[number + 1 :, number].div_(length)
        squares[number + 1 :, number + 1 :] -= column[:, None] * column


def _solve(factor: Tensor, slope: Tensor, shares: Tensor) -> list[Tensor]:
    """From the slope of s `[k, N]` that of w, L^-1 times it, in place; and that of the lengths, for w's part in it."""
    of_lengths = []
    for number in range(len(factor)):
        if number:
            slope[number] -= (slope[:number] * factor[number, :number]).sum(0)
        of_lengths.append(-slope[number] * (shares[number] / factor[number, number]))
        slope[number] /= factor[number, number]
    return of_lengths


def _factor_slope(factor: Tensor, least: Tensor, slope: Tensor, of_lengths: list[Tensor]) -> Tensor:
    """From the slope of L `[k, k, N]` that of G, in place: Cholesky's steps from the last to the first.

    Args:
        factor: L.
        least: Least squared lengths: where one is reached, the slope of the length is that of the feature's own length.
        slope: Of L below its diagonal, zero above.
        of_lengths: Of its diagonal.
    """
    lengths = factor.diagonal().mT
    reached = lengths <= least.sqrt()
    of_squares: list[Tensor] = []
    for number in reversed(range(len(factor))):
        length, of_length = lengths[number], of_lengths[number]
        if rest := len(factor) - number - 1:
            column, below = factor[-rest:, number], slope[-rest:, -rest:]
            of_column = slope[-rest:, number]
            of_column -= (below * column[:, None]).sum(0)
            of_column -= (below * column).sum(1)
            of_length = of_length - (of_column * (column / length)).sum(0)
            of_column /= length
        of_squares.insert(0, of_length / (2 * length))
        slope[number, number] = of_squares[0].masked_fill(reached[number], 0.0)
    slope.diagonal().mT.add_((_SMALLEST * torch.stack(of_squares)).masked_fill_(~reached, 0.0))
    return slope


def _above(factor: Tensor) -> Tensor:
    """Which of `[k, k, N]` lie above the diagonal, `[k, k, 1]`."""
    return torch.ones(factor.shape[:2], dtype=torch.bool).triu_(1)[:, :, None]


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

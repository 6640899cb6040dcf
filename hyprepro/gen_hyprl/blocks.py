"""Small building blocks that several of the paper's networks share, fixed scalings, and the errors of drawn latents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hyprepro.gen_hyprl.choices import Activation, Condition, Scale


def mlp(
    sizes: Sequence[int], activation: Activation = "gelu", dropout: float = 0.0, last: bool = False
) -> nn.Sequential:
    """Linear layers through `sizes`, an activation (and dropout) after each; none after the last unless `last`."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(inputs, outputs))
        if last or i < len(sizes) - 2:
            layers.append(nn.ReLU() if activation == "relu" else nn.GELU())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def condition_of(h: Tensor, v: Tensor, kind: Condition) -> Tensor:
    """tau_e as the paper defines it, (h, v) `[N, 2E]`, or h alone `[N, E]` as the released code feeds it."""
    return torch.cat([h, v], dim=-1) if kind == "h_and_v" else h


def as_tokens(flat: Tensor) -> Tensor:
    """Flattened latents `[N, 2 D]` as two tokens `[N, 2, D]`."""
    return flat.reshape(len(flat), 2, flat.shape[1] // 2)


SMALLEST = 1e-6
"""No scale is smaller: entries that never vary in training stay at zero instead of blowing up."""


class Scaling(nn.Module):
    """x -> (x - shift) / scale over the last dimensions `shape`; the identity until `fit` is called.

    Kinds:
        none: The identity.
        standard: Zero mean and unit deviation for every entry.
        minmax: Every entry's training range to [-1, 1] (released code). Values outside the range leave the interval.
        common: Every entry centred, all entries of one row of the last dimension divided by one common deviation: an
            error then counts by what it changes in the policy and not by how rarely its direction is used; ours for
            latents.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def fit(self, data: Tensor, kind: Scale) -> None:
        """Set shift and scale from training data `[N, *shape]`."""
        shift, scale = torch.zeros_like(self.shift), torch.ones_like(self.scale)
        if kind == "minmax":
            low, high = data.amin(0), data.amax(0)
            shift, scale = (low + high) / 2, (high - low) / 2
        elif kind != "none":
            shift = data.mean(0)
            variance = (data - shift).square().mean(0)
            scale = (variance if kind == "standard" else variance.mean(-1, keepdim=True).expand_as(variance)).sqrt()
        self.shift.copy_(shift)
        self.scale.copy_(torch.where(scale > SMALLEST, scale, torch.ones_like(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Scaled data of the same shape."""
        return (x - self.shift) / self.scale

    def inverse(self, x: Tensor) -> Tensor:
        """Undo `forward`."""
        return x * self.scale + self.shift


VALIDATION_DRAWS = 8
"""Draws for each held-out prompt."""

VALIDATION_SEED = 0


def errors_of_draws(draws: Tensor, target: Tensor, variance: Tensor) -> dict[str, float]:
    """How far draws `[k, N, 2, D]` and their mean are from true latents, and draws from each other, in variances."""
    return {
        "validation_error": float((draws - target).square().mean() / variance),
        "validation_error_of_mean": float((draws.mean(0) - target).square().mean() / variance),
        "validation_diversity": float((draws - draws.mean(0)).square().mean() / variance),
    }

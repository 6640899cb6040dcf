"""Small building blocks that several of the paper's networks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from hyprepro.models.options import Activation, Condition

M = TypeVar("M", bound=nn.Module)


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
    return flat.reshape(len(flat), 2, -1)


def frozen(module: M) -> M:
    """The module in evaluation mode, without gradients."""
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module

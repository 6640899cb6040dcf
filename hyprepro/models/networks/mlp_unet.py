"""The released MLP U-Net generator; choices and sources in `hyprepro.models.mlp_unet`."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from hyprepro.models.networks.blocks import as_tokens
from hyprepro.models.networks.generator import GeneratorNetwork


class MLPUNet(GeneratorNetwork):
    """The network that `MLPUNetGenerator` describes."""

    def __init__(self, inputs: int, latent_size: int, inner: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        widths = (2 * latent_size, *inner)

        def layer(width_in: int, width_out: int) -> nn.Module:
            layers = (nn.Linear(width_in, width_out), nn.BatchNorm1d(width_out), nn.GELU(), nn.Dropout(dropout))
            return nn.Sequential(*layers)

        pairs = list(pairwise(widths))
        self.first = nn.Linear(inputs, widths[0])
        self.down = nn.ModuleList(layer(wide, narrow) for wide, narrow in pairs)
        self.up = nn.ModuleList(layer(narrow, wide) for wide, narrow in reversed(pairs[1:]))
        self.last = nn.Linear(widths[1], widths[0])

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Latents `[N, 2, D]`."""
        x = self.first(torch.cat([noise, condition], dim=1))
        skips = [x]
        for down in self.down:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up in self.up:
            x = up(x) + skips.pop()
        return as_tokens(self.last(x) + skips.pop())

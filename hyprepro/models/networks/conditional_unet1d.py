"""Make-An-Agent's denoiser: a 1D-UNet whose blocks are conditioned by FiLM; choices in `hyprepro.models.make_an_agent`.

A block is convolution, GroupNorm, Mish, FiLM (scale * y + bias), convolution, GroupNorm, Mish, plus the input. Two
blocks a resolution on the way down and up, two in the middle; the finest resolution has none on the way up, so its skip
connection is not used. All convolutions that change the resolution are padded such that two positions stay two.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

LONGEST_PERIOD = 10_000.0


class StepEmbedding(nn.Module):
    """Noise levels as sines and cosines of `size / 2` frequencies each, then a Mish MLP.

    Args:
        size: Length of the embedding, even.
    """

    frequencies: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        half = size // 2
        exponents = torch.arange(half) / max(half - 1, 1)
        self.register_buffer("frequencies", torch.exp(-math.log(LONGEST_PERIOD) * exponents), persistent=False)
        self.network = nn.Sequential(nn.Linear(size, 4 * size), nn.Mish(), nn.Linear(4 * size, size))

    def forward(self, level: Tensor) -> Tensor:
        """`[N, size]` of levels `[N]`."""
        angles = level[:, None] * self.frequencies
        return cast(Tensor, self.network(torch.cat([angles.sin(), angles.cos()], dim=1)))


class FiLMBlock(nn.Module):
    """Two convolutions, the first followed by a scale and a bias that the context gives to every channel.

    Args:
        inputs: Channels that enter.
        outputs: Channels that leave.
        context: Length of the context.
        kernel: Convolution width, odd.
        groups: Groups of each GroupNorm.
    """

    def __init__(self, inputs: int, outputs: int, context: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, kernel, groups)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(context, 2 * outputs))
        self.second = convolution(outputs, outputs, kernel, groups)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Features `[N, outputs, T]` from features `[N, inputs, T]` and the context `[N, context]`."""
        scale, bias = self.film(context)[:, :, None].chunk(2, dim=1)
        return cast(Tensor, self.second(scale * self.first(x) + bias) + self.skip(x))


class ConditionalUNet1D(nn.Module):
    """x `[N, inputs, 2]` at a noise level, with a condition, to `[N, inputs, 2]`.

    Args:
        inputs: Channels of x.
        condition_size: Length of the condition.
        channels: Channels at each resolution, finest first, at least two.
        kernel: Convolution width, odd.
        groups: Groups of each GroupNorm; divides every entry of `channels`.
        step_embedding: Length of the noise level's embedding, even.
    """

    def __init__(
        self, inputs: int, condition_size: int, channels: tuple[int, ...], kernel: int, groups: int, step_embedding: int
    ) -> None:
        super().__init__()
        context = step_embedding + condition_size
        self.step_embedding = StepEmbedding(step_embedding)

        def two_blocks(entering: int, leaving: int) -> nn.ModuleList:
            sizes = (entering, leaving, leaving)
            return nn.ModuleList(FiLMBlock(a, b, context, kernel, groups) for a, b in pairwise(sizes))

        levels = range(len(channels) - 1)
        self.down = nn.ModuleList(two_blocks(a, b) for a, b in pairwise((inputs, *channels)))
        self.downsample = nn.ModuleList(nn.Conv1d(channels[i], channels[i], 2, stride=2, padding=1) for i in levels)
        self.middle = two_blocks(channels[-1], channels[-1])
        self.up = nn.ModuleList(two_blocks(2 * channels[i + 1], channels[i]) for i in reversed(levels))
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(channels[i], channels[i], 2, stride=2, padding=1) for i in reversed(levels)
        )
        self.head = nn.Sequential(
            convolution(channels[0], channels[0], kernel, groups), nn.Conv1d(channels[0], inputs, 1)
        )

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """The prediction `[N, inputs, 2]` for x `[N, inputs, 2]` at levels `[N]` with conditions `[N, C]`."""
        context = torch.cat([self.step_embedding(level), condition], dim=1)
        skips = []
        for i, blocks in enumerate(self.down):
            x = _through(blocks, x, context)
            skips.append(x)
            if i < len(self.downsample):
                x = self.downsample[i](x)
        x = _through(self.middle, x, context)
        for blocks, upsample in zip(self.up, self.upsample, strict=True):
            x = upsample(_through(blocks, torch.cat([x, skips.pop()], dim=1), context))
        return cast(Tensor, self.head(x))


def convolution(inputs: int, outputs: int, kernel: int, groups: int) -> nn.Sequential:
    """A convolution that keeps the length, GroupNorm and Mish."""
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.GroupNorm(groups, outputs), nn.Mish()
    )


def _through(blocks: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    for block in cast(nn.ModuleList, blocks):
        x = block(x, context)
    return x

"""The networks of G, the convolutional 1D-UNet and the released MLP, and that of F.

Choices are in `hyprepro.gen_hyprl.generators` and `hyprepro.gen_hyprl.discriminator`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from hyprepro.gen_hyprl.blocks import as_tokens, mlp

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.generators import UNet1DGenerator


class GeneratorNetwork(nn.Module, ABC):
    """G_zeta: Z-hat = G(tau_e, n) (stage 2)."""

    @abstractmethod
    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Latents `[N, 2, D]` from conditions tau_e `[N, C]` and standard normal noise n `[N, noise_size]`."""


TOKENS = 2


class Block(nn.Module):
    """Convolution, normalisation, conditioning, activation, convolution, plus the input."""

    def __init__(self, inputs: int, outputs: int, context: int, kernel: int, groups: int, film: bool) -> None:
        super().__init__()
        extra = 0 if film else context
        self.first = nn.Conv1d(inputs + extra, outputs, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(groups, outputs)
        self.film = nn.Linear(context, 2 * outputs) if film else None
        self.second = nn.Conv1d(outputs, outputs, kernel, padding=kernel // 2)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Features `[N, outputs, T]` from features `[N, inputs, T]` and the context `[N, context]`."""
        widened = x if self.film is not None else torch.cat([x, context[:, :, None].expand(-1, -1, x.shape[2])], dim=1)
        y = self.norm(self.first(widened))
        if self.film is not None:
            scale, shift = self.film(context)[:, :, None].chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return cast(Tensor, self.second(nn.functional.gelu(y)) + self.skip(x))


class UNet1D(GeneratorNetwork):
    """The network that `UNet1DGenerator` describes. Arguments as there, sizes as in `Generator.build`."""

    def __init__(self, settings: UNet1DGenerator, condition_size: int, noise_size: int, latent_size: int) -> None:
        super().__init__()
        widths, film, context = settings.channels, settings.conditioning == "film", settings.context
        self.latent_size, self.coarse_size = latent_size, latent_size // settings.patch
        self.context = mlp((condition_size + noise_size, 2 * context, context), last=True)
        with torch.no_grad():  # noise starts small beside the condition: what the prompt determines is learned first
            cast(nn.Linear, self.context[0]).weight[:, condition_size:] *= settings.noise_gain
        self.guess = nn.Linear(context, TOKENS * latent_size)
        self.stem = nn.Linear(context, widths[0] * self.coarse_size)

        def block(channels_in: int, channels_out: int) -> Block:
            return Block(channels_in, channels_out, context, settings.kernel, settings.groups, film)

        levels = range(len(widths) - 1)
        self.down = nn.ModuleList(block(widths[max(i - 1, 0)], widths[i]) for i in range(len(widths) - 1))
        self.downsample = nn.ModuleList(nn.Conv1d(widths[i], widths[i], 2, stride=2) for i in levels)
        self.middle = block(widths[-2], widths[-1])
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(widths[i + 1], widths[i], 2, stride=2) for i in reversed(levels)
        )
        self.up = nn.ModuleList(block(2 * widths[i], widths[i]) for i in reversed(levels))
        self.head = nn.ConvTranspose1d(widths[0], TOKENS, settings.patch, stride=settings.patch)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Latents `[N, 2, D]`."""
        context = self.context(torch.cat([condition, noise], dim=1))
        x = self.stem(context).unflatten(1, (-1, self.coarse_size))
        skips = []
        for down, downsample in zip(self.down, self.downsample, strict=True):
            x = down(x, context)
            skips.append(x)
            x = downsample(x)
        x = self.middle(x, context)
        for upsample, up in zip(self.upsample, self.up, strict=True):
            x = up(torch.cat([upsample(x), skips.pop()], dim=1), context)
        return as_tokens(self.guess(context)) + cast(Tensor, self.head(x))


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


class DiscriminatorNetwork(nn.Module):
    """F_mu.

    Args:
        body: Map of flattened latents `[N, 2 D]` -> features `[N, feature_size]`.
        feature_size: Length of the features.
    """

    def __init__(self, body: nn.Module, feature_size: int) -> None:
        super().__init__()
        self.body = body
        self.feature_size = feature_size
        self.head = nn.Linear(feature_size, 1)

    def features(self, latents: Tensor) -> Tensor:
        """What Q reads: features `[N, feature_size]` of latents `[N, 2, D]`."""
        return cast(Tensor, self.body(latents.flatten(1)))

    def logit(self, features: Tensor) -> Tensor:
        """Logit `[N]` of the probability that the latents with these features are real."""
        return cast(Tensor, self.head(features)).squeeze(1)

    def forward(self, latents: Tensor) -> Tensor:
        """Logit `[N]` of latents `[N, 2, D]`."""
        return self.logit(self.features(latents))

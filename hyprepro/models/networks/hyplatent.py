"""The deployable part of HypLatent; choices and sources in `hyprepro.models.hyplatent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from hyprepro.models.networks.blocks import condition_of
from hyprepro.models.networks.scaling import Scaling
from hyprepro.models.options import Condition, condition_size

if TYPE_CHECKING:
    from hyprepro.models.hyplatent import HypLatent


class LatentGenerator(nn.Module):
    """G with the fixed scalings around it: what deployment needs.

    Args:
        settings: The HypLatent settings.
        embedding_size: E, the length of h and of v.
        latent_size: D.
    """

    def __init__(self, settings: HypLatent, embedding_size: int, latent_size: int) -> None:
        super().__init__()
        self.kind: Condition = settings.condition
        self.noise_size = settings.noise_size
        self.network = settings.generator.build(
            condition_size(embedding_size, settings.condition), settings.noise_size, latent_size
        )
        self.scaling = Scaling((2, latent_size))

    def scaled(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Generated latents `[N, 2, D]` in the scaling in which G is trained."""
        return cast(Tensor, self.network(condition_of(h, v, self.kind), noise))

    def generate(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Z-hat `[N, 2, D]`, ready for the decoder, from embeddings `[N, E]` and noise `[N, noise_size]`."""
        return self.scaling.inverse(self.scaled(h, v, noise))

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """One draw `[N, 2, D]` a prompt, ready for the decoder; the noise comes from `draws`."""
        return self.generate(h, v, torch.randn(len(h), self.noise_size, generator=draws))

"""The deployable part of Make-An-Agent's diffusion; choices and sources in `hyprepro.models.make_an_agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from hyprepro.models.networks.blocks import condition_of
from hyprepro.models.networks.conditional_unet1d import ConditionalUNet1D
from hyprepro.models.networks.ddim import DDIM
from hyprepro.models.networks.scaling import Scaling
from hyprepro.models.options import Condition, condition_size

if TYPE_CHECKING:
    from hyprepro.models.make_an_agent import LatentDiffusion

TOKENS = 2


class LatentDenoiser(torch.nn.Module):
    """The denoiser with the noise schedule and the fixed scalings around it: what deployment needs.

    Args:
        settings: The diffusion's settings.
        embedding_size: E, the length of h and of v.
        latent_size: D.
    """

    def __init__(self, settings: LatentDiffusion, embedding_size: int, latent_size: int) -> None:
        super().__init__()
        self.kind: Condition = settings.condition
        self.ddim = DDIM(settings.noise_levels, settings.inference_steps, settings.clip)
        size = condition_size(embedding_size, settings.condition)
        self.network = ConditionalUNet1D(
            latent_size, size, settings.channels, settings.kernel, settings.groups, settings.step_embedding
        )
        self.scaling = Scaling((TOKENS, latent_size))
        self.condition_scaling = Scaling((size,))

    def condition(self, h: Tensor, v: Tensor) -> Tensor:
        """What the denoiser sees of embeddings `[N, E]`, scaled."""
        return cast(Tensor, self.condition_scaling(condition_of(h, v, self.kind)))

    def predicted(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """The clean latents `[N, 2, D]` that x `[N, 2, D]` at noise levels `[N]` is taken for, both scaled.

        The latent's entries are the UNet's channels, its two tokens the positions.
        """
        return cast(Tensor, self.network(x.mT, level, condition)).mT

    def scaled(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Generated latents `[N, 2, D]` in the scaling in which the denoiser is trained."""
        condition = self.condition(h, v)

        def predict(x: Tensor, level: int) -> Tensor:
            return self.predicted(x, torch.full((len(x),), level, device=x.device), condition)

        return self.ddim.sample(predict, noise)

    def generate(self, h: Tensor, v: Tensor, noise: Tensor) -> Tensor:
        """Z-hat `[N, 2, D]`, ready for the decoder, from embeddings `[N, E]` and noise `[N, 2, D]`."""
        return self.scaling.inverse(self.scaled(h, v, noise))

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """One draw `[N, 2, D]` a prompt, ready for the decoder; the noise comes from `draws`."""
        return self.generate(h, v, torch.randn(len(h), *self.scaling.shift.shape, generator=draws))

"""Make-An-Agent: the method that Gen-HypRL is compared with, a diffusion model in the place of HypLatent and HypFormer.

With the defaults its autoencoder and its embedding are those of Gen-HypRL, so that the generator alone differs;
`gin/components/method/make_an_agent_published.gin` gives it its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.methods.gen_hyprl import LatentMethod
from hyprepro.models.make_an_agent import LatentDiffusion
from hyprepro.recipe import component, setting
from hyprepro.stages.assembled import Assemble
from hyprepro.stages.latent_diffusion import TrainLatentDiffusion

if TYPE_CHECKING:
    from hyprepro.stores.files import StoreFiles


@component
class MakeAnAgent(LatentMethod):
    """One draw of a diffusion model over latents a prompt, conditioned on (h, v); decoded like Gen-HypRL's."""

    label: ClassVar[str] = "make-an-agent"

    diffusion: LatentDiffusion = setting(LatentDiffusion(), "the diffusion model and how it is trained")

    def training(self, data: StoreFiles, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and diffusion model."""
        latents = self.encoded(data)
        return Assemble(latents.autoencoder, latents.embedding, TrainLatentDiffusion(latents, self.diffusion, seed))

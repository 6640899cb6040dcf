"""A plain regressor in the place of HypLatent and HypFormer: no noise, no discriminator, no aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.methods.gen_hyprl import LatentMethod
from hyprepro.models.regressor import MLPRegressor, Regressor
from hyprepro.recipe import component, setting
from hyprepro.stages.assembled import Assemble
from hyprepro.stages.regressor import TrainRegressor

if TYPE_CHECKING:
    from hyprepro.stores.files import StoreFiles


@component
class MSERegressor(LatentMethod):
    """An MLP from the behaviour embedding to the latent, trained by the squared error; decoded like Gen-HypRL's."""

    label: ClassVar[str] = "mse-regressor"

    regressor: Regressor = setting(MLPRegressor(), "the MLP and how it is trained")

    def training(self, data: StoreFiles, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and regressor."""
        latents = self.encoded(data)
        return Assemble(latents.autoencoder, latents.embedding, TrainRegressor(latents, self.regressor, seed))

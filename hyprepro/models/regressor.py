"""The plain competitor of HypLatent and HypFormer: an MLP that regresses the latent from the behaviour embedding.

Not in the paper. It answers what the adversarial training, the noise and the aggregation add to a squared error.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hyprepro.models.optimiser import Trained
from hyprepro.models.options import Condition, Scale, condition_size
from hyprepro.recipe import Width, component, setting

if TYPE_CHECKING:
    from hyprepro.models.networks.regressor import LatentRegressor


class Regressor(Trained):
    """Slot of the regressor."""

    slot: ClassVar[str] = "regressor"

    condition: Condition = setting("h_and_v", "what the regressor sees: h_and_v or h")
    latent_scaling: Scale = setting("common", "scaling of latents: common, standard, minmax or none")

    @abstractmethod
    def build(self, embedding_size: int, latent_size: int) -> LatentRegressor:
        """An untrained regressor."""


@component
class MLPRegressor(Regressor):
    """A GELU MLP trained by the mean squared error."""

    hidden: tuple[Width, ...] = setting((512, 512), "hidden widths")
    dropout: float = setting(0.1, "share of hidden units dropped in training", ge=0, lt=1)
    steps: int = setting(1500, "training steps", ge=0)
    batch_size: int = setting(64, "prompts a step", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size", gt=0, le=1)
    weight_decay: float = setting(1e-2, "weight decay", ge=0)

    def build(self, embedding_size: int, latent_size: int) -> LatentRegressor:
        """An untrained MLP."""
        from hyprepro.models.networks.blocks import mlp
        from hyprepro.models.networks.regressor import LatentRegressor

        sizes = (condition_size(embedding_size, self.condition), *self.hidden, 2 * latent_size)
        return LatentRegressor(mlp(sizes, dropout=self.dropout), latent_size, self.condition)

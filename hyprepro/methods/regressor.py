"""A plain regressor from condition to latent in the place of HypLatent and HypFormer, trained by the squared error.

Not in the paper. It answers what the adversarial training, the noise and the aggregation add to a squared error.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.engine.trained import Trained
from hyprepro.gen_hyprl.assembled import Assemble
from hyprepro.gen_hyprl.choices import Condition, Scale, condition_size
from hyprepro.gen_hyprl.conditions import LatentModel
from hyprepro.methods.gen_hyprl import LatentMethod, for_condition

if TYPE_CHECKING:
    from hyprepro.domains.base import Data, Query
    from hyprepro.methods.regressor_net import LatentRegressor, RegressorJob


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
        from hyprepro.gen_hyprl.blocks import mlp
        from hyprepro.methods.regressor_net import LatentRegressor

        sizes = (condition_size(embedding_size, self.condition), *self.hidden, 2 * latent_size)
        return LatentRegressor(mlp(sizes, dropout=self.dropout), latent_size, self.condition)


@dataclass(frozen=True)
class TrainRegressor(LatentModel["LatentRegressor"]):
    """Trains a regressor: `predict(h [N, E], v [N, E]) -> Z [N, 2, D]`.

    Metrics: `loss`; on held-out prompts `validation_error` (mean squared error over the variance of true latents).
    """

    kind: ClassVar[str] = "regressor"
    seconds: ClassVar[tuple[float, float]] = (2, 1e-4)

    model: Regressor

    def job(self, inputs: dict[str, Path]) -> Callable[[], RegressorJob]:
        """On the encoded conditions."""
        from hyprepro.methods.regressor_net import RegressorJob

        return partial(RegressorJob, self.model, *self.latents.load(inputs["latents"]))


@component
class MSERegressor(LatentMethod):
    """An MLP from the condition to the latent, trained by the squared error; decoded like Gen-HypRL's.

    Nothing is drawn: a task told by numbers has one policy, whatever `draws` says.
    """

    label: ClassVar[str] = "mse-regressor"

    regressor: Regressor = setting(MLPRegressor(), "the MLP and how it is trained")

    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and regressor."""
        return Assemble.of(TrainRegressor(for_condition(self.regressor, data), self.encoded(data), seed=seed))

    def _counted(self, query: Query) -> Query:
        return query._replace(n=query.n or 1)

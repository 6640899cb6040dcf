"""A plain regressor from condition to latent in the place of HypLatent and HypFormer, trained by the squared error.

Not in the paper. It answers what the adversarial training, the noise and the aggregation add to a squared error.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.engine.stage import Report
from hyprepro.gen_hyprl.assembled import Assemble
from hyprepro.gen_hyprl.conditions import EncodedConditions
from hyprepro.gen_hyprl.latent_model import LatentModel
from hyprepro.gen_hyprl.training import Condition, Scale, Trained, condition_size
from hyprepro.methods.gen_hyprl import LatentMethod, for_condition

if TYPE_CHECKING:
    from hyprepro.domains.base import Data, Query
    from hyprepro.methods.regressor_net import LatentRegressor


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


WEIGHTS = "regressor.safetensors"


@dataclass(frozen=True)
class TrainRegressor(LatentModel):
    """Trains a regressor on the encoded training samples.

    Attributes:
        latents: The encoded prompts, or other conditions.
        regressor: The network and how it is trained.
        seed: The generator seed.

    Metrics: `loss`; on held-out prompts `validation_error` (mean squared error over the variance of true latents).
    """

    kind: ClassVar[str] = "regressor"
    version: ClassVar[int] = 1

    latents: EncodedConditions
    regressor: Regressor
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{type(self.regressor).__name__}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 2 + 1e-4 * self.regressor.batch_size * self.regressor.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.engine import training
        from hyprepro.methods.regressor_net import RegressorJob

        prompts, held_out = self.latents.load(inputs["latents"])
        job = training.train(
            lambda: RegressorJob(self.regressor, prompts, held_out), self.regressor.steps, work, report, self.seed
        )
        training.save_weights(job.modules["regressor"], work / WEIGHTS)
        training.write_sizes(work, prompts.sizes)

    def load(self, path: Path) -> LatentRegressor:
        """The trained regressor, frozen: `predict(h [N, E], v [N, E]) -> Z [N, 2, D]`."""
        from hyprepro.engine.training import load_weights, sizes_in
        from hyprepro.gen_hyprl.blocks import frozen

        model = self.regressor.build(*sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)


@component
class MSERegressor(LatentMethod):
    """An MLP from the condition to the latent, trained by the squared error; decoded like Gen-HypRL's.

    Nothing is drawn: a task told by numbers has one policy, whatever `draws` says.
    """

    label: ClassVar[str] = "mse-regressor"

    regressor: Regressor = setting(MLPRegressor(), "the MLP and how it is trained")

    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and regressor."""
        return Assemble.of(TrainRegressor(self.encoded(data), for_condition(self.regressor, data), seed))

    def _counted(self, query: Query) -> Query:
        return query._replace(n=query.n or 1)

"""The competitor of stages 2 and 3: train a regressor from behaviour embedding to latent by the squared error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage
from hyprepro.models.regressor import Regressor
from hyprepro.stages.latents import EncodedConditions

if TYPE_CHECKING:
    from hyprepro.models.networks.regressor import LatentRegressor

WEIGHTS = "regressor.safetensors"


@dataclass(frozen=True)
class TrainRegressor(Stage):
    """Trains a regressor on the encoded training prompts.

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
        from hyprepro.stages import training
        from hyprepro.stages.regressor_job import RegressorJob

        prompts, held_out = self.latents.load(inputs["latents"])
        job = training.train(
            lambda: RegressorJob(self.regressor, prompts, held_out), self.regressor.steps, work, report, self.seed
        )
        training.save_weights(job.modules["regressor"], work / WEIGHTS)
        training.write_sizes(work, prompts.sizes)

    def load(self, path: Path) -> LatentRegressor:
        """The trained regressor, frozen: `predict(h [N, E], v [N, E]) -> Z [N, 2, D]`."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights, sizes_in

        model = self.regressor.build(*sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)

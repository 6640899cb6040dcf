"""Stage 2: train HypLatent's generator against its discriminator (eq. 3 to 5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage
from hyprepro.models.hyplatent import HypLatent
from hyprepro.stages.latents import EncodedConditions

if TYPE_CHECKING:
    from hyprepro.models.networks.hyplatent import LatentGenerator

WEIGHTS = "generator.safetensors"


@dataclass(frozen=True)
class TrainHypLatent(Stage):
    """Trains G, F and Q on the encoded training prompts; keeps G.

    Attributes:
        latents: The encoded prompts, or other conditions.
        hyplatent: The networks and how they are trained.
        seed: The generator seed.

    Metrics: `generator_loss` (eq. 3), `discriminator_loss` (eq. 4), `regulariser` (eq. 5 without its weight),
    `supervised_error` (in the scaling of G). On held-out prompts: `validation_error` (mean squared error of one draw
    over the variance of the true latents: 1 is what their mean reaches), `validation_error_of_mean` (of the mean of 8
    draws), `validation_diversity` (variance between draws over the variance of true latents).
    """

    kind: ClassVar[str] = "hyplatent"
    version: ClassVar[int] = 1

    latents: EncodedConditions
    hyplatent: HypLatent
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"HypLatent with {type(self.hyplatent.generator).__name__}, seed {self.seed} (eq. 3-5)"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 2 + 4e-4 * self.hyplatent.batch_size * self.hyplatent.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write G's weights."""
        from hyprepro.stages import training
        from hyprepro.stages.hyplatent_job import HypLatentJob

        prompts, held_out = self.latents.load(inputs["latents"])
        job = training.train(
            lambda: HypLatentJob(self.hyplatent, prompts, held_out), self.hyplatent.steps, work, report, self.seed
        )
        training.save_weights(job.kept, work / WEIGHTS)
        training.write_sizes(work, prompts.sizes)

    def load(self, path: Path) -> LatentGenerator:
        """The trained generator, frozen: `generate(h [N, E], v [N, E], noise [N, n]) -> Z [N, 2, D]`."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights, sizes_in

        model = self.hyplatent.build(*sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)

"""Stage 3: train HypFormer on the frozen generator's candidates (eq. 6 to 9)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage
from hyprepro.models.hypformer import Aggregation, HypFormer
from hyprepro.stages.hyplatent import TrainHypLatent
from hyprepro.stages.latents import EncodedConditions

if TYPE_CHECKING:
    from hyprepro.models.networks.hypformer import CandidateAggregator

WEIGHTS = "hypformer.safetensors"


@dataclass(frozen=True)
class TrainHypFormer(Stage):
    """Trains HypFormer; G stays as it is.

    Attributes:
        latents: The encoded prompts, or other conditions.
        hyplatent: The trained generator.
        hypformer: The network and how it is trained, or an aggregation that needs no training.
        seed: The generator seed.

    Metrics: `loss` (eq. 9) and `similarity_loss`, `residue_loss`, `consistency_loss` (eq. 6, 7, 8). On held-out
    prompts: `validation_error` (mean squared error over the variance of true latents) and
        `validation_error_of_mean_candidate`.
    """

    kind: ClassVar[str] = "hypformer"
    version: ClassVar[int] = 1

    latents: EncodedConditions
    hyplatent: TrainHypLatent
    hypformer: Aggregation
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{type(self.hypformer).__name__}, seed {self.seed} (eq. 6-9)"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        settings = self.hypformer
        return 3 + 1.7e-3 * settings.batch_size * settings.steps if isinstance(settings, HypFormer) else 1.0

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train what is to be trained, and write the weights."""
        from hyprepro.stages import training
        from hyprepro.stages.hypformer_job import HypFormerJob

        settings = self.hypformer
        prompts, held_out = self.latents.load(inputs["latents"])
        if isinstance(settings, HypFormer):
            generator = self.hyplatent.load(inputs["hyplatent"])
            job = training.train(
                lambda: HypFormerJob(settings, generator, prompts, held_out, self.seed),
                settings.steps,
                work,
                report,
                self.seed,
            )
            model = job.modules["hypformer"]
        else:
            model = settings.build(*prompts.sizes)
        training.save_weights(model, work / WEIGHTS)
        training.write_sizes(work, prompts.sizes)

    def load(self, path: Path) -> CandidateAggregator:
        """The trained aggregation, frozen: `aggregate(candidates [N, L, 2, D], h, v) -> Z [N, 2, D]`."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights, sizes_in

        model = self.hypformer.build(*sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)

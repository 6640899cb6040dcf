"""Make-An-Agent's third stage: train the diffusion over latents, in the place of stages 2 and 3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage
from hyprepro.models.make_an_agent import LatentDiffusion
from hyprepro.stages.latents import EncodePrompts

if TYPE_CHECKING:
    from hyprepro.models.networks.latent_diffusion import LatentDenoiser

WEIGHTS = "diffusion.safetensors"


@dataclass(frozen=True)
class TrainLatentDiffusion(Stage):
    """Trains the denoiser on the encoded training prompts.

    Attributes:
        latents: The encoded prompts.
        diffusion: The denoiser and how it is trained.
        seed: The generator seed.

    Metrics: `loss` (mean squared error of the predicted latent over all noise levels, in the scaling of training). On
    held-out prompts, after the whole sampling, `validation_error`, `validation_error_of_mean` and
    `validation_diversity` as `TrainHypLatent` has them, in the scaling "common" whatever the scaling of training.
    """

    kind: ClassVar[str] = "latent-diffusion"
    version: ClassVar[int] = 1

    latents: EncodePrompts
    diffusion: LatentDiffusion
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"Make-An-Agent's latent diffusion, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 2 + 9e-4 * self.diffusion.batch_size * self.diffusion.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.stages import training
        from hyprepro.stages.latent_diffusion_job import LatentDiffusionJob

        prompts, held_out = self.latents.load(inputs["latents"])
        job = training.train(
            lambda: LatentDiffusionJob(self.diffusion, prompts, held_out),
            self.diffusion.steps,
            work,
            report,
            self.seed,
        )
        training.save_weights(job.kept, work / WEIGHTS)
        training.write_sizes(work, prompts.sizes)

    def load(self, path: Path) -> LatentDenoiser:
        """The trained denoiser, frozen: `generate(h [N, E], v [N, E], noise [N, 2, D]) -> Z [N, 2, D]`."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights, sizes_in

        model = self.diffusion.build(*sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)

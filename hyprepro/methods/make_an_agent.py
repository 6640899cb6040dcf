"""Make-An-Agent: a diffusion model of latents, conditioned on (h, v), in the place of HypLatent and HypFormer.

Source: Make-An-Agent (arXiv 2407.10973), the method that Gen-HypRL replaces, and its released code. With the
    defaults its autoencoder and embedding are those of Gen-HypRL, so that the generator alone differs.
Published: a conditional 1D-UNet (512, 1,024, 2,048 channels, kernel 3, 8 groups, FiLM, step embedding of 128) on the
    latent as a sequence of 2 tokens with 1,024 channels, conditioned on (h, v); 100 noise levels of the squared cosine
    schedule, the network predicts the clean latent, 10 DDIM steps; latents and conditions min-max scaled to [-1, 1] and
    predictions clamped to it; AdamW 2e-4 (0.95, 0.999), weight decay 5e-4, batches of 128, cosine warm restarts, 1,000
    epochs. A running mean of the weights (up to 0.9999) is kept and not evaluated: the released code saves the last
    weights whenever the validation loss has fallen.
We chose: latents scaled as HypLatent's and not clamped (each entry to its own range lets small entries count as much
    as large ones); the running mean is evaluated; a smaller network and a larger step size. With "minmax" each token
    has ranges of its own (published: one range for both), and nothing is selected by validation loss.
    `gin/components/method/make_an_agent_published.gin` binds what is published, an
    autoencoder and an embedding of its own included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import Betas, Width, component, setting
from hyprepro.engine.trained import Schedule, Trained
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.assembled import Assemble
from hyprepro.gen_hyprl.choices import Condition, Scale
from hyprepro.gen_hyprl.conditions import LatentModel
from hyprepro.methods.gen_hyprl import LatentMethod, for_condition

if TYPE_CHECKING:
    from hyprepro.domains.base import Data
    from hyprepro.methods.make_an_agent_net import LatentDenoiser, LatentDiffusionJob


@component
class LatentDiffusion(Trained):
    """Make-An-Agent's conditional diffusion over latents and its training."""

    slot: ClassVar[str] = "diffusion"

    condition: Condition = setting("h_and_v", "what the denoiser sees: h_and_v or h", source="Make-An-Agent")
    channels: tuple[Width, ...] = setting(
        (128, 256), "channels at each resolution, finest first (Make-An-Agent: 512, 1024, 2048)", min_length=2
    )
    kernel: int = setting(3, "convolution width (odd)", source="Make-An-Agent", ge=1, le=15)
    groups: Width = setting(8, "groups of each GroupNorm; divides every entry of channels", source="Make-An-Agent")
    step_embedding: int = setting(
        128, "length of the noise level's embedding (even)", source="Make-An-Agent", ge=2, le=16_384, multiple_of=2
    )
    noise_levels: Width = setting(100, "noise levels in training", source="Make-An-Agent")
    inference_steps: Width = setting(10, "DDIM steps a generated latent", source="Make-An-Agent")
    clip: float = setting(
        0.0, "clamp of predicted scaled latents in sampling (Make-An-Agent: 1); 0 switches it off", ge=0
    )
    latent_scaling: Scale = setting("common", "scaling of latents: common, standard, minmax (Make-An-Agent) or none")
    condition_scaling: Scale = setting("minmax", "scaling of (h, v)", source="Make-An-Agent")
    evaluated: Literal["last", "ema"] = setting(
        "ema", "the weights that are kept: their running mean, or the last ones (Make-An-Agent)"
    )
    average_decay: float = setting(
        0.99, "largest decay of that running mean (Make-An-Agent: 0.9999, not evaluated)", ge=0, lt=1
    )

    steps: int = setting(400, "training steps", ge=0)
    batch_size: int = setting(128, "prompts a step", source="Make-An-Agent", ge=2)
    learning_rate: float = setting(1e-3, "AdamW's step size (Make-An-Agent: 2e-4)", gt=0, le=1)
    betas: Betas = setting((0.95, 0.999), "AdamW's decay rates", source="Make-An-Agent")
    weight_decay: float = setting(5e-4, "weight decay", source="Make-An-Agent", ge=0)
    schedule: Schedule = setting("cosine", "learning rate over time (Make-An-Agent: warm_restarts)")

    def check(self) -> None:
        """Groups, kernel and numbers of steps fit (`UserError` if not)."""
        if any(width % self.groups for width in self.channels) or self.kernel % 2 == 0:
            raise UserError(
                f"channels {self.channels} must be multiples of groups = {self.groups}, kernel = {self.kernel} odd.",
                where="LatentDiffusion.channels, LatentDiffusion.groups, LatentDiffusion.kernel",
                fix="hyprepro explain LatentDiffusion",
            )
        if self.inference_steps > self.noise_levels:
            raise UserError(
                f"{self.inference_steps} DDIM steps need at least as many noise levels; there are {self.noise_levels}.",
                where="LatentDiffusion.inference_steps, LatentDiffusion.noise_levels",
                fix="lower inference_steps or raise noise_levels",
            )

    def build(self, embedding_size: int, latent_size: int) -> LatentDenoiser:
        """An untrained denoiser with its scalings (`UserError` if its settings do not fit together)."""
        from hyprepro.methods.make_an_agent_net import LatentDenoiser

        self.check()
        return LatentDenoiser(self, embedding_size, latent_size)


@dataclass(frozen=True)
class TrainLatentDiffusion(LatentModel["LatentDenoiser"]):
    """Trains the denoiser: `generate(h [N, E], v [N, E], noise [N, 2, D]) -> Z [N, 2, D]`.

    Metrics: `loss` (mean squared error of the predicted latent over all noise levels, in the scaling of training). On
    held-out prompts, after the whole sampling, `validation_error`, `validation_error_of_mean` and
    `validation_diversity` as `TrainHypLatent` has them, in the scaling "common" whatever the scaling of training.
    """

    kind: ClassVar[str] = "latent-diffusion"
    seconds: ClassVar[tuple[float, float]] = (2, 9e-4)

    model: LatentDiffusion

    def job(self, inputs: dict[str, Path]) -> Callable[[], LatentDiffusionJob]:
        """On the encoded conditions."""
        from hyprepro.methods.make_an_agent_net import LatentDiffusionJob

        return partial(LatentDiffusionJob, self.model, *self.latents.load(inputs["latents"]))


@component
class MakeAnAgent(LatentMethod):
    """Each policy is one draw of a diffusion model over latents, conditioned on (h, v); decoded like Gen-HypRL's."""

    label: ClassVar[str] = "make-an-agent"

    diffusion: LatentDiffusion = setting(LatentDiffusion(), "the diffusion model and how it is trained")

    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and diffusion model."""
        return Assemble.of(TrainLatentDiffusion(for_condition(self.diffusion, data), self.encoded(data), seed=seed))

"""HypLatent: the generator G with everything that trains it (stage 2, eq. 3 to 5).

Paper says: G by eq. 3, F by eq. 4, and eq. 5 on both; tau_e = (h, v) and noise n ~ N(0, I) of 128 numbers enter G. No
    lambda_reg, no optimiser, no length of training, no scaling of latents.
Released code does: condition h alone; latents scaled to [-1, 1] entry by entry; the non-saturating loss with smoothed
    labels; **1e3 x the squared error to the true latent** in G's loss, which eq. 3 lacks; two G steps an iteration;
    then one step of 1e3 x eq. 5 on G, F and Q; Adam 2e-4 (0.5, 0.999), weight decay 1e-5, batch 128, 5,000 epochs.
We chose: see the defaults below; `gin/variants/` moves all disputed points together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import Betas, Width, component, setting
from hyprepro.engine.trained import Trained
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.choices import Condition, GeneratorLoss, Scale
from hyprepro.gen_hyprl.conditions import LatentModel
from hyprepro.gen_hyprl.discriminator import AuxHead, Discriminator, MLPAuxHead, MLPDiscriminator
from hyprepro.gen_hyprl.generators import Generator, UNet1DGenerator

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.autoencoder import Autoencoder
    from hyprepro.gen_hyprl.hyplatent_net import HypLatentJob, LatentGenerator


@component
class HypLatent(Trained):
    """Stage 2: the adversarial training of G against F, regularised by Q."""

    slot: ClassVar[str] = "hyplatent"

    generator: Generator = setting(UNet1DGenerator(), "G", source="paper, experimental results")
    discriminator: Discriminator = setting(MLPDiscriminator(), "F", source="paper, experimental results")
    aux_head: AuxHead = setting(MLPAuxHead(), "Q", source="paper, experimental results")
    condition: Condition = setting("h_and_v", "what G and Q see: h_and_v, or h (released code)", source="paper")
    noise_size: Width = setting(128, "length of the noise n", source="paper, experimental setup")
    latent_scaling: Scale = setting("common", "scaling of latents: common, standard, minmax (released code) or none")
    generator_loss: GeneratorLoss = setting(
        "nonsaturating", "eq. 3 as printed (saturating), or nonsaturating (released code)"
    )
    label_smoothing: bool = setting(True, "smoothed labels for F and G (released code)")
    generator_steps: int = setting(1, "steps of G for each step of F (released code: 2)", ge=1)
    adversarial_weight: float = setting(0.1, "weight of eq. 3 in G's loss (paper, released: 1)", ge=0)
    supervised_weight: float = setting(1e3, "weight of the squared error to the true latent (absent from eq. 3)", ge=0)
    lambda_reg: float = setting(0.1, "lambda_reg of eq. 5 (released code: 1e3)", ge=0)
    regulariser: Literal["joint", "separate"] = setting(
        "joint", "eq. 5 inside the steps of F (with Q) and G, or in a step of its own on G, F and Q (released code)"
    )
    condition_noise: float = setting(
        0.0, "deviation of noise on h and v in training, relative to their deviation over the training prompts", ge=0
    )
    average_decay: float = setting(
        0.99, "decay of the running mean of G's weights that is kept; 0 keeps the last ones", ge=0, lt=1
    )

    steps: int = setting(1200, "training steps", ge=0)
    batch_size: int = setting(64, "prompts a step (released code: 128)", ge=2)
    learning_rate: float = setting(3e-3, "Adam's step size (released code: 2e-4)", gt=0, le=1)
    betas: Betas = setting((0.5, 0.999), "Adam's decay rates", source="released code")
    weight_decay: float = setting(1e-2, "weight decay (released code: 1e-5)", ge=0)

    def check_latents_of(self, autoencoder: Autoencoder) -> None:
        """G can make latents of an autoencoder's size (`UserError` if not)."""
        try:
            self.generator.check_latents(autoencoder.latent_size)
        except UserError as error:
            where = f"{error.where}, {type(autoencoder).__name__}.latent_size"
            raise UserError(error.what, where=where, fix=error.fix) from None

    def build(self, embedding_size: int, latent_size: int) -> LatentGenerator:
        """An untrained generator with its scaling."""
        from hyprepro.gen_hyprl.hyplatent_net import LatentGenerator

        return LatentGenerator(self, embedding_size, latent_size)


@dataclass(frozen=True)
class TrainHypLatent(LatentModel["LatentGenerator"]):
    """Trains G, F and Q; keeps G: `generate(h [N, E], v [N, E], noise [N, n]) -> Z [N, 2, D]`.

    Metrics: `generator_loss` (eq. 3), `discriminator_loss` (eq. 4), `regulariser` (eq. 5 without its weight),
    `supervised_error` (in the scaling of G). On held-out prompts: `validation_error` (mean squared error of one draw
    over the variance of the true latents: 1 is what their mean reaches), `validation_error_of_mean` (of the mean of 8
    draws), `validation_diversity` (variance between draws over the variance of true latents).
    """

    kind: ClassVar[str] = "hyplatent"
    seconds: ClassVar[tuple[float, float]] = (2, 4e-4)

    model: HypLatent

    def job(self, inputs: dict[str, Path]) -> Callable[[], HypLatentJob]:
        """On the encoded conditions."""
        from hyprepro.gen_hyprl.hyplatent_net import HypLatentJob

        return partial(HypLatentJob, self.model, *self.latents.load(inputs["latents"]))

"""HypFormer: one transformer layer that aggregates L generated latents into one (stage 3, eq. 6 to 9).

Paper says: tokens (Z_token, Z-hat_1 .. Z-hat_L, tau_e), self-attention without positional encoding (width 256, 128
    heads, one layer), a shared MLP, a latent head and a residue head, both averaged over the tokens; the output is
    their sum. The residue's target is the difference between the true latent and the latent head's prediction.
Released code does: tau_e is h alone; batch_first is missing, so that attention runs over the *batch* and no candidate
    sees another; the residue's target is the true latent minus the mean candidate; smooth L1 in place of eq. 7;
    feed-forward width 2,048.
We chose: attention over candidates; the latent head predicts a correction to the mean candidate, so that an untrained
    HypFormer already returns the mean (`latent_skip`); the target of the residue head carries no gradient.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import Betas, Component, Width, component, setting
from hyprepro.engine.stage import Report
from hyprepro.engine.trained import Trained, TrainedStage
from hyprepro.gen_hyprl.choices import Condition, ResidueLoss, ResidueTarget, Similarity, check_heads
from hyprepro.gen_hyprl.conditions import EncodedConditions
from hyprepro.gen_hyprl.hyplatent import TrainHypLatent

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.hypformer_net import Aggregator, CandidateAggregator, HypFormerJob, MeanOfCandidates


class Aggregation(Component):
    """Slot of stage 3: makes one latent of L candidates."""

    slot: ClassVar[str] = "hypformer"

    candidates: Width = setting(8, "L, latents generated a prompt", source="paper, stage 3")

    @abstractmethod
    def build(self, embedding_size: int, latent_size: int) -> CandidateAggregator:
        """The untrained aggregator."""


@component
class MeanAggregator(Aggregation):
    """The mean of the candidates in HypFormer's place: what drawing L latents is worth without a transformer."""

    def build(self, embedding_size: int, latent_size: int) -> MeanOfCandidates:
        """The mean; there is nothing to train."""
        from hyprepro.gen_hyprl.hypformer_net import MeanOfCandidates

        return MeanOfCandidates()


@component
class HypFormer(Aggregation, Trained):
    """Stage 3: soft-weighted aggregation of candidates and its training."""

    width: Width = setting(256, "token width", source="paper, experimental setup")
    heads: Width = setting(128, "attention heads; divides width", source="paper, experimental setup")
    feedforward: Width = setting(512, "width of the layer's feed-forward part (released code: 2048)")
    dropout: float = setting(0.1, "dropout inside the layer and its MLPs", source="released code", ge=0, lt=1)
    attention: Literal["candidates", "batch"] = setting(
        "candidates", "what attends to each other: the tokens of one prompt, or the prompts of a batch (released code)"
    )
    condition: Condition = setting("h_and_v", "tau_e's token: h_and_v, or h (released code)", source="paper")
    residue_target: ResidueTarget = setting(
        "latent_head",
        "the residue's base: the latent head's output, or the mean candidate (released code)",
        source="paper",
    )
    residue_loss: ResidueLoss = setting(
        "squared", "eq. 7 as printed (squared), or smooth_l1 (released code)", source="paper, eq. 7"
    )
    similarity: Similarity = setting("cosine", "eq. 6 with the norms' product (cosine), or as printed (paper)")
    latent_skip: bool = setting(
        True, "the latent head predicts a correction to the mean candidate (paper, released: False)"
    )
    lambda_sim: float = setting(1e3, "weight of eq. 6", source="paper, eq. 9", ge=0)
    lambda_res: float = setting(1e3, "weight of eq. 7", source="paper, eq. 9", ge=0)
    lambda_c: float = setting(1e3, "weight of eq. 8", source="paper, eq. 9", ge=0)
    bank: int = setting(
        16,
        "candidates drawn once for each training prompt, of which a step samples L; 0 draws new ones each step",
        ge=0,
    )

    steps: int = setting(400, "training steps", ge=0)
    batch_size: int = setting(32, "prompts a step (released code: 128)", ge=2)
    learning_rate: float = setting(3e-4, "Adam's step size (released code: 2e-4)", gt=0, le=1)
    betas: Betas = setting((0.9, 0.999), "Adam's decay rates (released code: 0.5, 0.999)")
    weight_decay: float = setting(1e-2, "weight decay (released code: 1e-5)", ge=0)

    def check(self) -> None:
        """The heads share the width evenly (`UserError` if not)."""
        check_heads("HypFormer", "width", self.width, self.heads)

    def build(self, embedding_size: int, latent_size: int) -> Aggregator:
        """An untrained HypFormer (`UserError` if its settings do not fit together)."""
        from hyprepro.gen_hyprl.hypformer_net import Aggregator

        self.check()
        return Aggregator(self, embedding_size, latent_size)


@dataclass(frozen=True)
class TrainHypFormer(TrainedStage["CandidateAggregator"]):
    """Trains HypFormer; G stays as it is: `aggregate(candidates [N, L, 2, D], h, v) -> Z [N, 2, D]`.

    Attributes:
        model: The network and how it is trained, or an aggregation that needs no training.
        latents: The encoded prompts, or other conditions.
        hyplatent: The trained generator.

    Metrics: `loss` (eq. 9) and `similarity_loss`, `residue_loss`, `consistency_loss` (eq. 6, 7, 8). On held-out
    prompts: `validation_error` (mean squared error over the variance of true latents) and
        `validation_error_of_mean_candidate`.
    """

    kind: ClassVar[str] = "hypformer"
    seconds: ClassVar[tuple[float, float]] = (3, 1.7e-3)

    model: Aggregation
    latents: EncodedConditions
    hyplatent: TrainHypLatent

    @property
    def cost(self) -> float:
        """Next to nothing where nothing is trained."""
        return super().cost if isinstance(self.model, HypFormer) else 1.0

    def job(self, inputs: dict[str, Path]) -> Callable[[], HypFormerJob]:
        """On the encoded conditions and the generator's candidates for them."""
        from hyprepro.gen_hyprl.hypformer_net import HypFormerJob

        assert isinstance(self.model, HypFormer)
        generator, samples = self.hyplatent.load(inputs["hyplatent"]), self.latents.load(inputs["latents"])
        return partial(HypFormerJob, self.model, generator, *samples, seed=self.seed)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train what is to be trained, and write it."""
        from hyprepro.engine import training

        if isinstance(self.model, HypFormer):
            super().run(work, inputs, report)
        else:
            sizes = self.latents.load(inputs["latents"])[0].sizes
            training.save(self.build(sizes), sizes, work)

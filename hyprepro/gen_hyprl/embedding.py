"""phi, psi and W: the contrastive behaviour embedding tau_e = (h, v) of a prompt (stage 1, eq. 2).

Paper says: h = phi(tau^n), v = psi(tau-hat), learned similarity W, eq. 2, "adapted from Make-An-Agent"; size 128.
Released code does: it uses Make-An-Agent's embeddings: phi an MLP 1020-1024-1024-128 with ReLU, psi 117-256
    (LayerNorm, tanh)-128, a bilinear W, InfoNCE. Inputs are scaled to their range in training, yet fed unscaled when
    the embeddings are computed.
We chose: the same networks, narrower; inputs standardised in training and use alike; embeddings standardised over the
    training prompts, so that the networks after it see unit-sized inputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.engine.trained import Trained, TrainedStage
from hyprepro.gen_hyprl.choices import BehaviorLoss, Scale
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.embedding_net import EmbeddingJob, PromptEmbedding


class BehaviorEmbedding(Trained):
    """Slot of phi, psi and W."""

    slot: ClassVar[str] = "embedding"

    embedding_size: Width = setting(128, "E, the length of h and of v", source="paper, experimental setup")
    loss: BehaviorLoss = setting("infonce", "eq. 2 as printed (paper), or with exp (infonce)", source="Make-An-Agent")
    input_scaling: Scale = setting("standard", "scaling of prompts and states: none, standard or minmax")
    input_clip: float = setting(5.0, "scaled inputs are clamped to +-this", gt=0)
    input_noise: float = setting(0.0, "deviation of noise on scaled inputs in training", ge=0)
    output_scaling: Scale = setting(
        "standard", "scaling of h and v over the training prompts: none, standard or minmax"
    )
    validation_share: float = setting(
        0.1, "share of the training prompts held out where the store has no validation prompts", gt=0, lt=1
    )

    @abstractmethod
    def build(self, tau_size: int, tau_hat_size: int) -> PromptEmbedding:
        """An untrained embedding for prompts and post-success states of these lengths."""


@component
class ContrastiveEmbedding(BehaviorEmbedding):
    """Two MLPs and a bilinear similarity, trained so that a prompt and its own outcome score highest."""

    steps: int = setting(1500, "training steps", ge=0)
    batch_size: int = setting(128, "prompts a step; all others of the batch are the negatives", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size", gt=0, le=1)
    weight_decay: float = setting(1e-2, "weight decay", ge=0)
    prompt_hidden: tuple[Width, ...] = setting((256, 256), "hidden widths of phi (Make-An-Agent: 1024, 1024)")
    outcome_hidden: Width = setting(256, "hidden width of psi", source="Make-An-Agent")
    dropout: float = setting(0.1, "share of phi's hidden units dropped in training", ge=0, lt=1)

    def build(self, tau_size: int, tau_hat_size: int) -> PromptEmbedding:
        """Untrained phi, psi and W."""
        from torch import nn

        from hyprepro.gen_hyprl.blocks import mlp
        from hyprepro.gen_hyprl.embedding_net import PromptEmbedding

        phi = mlp((tau_size, *self.prompt_hidden, self.embedding_size), "relu", self.dropout)
        psi = nn.Sequential(
            nn.Linear(tau_hat_size, self.outcome_hidden),
            nn.LayerNorm(self.outcome_hidden),
            nn.Tanh(),
            nn.Linear(self.outcome_hidden, self.embedding_size),
        )
        return PromptEmbedding(phi, psi, (tau_size, tau_hat_size), self.embedding_size, self.input_clip)


@dataclass(frozen=True)
class TrainBehaviorEmbedding(TrainedStage["PromptEmbedding"]):
    """Trains on the training prompts of all training tasks: `embed(tau [N, T], tau_hat [N, S]) -> (h, v)`, `[N, E]`.

    Attributes:
        model: phi, psi and W and how they are trained.
        stores: The prompts, and which tasks and policies are for training.

    Metrics: `loss` (eq. 2) and `accuracy` of a batch; on held-out training prompts `validation_loss`,
    `validation_accuracy` (own outcome scores highest among the held-out ones) and `validation_task_accuracy` (the
    best outcome is one of the same task).
    """

    kind: ClassVar[str] = "embedding"
    seconds: ClassVar[tuple[float, float]] = (3, 6e-5)

    model: BehaviorEmbedding
    stores: StoreFiles

    def job(self, inputs: dict[str, Path]) -> Callable[[], EmbeddingJob]:
        """On the training prompts."""
        from hyprepro.gen_hyprl.embedding_net import EmbeddingJob
        from hyprepro.stores.training_data import training_prompts

        return partial(EmbeddingJob, self.model, *training_prompts(self.stores, self.model.validation_share))

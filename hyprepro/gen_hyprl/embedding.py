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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.gen_hyprl.training import BehaviorLoss, Scale, Trained
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding


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
    def build(self, sizes: tuple[int, int]) -> PromptEmbedding:
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

    def build(self, sizes: tuple[int, int]) -> PromptEmbedding:
        """Untrained phi, psi and W."""
        from torch import nn

        from hyprepro.gen_hyprl.blocks import mlp
        from hyprepro.gen_hyprl.embedding_net import PromptEmbedding

        phi = mlp((sizes[0], *self.prompt_hidden, self.embedding_size), "relu", self.dropout)
        psi = nn.Sequential(
            nn.Linear(sizes[1], self.outcome_hidden),
            nn.LayerNorm(self.outcome_hidden),
            nn.Tanh(),
            nn.Linear(self.outcome_hidden, self.embedding_size),
        )
        return PromptEmbedding(phi, psi, sizes, self.embedding_size, self.input_clip)


WEIGHTS = "embedding.safetensors"


@dataclass(frozen=True)
class TrainBehaviorEmbedding(Stage):
    """Trains a behaviour embedding on the training prompts of all training tasks.

    Attributes:
        embedding: phi, psi and W and how they are trained.
        policies: The policy store, which says what the training tasks and policies are.
        trajectories: The trajectory store.
        seed: Seed of weights, batches and dropout.

    Metrics: `loss` (eq. 2) and `accuracy` of a batch; on held-out training prompts `validation_loss`,
    `validation_accuracy` (own outcome scores highest among the held-out ones) and `validation_task_accuracy` (the
    best outcome is one of the same task).
    """

    kind: ClassVar[str] = "embedding"
    version: ClassVar[int] = 1

    embedding: BehaviorEmbedding
    policies: StoreFile
    trajectories: StoreFile
    seed: int = 0

    @classmethod
    def of(cls, embedding: BehaviorEmbedding, data: StoreFiles) -> TrainBehaviorEmbedding:
        """On the stores of a domain whose condition is a prompt."""
        return cls(embedding, data.policies, data.trajectories)

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{type(self.embedding).__name__} (eq. 2)"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 3 + 6e-5 * self.embedding.batch_size * self.embedding.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.engine import training
        from hyprepro.gen_hyprl.embedding_net import EmbeddingJob
        from hyprepro.stores.training_data import training_prompts

        data = StoreFiles(self.policies, self.trajectories)
        prompts, held_out = training_prompts(data, self.embedding.validation_share)
        job = training.train(
            lambda: EmbeddingJob(self.embedding, prompts, held_out), self.embedding.steps, work, report, self.seed
        )
        job.fit_output_scaling()
        training.save_weights(job.modules["embedding"], work / WEIGHTS)
        training.write_sizes(work, (prompts.tau.shape[1], prompts.tau_hat.shape[1]))

    def load(self, path: Path) -> PromptEmbedding:
        """The trained embedding, frozen: `embed(tau [N, T], tau_hat [N, S]) -> (h, v)`, `[N, E]` each."""
        from hyprepro.engine.training import load_weights, sizes_in
        from hyprepro.gen_hyprl.blocks import frozen

        model = self.embedding.build(sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)

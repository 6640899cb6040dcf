"""Stage 1, second half: train phi, psi and W on the stored prompts by eq. 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.models.behavior_embedding import BehaviorEmbedding
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.models.networks.behavior_embedding import PromptEmbedding

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
        from hyprepro.stages import training
        from hyprepro.stages.behavior_embedding_job import EmbeddingJob
        from hyprepro.stages.data import training_prompts

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
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights, sizes_in

        model = self.embedding.build(sizes_in(path))
        load_weights(model, path / WEIGHTS)
        return frozen(model)

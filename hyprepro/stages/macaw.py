"""MACAW: meta-train an actor and a value function on the offline buffers of the training velocities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.models.macaw import AdvantageWeighting
from hyprepro.policies.layout import CHEETAH_LAYOUT

if TYPE_CHECKING:
    from hyprepro.models.networks.advantage_weighting import MetaLearner

WEIGHTS = "macaw.safetensors"


@dataclass(frozen=True)
class TrainMACAW(Stage):
    """Meta-trains MACAW on the episodes of split "train" of the training velocities.

    Attributes:
        learner: The networks and how they are meta-trained.
        trajectories: The trajectory store.
        velocities: The training velocities, in m/s.
        seed: The seed.

    Metrics: `value_loss`, `actor_loss` of the outer loop and `inner_value_loss`, `inner_actor_loss` before the inner
    step. On fixed batches of all training velocities: `validation_value_loss` after the inner step, and the squared
    error of the actor's actions on the experts' episodes before it (`validation_error_before`) and after it
    (`validation_error`).
    """

    kind: ClassVar[str] = "macaw"
    version: ClassVar[int] = 1

    learner: AdvantageWeighting
    trajectories: StoreFile
    velocities: tuple[float, ...]
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"MACAW on {len(self.velocities)} velocities, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 5 + 0.06 * self.learner.steps * max(1.0, self.learner.code / 100)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Meta-train and write the weights."""
        from hyprepro.stages import training
        from hyprepro.stages.macaw_job import MACAWJob
        from hyprepro.velocity.episodes import read_episodes

        episodes, experts = (
            read_episodes(self.trajectories, self.velocities, split) for split in ("train", "validation")
        )
        job = training.train(
            lambda: MACAWJob(self.build(), episodes, experts), self.learner.steps, work, report, self.seed
        )
        training.save_weights(job.modules["learner"], work / WEIGHTS)

    def load(self, path: Path) -> MetaLearner:
        """The meta-trained networks; frozen but for what the inner loop differentiates."""
        from hyprepro.stages.training import load_weights

        model = self.build()
        load_weights(model, path / WEIGHTS)
        return model.eval()

    def build(self) -> MetaLearner:
        """Untrained networks."""
        from hyprepro.models.networks.advantage_weighting import MetaLearner

        return MetaLearner(self.learner, CHEETAH_LAYOUT.observation_size, CHEETAH_LAYOUT.action_size)

"""Training of the velocity-conditioned policy: pairs out of the stores, the network, and its stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.velocity.cloning import VelocityCloning
    from hyprepro.velocity.cloning_job import ConditionedPolicy

WEIGHTS = "cloning.safetensors"


@dataclass(frozen=True)
class TrainVelocityCloning(Stage):
    """Trains the conditioned policy on the episodes of the training velocities.

    Attributes:
        cloning: The settings.
        policies: The policy store, which says what the training velocities are.
        trajectories: The trajectory store.
        seed: Seed of weights and batches.

    Metrics: `loss`, the mean squared error of actions; `validation_error`, the same on every tenth pair, which is held
    out.
    """

    kind: ClassVar[str] = "velocity-cloning"
    version: ClassVar[int] = 1

    cloning: VelocityCloning
    policies: StoreFile
    trajectories: StoreFile
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"velocity cloning, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 3 + 1e-3 * self.cloning.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.stages import training
        from hyprepro.velocity.cloning_job import CloningJob, read_pairs

        pairs = read_pairs(StoreFiles(self.policies, self.trajectories), self.cloning.episodes)
        job = training.train(lambda: CloningJob(self.cloning, pairs), self.cloning.steps, work, report, self.seed)
        training.save_weights(job.modules["policy"], work / WEIGHTS)

    def load(self, path: Path) -> ConditionedPolicy:
        """The trained policy, frozen."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.policies.layout import CHEETAH_LAYOUT
        from hyprepro.stages.training import load_weights
        from hyprepro.velocity.cloning_job import ConditionedPolicy

        model = ConditionedPolicy(CHEETAH_LAYOUT)
        load_weights(model, path / WEIGHTS)
        return frozen(model)

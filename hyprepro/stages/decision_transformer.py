"""The competitor of Tables 2 and 3: train a multi-task Decision Transformer on the stored training episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.models.prompted_transformer import PromptedTransformer
from hyprepro.stages.disturbed_episodes import DisturbedEpisodes
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.models.networks.prompted_transformer import PromptedNetwork

WEIGHTS = "transformer.safetensors"


@dataclass(frozen=True)
class TrainDecisionTransformer(Stage):
    """Trains the transformer on the episodes of training policies of all training tasks.

    Attributes:
        episodes: Episodes beside the stored ones, or None.
        transformer: The network and how it is trained.
        policies: The policy store: which tasks and policies are for training.
        trajectories: The trajectory store.
        seed: The generator seed.

    Metrics: `loss`; on the validation episodes `validation_error` (mean squared error over the variance of actions).
    """

    kind: ClassVar[str] = "decision-transformer"
    version: ClassVar[int] = 1

    episodes: DisturbedEpisodes | None
    transformer: PromptedTransformer
    policies: StoreFile
    trajectories: StoreFile
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"Decision Transformer, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 5 + 7e-3 * self.transformer.batch_size * self.transformer.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.stages import training
        from hyprepro.stages.decision_transformer_job import DecisionTransformerJob
        from hyprepro.stages.trajectory_windows import trajectory_data

        settings = self.transformer
        recorded = {} if self.episodes is None else self.episodes.load(inputs["episodes"])
        files = StoreFiles(self.policies, self.trajectories)
        data = trajectory_data(files, settings.context, settings.prompt_steps, recorded)
        job = training.train(lambda: DecisionTransformerJob(settings, data), settings.steps, work, report, self.seed)
        training.save_weights(job.modules["transformer"], work / WEIGHTS)
        training.write_sizes(work, (data.training.longest, settings.prompt_steps))

    def load(self, path: Path) -> PromptedNetwork:
        """The trained network, frozen."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights, sizes_in

        network = self.transformer.build(sizes_in(path)[0])
        load_weights(network, path / WEIGHTS)
        return frozen(network)

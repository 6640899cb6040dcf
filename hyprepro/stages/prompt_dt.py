"""Prompt-DT: train the prompted causal transformer on the episodes of the training velocities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.envs.velocities import HORIZON
from hyprepro.models.prompt_dt import PromptTransformer
from hyprepro.policies.layout import CHEETAH_LAYOUT

if TYPE_CHECKING:
    from hyprepro.models.networks.prompted import PromptedTransformer

WEIGHTS = "prompt_dt.safetensors"


@dataclass(frozen=True)
class TrainPromptDT(Stage):
    """Trains Prompt-DT's transformer.

    Windows come from the expert episodes (split "validation") or the offline episodes (split "train") of the training
    velocities, prompts from the expert ones.

    Attributes:
        transformer: The network and how it is trained.
        trajectories: The trajectory store.
        velocities: The training velocities, in m/s.
        seed: The seed.

    Metrics: `loss` (squared error of an action's entries) and, on the same windows of expert episodes each time,
    `validation_error`; these were held out of training only if it is on the offline episodes.
    """

    kind: ClassVar[str] = "prompt-dt"
    version: ClassVar[int] = 1

    transformer: PromptTransformer
    trajectories: StoreFile
    velocities: tuple[float, ...]
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"Prompt-DT on {len(self.velocities)} velocities, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core: about 5 ms a window and step at the published size."""
        size = self.transformer
        tokens = size.layers * (size.hidden / 128) ** 2 * (size.context + size.prompt_steps) / 75
        return 5 + 5e-3 * tokens * size.steps * size.batch_size * len(self.velocities)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.stages import training
        from hyprepro.stages.prompt_dt_job import PromptDTJob
        from hyprepro.velocity.episodes import read_episodes

        self.transformer.check()
        experts = read_episodes(self.trajectories, self.velocities, "validation")
        is_expert = self.transformer.episodes == "expert"
        episodes = experts if is_expert else read_episodes(self.trajectories, self.velocities, "train")
        job = training.train(
            lambda: PromptDTJob(self.build(), self.transformer, episodes, experts),
            self.transformer.steps,
            work,
            report,
            self.seed,
        )
        training.save_weights(job.modules["transformer"], work / WEIGHTS)

    def load(self, path: Path) -> PromptedTransformer:
        """The trained transformer, frozen."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights

        model = self.build()
        load_weights(model, path / WEIGHTS)
        return frozen(model)

    def build(self) -> PromptedTransformer:
        """An untrained transformer with the scaling of its inputs."""
        from hyprepro.models.networks.prompted import PromptedTransformer

        size, sizes = self.transformer, (CHEETAH_LAYOUT.observation_size, CHEETAH_LAYOUT.action_size)
        network = size.build(*sizes, HORIZON)
        return PromptedTransformer(network, sizes[0], size.return_scale, size.target_return, size.prompt_steps)

"""Stage 1, first half: train E and D on the stored policies by eq. 1."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.models.policy_autoencoder import Autoencoder
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from hyprepro.models.networks.policy_autoencoder import PolicyAutoencoder

WEIGHTS, LAYOUT = "autoencoder.safetensors", "layout.json"


@dataclass(frozen=True)
class TrainAutoencoder(Stage):
    """Trains an autoencoder on all training policies of a store.

    Attributes:
        autoencoder: E and D and how they are trained.
        policies: The policy store.
        trajectories: The trajectory store, for the observations in its training prompts.
        seed: Seed of weights, batches and noise.

    Metrics: `loss` (eq. 1, in scaled parameters); `validation_error` (squared error on held-out training policies over
    their variance around the training mean, in unscaled parameters: 0 is perfect, 1 is what the mean policy reaches),
    also by chunk.
    """

    kind: ClassVar[str] = "autoencoder"
    version: ClassVar[int] = 1

    autoencoder: Autoencoder
    policies: StoreFile
    trajectories: StoreFile
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{type(self.autoencoder).__name__} (eq. 1)"

    @property
    def cost(self) -> float:
        """Seconds on one slow core: reading and principal components, then 0.4 ms a latent number and step."""
        return 5 + 4e-4 * self.autoencoder.latent_size * self.autoencoder.steps

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the weights."""
        from hyprepro.stages import training
        from hyprepro.stages.autoencoder_job import AutoencoderJob
        from hyprepro.stages.data import training_observations, training_policies

        params, layout = training_policies(self.policies)
        observations = training_observations(StoreFiles(self.policies, self.trajectories))
        resumes = (work / training.CHECKPOINT).exists()
        job = training.train(
            lambda: AutoencoderJob(self.autoencoder, layout, params, observations, resumes),
            self.autoencoder.steps,
            work,
            report,
            self.seed,
        )
        training.save_weights(job.modules["autoencoder"], work / WEIGHTS)
        (work / LAYOUT).write_text(json.dumps(layout.to_json()), encoding="utf-8")

    def load(self, path: Path) -> PolicyAutoencoder:
        """The trained autoencoder, frozen: `encode(params [N, P]) -> Z [N, 2, D]` and `decode(Z) -> params`."""
        from hyprepro.models.networks.blocks import frozen
        from hyprepro.stages.training import load_weights

        layout = PolicyLayout.from_json(json.loads((path / LAYOUT).read_text(encoding="utf-8")))
        model = self.autoencoder.build(layout)
        load_weights(model, path / WEIGHTS)
        return frozen(model)

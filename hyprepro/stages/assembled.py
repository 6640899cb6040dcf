"""The deployable whole: all trained parts of a method in one artifact that needs no other."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hyprepro.artifacts import MANIFEST, METRICS, Report, Stage
from hyprepro.stages.autoencoder import TrainAutoencoder
from hyprepro.stages.behavior_embedding import TrainBehaviorEmbedding
from hyprepro.stages.hypformer import TrainHypFormer
from hyprepro.stages.hyplatent import TrainHypLatent
from hyprepro.stages.regressor import TrainRegressor

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.models.networks.behavior_embedding import PromptEmbedding
    from hyprepro.models.networks.hypformer import CandidateAggregator
    from hyprepro.models.networks.hyplatent import LatentGenerator
    from hyprepro.models.networks.policy_autoencoder import PolicyAutoencoder
    from hyprepro.models.networks.regressor import LatentRegressor


@dataclass(frozen=True)
class PolicyGenerator:
    """Prompts in, policies out. Exactly one of `generator` and `regressor` is there.

    Attributes:
        autoencoder: E and D.
        embedding: phi and psi.
        generator: G, or None.
        hypformer: HypFormer on top of G, or None.
        regressor: The MSE regressor in G's place, or None.
        candidates: L, draws of G a prompt that HypFormer aggregates.
    """

    autoencoder: PolicyAutoencoder
    embedding: PromptEmbedding
    generator: LatentGenerator | None
    hypformer: CandidateAggregator | None
    regressor: LatentRegressor | None
    candidates: int

    def latents(self, tau: Tensor, tau_hat: Tensor, draws: torch.Generator) -> Tensor:
        """Latents `[N, 2, D]` for prompts `[N, T]` and post-success states `[N, S]`.

        All noise comes from `draws` (a CPU generator): L draws a prompt with HypFormer, else one.
        """
        import torch

        with torch.no_grad():
            h, v = self.embedding.embed(tau, tau_hat)
            if self.regressor is not None:
                return self.regressor.predict(h, v)
            assert self.generator is not None
            count = self.candidates if self.hypformer is not None else 1
            noise = torch.randn(count, len(h), self.generator.noise_size, generator=draws)
            drawn = [self.generator.generate(h, v, n) for n in noise]
            return self.hypformer.aggregate(torch.stack(drawn, 1), h, v) if self.hypformer is not None else drawn[0]

    def policies(self, tau: Tensor, tau_hat: Tensor, draws: torch.Generator) -> Tensor:
        """Policy parameters `[N, P]`, decoded from `latents`."""
        import torch

        with torch.no_grad():
            return self.autoencoder.decode(self.latents(tau, tau_hat, draws))


@dataclass(frozen=True)
class Assemble(Stage):
    """Gathers the trained parts of a method.

    Attributes:
        autoencoder: The trained E and D.
        embedding: The trained phi and psi.
        generator: The trained HypLatent generator, or the trained regressor in its place.
        hypformer: The trained HypFormer, or None.
    """

    kind: ClassVar[str] = "assembled"
    version: ClassVar[int] = 1

    autoencoder: TrainAutoencoder
    embedding: TrainBehaviorEmbedding
    generator: TrainHypLatent | TrainRegressor
    hypformer: TrainHypFormer | None = None

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"assemble, seed {self.generator.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Give every part a folder here. Files are linked where that is possible, and then take no space."""
        for name, source in inputs.items():
            (work / name).mkdir()
            for file in sorted(source.iterdir()):
                if file.is_file() and file.name not in (MANIFEST, METRICS):
                    _link(file, work / name / file.name)

    def load(self, path: Path) -> PolicyGenerator:
        """All parts, frozen."""
        part = self.generator
        return PolicyGenerator(
            self.autoencoder.load(path / "autoencoder"),
            self.embedding.load(path / "embedding"),
            part.load(path / "generator") if isinstance(part, TrainHypLatent) else None,
            self.hypformer.load(path / "hypformer") if self.hypformer is not None else None,
            part.load(path / "generator") if isinstance(part, TrainRegressor) else None,
            self.hypformer.hypformer.candidates if self.hypformer is not None else 1,
        )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)

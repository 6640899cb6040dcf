"""The deployable whole: all trained parts of a method in one artifact that needs no other."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from hyprepro.engine.stage import MANIFEST, METRICS, Report, Stage
from hyprepro.gen_hyprl.autoencoder import TrainAutoencoder
from hyprepro.gen_hyprl.embedding import TrainBehaviorEmbedding
from hyprepro.gen_hyprl.hypformer import TrainHypFormer
from hyprepro.gen_hyprl.latent_model import LatentModel, LatentSource

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.gen_hyprl.embedding_net import PromptEmbedding
    from hyprepro.gen_hyprl.hypformer_net import CandidateAggregator
    from hyprepro.gen_hyprl.hyplatent_net import LatentGenerator


@dataclass(frozen=True)
class Aggregated:
    """HypFormer on top of G.

    Attributes:
        generator: G.
        hypformer: HypFormer.
        candidates: L, draws of G a prompt.
    """

    generator: LatentGenerator
    hypformer: CandidateAggregator
    candidates: int

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """One aggregate `[N, 2, D]` of L draws a prompt."""
        return self.hypformer.aggregate(self.drawn(h, v, draws), h, v)

    def drawn(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """The L draws `[N, L, 2, D]` that `draw` aggregates."""
        import torch

        noise = torch.randn(self.candidates, len(h), self.generator.noise_size, generator=draws)
        return torch.stack([self.generator.generate(h, v, n) for n in noise], dim=1)


@dataclass(frozen=True)
class PolicyGenerator:
    """Prompts in, policies out.

    Attributes:
        autoencoder: E and D.
        embedding: phi and psi.
        source: Turns embeddings into latents: G, HypFormer on top of it, or what stands in their place.
    """

    autoencoder: PolicyAutoencoder
    embedding: PromptEmbedding
    source: LatentSource

    def with_candidates(self, count: int) -> PolicyGenerator:
        """The same with L draws a prompt; without HypFormer there is one, and nothing changes."""
        source = replace(self.source, candidates=count) if isinstance(self.source, Aggregated) else self.source
        return replace(self, source=source)

    def latents(self, tau: Tensor, tau_hat: Tensor, draws: torch.Generator) -> Tensor:
        """Latents `[N, 2, D]` for prompts `[N, T]` and post-success states `[N, S]`; noise from `draws` (CPU)."""
        import torch

        with torch.no_grad():
            return self.source.draw(*self.embedding.embed(tau, tau_hat), draws)

    def candidates(self, tau: Tensor, tau_hat: Tensor, draws: torch.Generator) -> Tensor:
        """The candidates `[N, L, 2, D]` behind `latents` of equal `draws`; without HypFormer the one latent itself."""
        import torch

        with torch.no_grad():
            h, v = self.embedding.embed(tau, tau_hat)
            if isinstance(self.source, Aggregated):
                return self.source.drawn(h, v, draws)
            return self.source.draw(h, v, draws)[:, None]

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
        generator: The trained HypLatent generator, or what is trained in its place.
        hypformer: The trained HypFormer, or None.
    """

    kind: ClassVar[str] = "assembled"
    version: ClassVar[int] = 1

    autoencoder: TrainAutoencoder
    embedding: TrainBehaviorEmbedding
    generator: LatentModel
    hypformer: TrainHypFormer | None = None

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"assemble, seed {self.generator.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Give every part a folder here. Files are linked where that is possible, and then take no space."""
        gather(work, inputs)

    def load(self, path: Path) -> PolicyGenerator:
        """All parts, frozen."""
        return PolicyGenerator(
            self.autoencoder.load(path / "autoencoder"),
            self.embedding.load(path / "embedding"),
            latent_source(path, self.generator, self.hypformer),
        )


def gather(work: Path, inputs: dict[str, Path]) -> None:
    """Give every input a folder of its name in `work`. Files are linked where that is possible."""
    for name, source in inputs.items():
        (work / name).mkdir()
        for file in sorted(source.iterdir()):
            if file.is_file() and file.name not in (MANIFEST, METRICS):
                _link(file, work / name / file.name)


def latent_source(path: Path, generator: LatentModel, hypformer: TrainHypFormer | None) -> LatentSource:
    """The generator out of an assembled folder, with HypFormer on top if there is one."""
    source: LatentSource = generator.load(path / "generator")
    if hypformer is None:
        return source
    former = hypformer.load(path / "hypformer")
    return Aggregated(cast("LatentGenerator", source), former, hypformer.hypformer.candidates)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)

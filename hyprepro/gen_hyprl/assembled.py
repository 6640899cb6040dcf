"""The deployable whole: all trained parts of a method in one artifact that needs no other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hyprepro.engine.stage import MANIFEST, METRICS, Report, Stage, link_or_copy
from hyprepro.gen_hyprl.autoencoder import TrainAutoencoder
from hyprepro.gen_hyprl.conditions import (
    FILE,
    Conditions,
    EncodedConditions,
    EncodeParameters,
    EncodePrompts,
    LatentModel,
    LatentSource,
)
from hyprepro.gen_hyprl.embedding import TrainBehaviorEmbedding
from hyprepro.gen_hyprl.hypformer import TrainHypFormer
from hyprepro.gen_hyprl.neighbours import Ranges
from hyprepro.gen_hyprl.runs import RunChoice, RunTable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.domains.base import Query
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
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
    """Conditions in, policies out.

    Attributes:
        autoencoder: E and D.
        source: Turns conditions (h, v) into latents: G, HypFormer on top of it, or what stands in their place.
        conditions: Makes (h, v) of a query.
    """

    autoencoder: PolicyAutoencoder
    source: LatentSource
    conditions: Conditions

    def with_candidates(self, count: int) -> PolicyGenerator:
        """The same with L draws a condition; without HypFormer there is one, and nothing changes."""
        source = replace(self.source, candidates=count) if isinstance(self.source, Aggregated) else self.source
        return replace(self, source=source)

    def choosing(self, choice: RunChoice) -> PolicyGenerator:
        """The same with another choice of the training run, where its number is part of the condition."""
        return replace(self, conditions=replace(self.conditions, choice=choice))

    def latents(self, query: Query, draws: torch.Generator) -> Tensor:
        """Latents `[n, 2, D]`, one a controller that is asked for; noise from `draws` (CPU)."""
        import torch

        with torch.no_grad():
            return self.source.draw(*self.conditions.of(query, draws), draws)

    def candidates(self, query: Query, draws: torch.Generator) -> Tensor:
        """The candidates `[n, L, 2, D]` behind `latents` of equal `draws`; without HypFormer the one latent itself."""
        import torch

        with torch.no_grad():
            if isinstance(self.source, Aggregated):
                return self.source.drawn(*self.conditions.of(query, draws), draws)
            return self.latents(query, draws)[:, None]

    def policies(self, query: Query, draws: torch.Generator) -> Tensor:
        """Policy parameters `[n, P]`, decoded from `latents`."""
        import torch

        with torch.no_grad():
            return self.autoencoder.decode(self.latents(query, draws))


@dataclass(frozen=True)
class Assemble(Stage):
    """Gathers the trained parts of a method.

    Attributes:
        autoencoder: The trained E and D.
        generator: The trained HypLatent generator, or what is trained in its place.
        hypformer: The trained HypFormer, or None.
        embedding: The trained phi and psi; None where the condition is numbers.
        ranges: The range of each of these numbers.
        runs: Where the training runs stand, if their number is part of the condition.
    """

    kind: ClassVar[str] = "assembled"
    version: ClassVar[int] = 1

    autoencoder: TrainAutoencoder
    generator: LatentModel[Any]
    hypformer: TrainHypFormer | None = None
    embedding: TrainBehaviorEmbedding | None = None
    ranges: Ranges = ()
    runs: EncodedConditions | None = None

    @classmethod
    def of(cls, generator: LatentModel[Any], hypformer: TrainHypFormer | None = None) -> Assemble:
        """With the parts that the generator's conditions and latents come from."""
        latents = generator.latents
        runs = None if latents.run_code == "none" else latents
        if isinstance(latents, EncodePrompts):
            return cls(latents.autoencoder, generator, hypformer, latents.embedding, runs=runs)
        ranges = latents.ranges if isinstance(latents, EncodeParameters) else ()
        return cls(latents.autoencoder, generator, hypformer, ranges=ranges, runs=runs)

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"assemble, seed {self.generator.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Give every part a folder here. Files are linked where that is possible, and then take no space."""
        gather(work, inputs)

    def load(self, path: Path) -> PolicyGenerator:
        """All parts, frozen."""
        source: LatentSource = self.generator.load(path / "generator")
        if self.hypformer is not None:
            former = self.hypformer.load(path / "hypformer")
            source = Aggregated(cast("LatentGenerator", source), former, self.hypformer.model.candidates)
        embedding = None if self.embedding is None else self.embedding.load(path / "embedding")
        autoencoder = self.autoencoder.load(path / "autoencoder")
        runs = None if self.runs is None else RunTable.load(self.runs.run_code, path / "runs" / FILE)
        return PolicyGenerator(autoencoder, source, Conditions(embedding, self.ranges, runs))


def gather(work: Path, inputs: dict[str, Path]) -> None:
    """Give every input a folder of its name in `work`, with its own. Files are linked where that is possible."""
    for name, source in inputs.items():
        (work / name).mkdir()
        for file in sorted(source.iterdir()):
            if file.is_dir():
                gather(work / name, {file.name: file})
            elif file.name not in (MANIFEST, METRICS):
                link_or_copy(file, work / name / file.name)

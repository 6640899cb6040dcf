"""Gen-HypRL on Cheetah-Vel: the target velocity in, policies out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.engine.stage import Report, Stage
from hyprepro.gen_hyprl.assembled import gather, latent_source
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.gen_hyprl.conditions import EncodeVelocities, condition
from hyprepro.gen_hyprl.hypformer import Aggregation, HypFormer, TrainHypFormer
from hyprepro.gen_hyprl.hyplatent import HypLatent, TrainHypLatent
from hyprepro.gen_hyprl.latent_model import LatentSource
from hyprepro.methods.base import Method, draw_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.domains.base import Condition, Data, Query
    from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
    from hyprepro.policies.controllers import Controllers

_CONDITION = "h"
"""A velocity has one part; what is bound for prompts, (h, v) or h, does not apply."""


@dataclass(frozen=True)
class VelocityGenerator:
    """A velocity in, policies out.

    Attributes:
        autoencoder: E and D.
        source: Turns conditions into latents: G, or HypFormer on top of it.
    """

    autoencoder: PolicyAutoencoder
    source: LatentSource

    def latents(self, velocity: float, count: int, draws: torch.Generator) -> Tensor:
        """`count` latents `[count, 2, D]` for a velocity in m/s; all noise comes from `draws` (CPU)."""
        import torch

        with torch.no_grad():
            return self.source.draw(*condition(torch.full((count,), velocity)), draws)

    def policies(self, velocity: float, count: int, draws: torch.Generator) -> Tensor:
        """Policy parameters `[count, P]`, decoded from `latents`."""
        import torch

        with torch.no_grad():
            return self.autoencoder.decode(self.latents(velocity, count, draws))


@dataclass(frozen=True)
class AssembleVelocities(Stage):
    """Gathers the trained parts of a method in one artifact that needs no other.

    Attributes:
        autoencoder: The trained E and D.
        generator: The trained HypLatent generator.
        hypformer: The trained HypFormer, or None.
    """

    kind: ClassVar[str] = "velocity-assembled"
    version: ClassVar[int] = 1

    autoencoder: TrainAutoencoder
    generator: TrainHypLatent
    hypformer: TrainHypFormer | None = None

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"assemble, seed {self.generator.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Give every part a folder here."""
        gather(work, inputs)

    def load(self, path: Path) -> VelocityGenerator:
        """All parts, frozen."""
        source = latent_source(path, self.generator, self.hypformer)
        return VelocityGenerator(self.autoencoder.load(path / "autoencoder"), source)


class GeneratedVelocity(Method):
    """Base of the methods that turn a velocity into latents and decode them.

    The autoencoder is trained once for each training set, with seed 0; the seed belongs to what is trained after it.
    """

    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the velocity; trained on the training velocities' policies"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    hyplatent: HypLatent = setting(HypLatent(), "stage 2 (eq. 3 to 5)")
    checkpoints: int = setting(0, "train on the last so many policies of each velocity; 0: on all of them", ge=0)
    between: int = setting(
        0,
        "for each two neighbouring training velocities, train also on mixtures of their latents at so many velocities "
        "between them (paper: 0)",
        ge=0,
        le=100,
    )
    draws: int = setting(20, "policies generated for a velocity, one noise draw each (L with HypFormer)", ge=1)

    def check(self) -> None:
        """G can make latents of the autoencoder's size (`UserError` if not)."""
        self.hyplatent.check_latents_of(self.autoencoder)

    @abstractmethod
    def training(self, data: Data, seed: int) -> AssembleVelocities:
        """The assembled parts."""

    def deploy(self, trained: VelocityGenerator, data: Data, query: Query, seed: int) -> Controllers:
        """The decoded draws; their noise derives from the seed and the velocity."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        draws = torch.Generator().manual_seed(draw_seed(seed, query.task))
        return PolicyControllers(trained.autoencoder.layout, trained.policies(query.parameter[0], self.draws, draws))

    def _generator(self, data: Data, seed: int) -> TrainHypLatent:
        encoder = TrainAutoencoder(self.autoencoder, data.policies, data.trajectories)
        latents = EncodeVelocities(encoder, self.checkpoints, self.between)
        return TrainHypLatent(latents, _on_velocity(self.hyplatent), seed)


@component
class GenHypRLVelocityWithoutHypFormer(GeneratedVelocity):
    """Stages 1 and 2, the paper's rows: each policy is one draw of HypLatent's generator."""

    label: ClassVar[str] = "gen-hyprl-wo-hypformer"

    def training(self, data: Data, seed: int) -> AssembleVelocities:
        """The assembled autoencoder and generator."""
        generator = self._generator(data, seed)
        return AssembleVelocities(generator.latents.autoencoder, generator)


@component
class GenHypRLVelocity(GeneratedVelocity):
    """All three stages: each policy is HypFormer's aggregate of L draws. The paper has no such row."""

    label: ClassVar[str] = "gen-hyprl"

    hypformer: Aggregation = setting(HypFormer(), "stage 3 (eq. 6 to 9)")

    def training(self, data: Data, seed: int) -> AssembleVelocities:
        """The assembled autoencoder, generator and HypFormer."""
        generator = self._generator(data, seed)
        former = TrainHypFormer(generator.latents, generator, _on_velocity(self.hypformer), seed)
        return AssembleVelocities(generator.latents.autoencoder, generator, former)


def _on_velocity(settings: Any) -> Any:
    """Settings of stage 2 or 3 with the velocity as the whole condition."""
    has = "condition" in type(settings).model_fields
    return settings.model_copy(update={"condition": _CONDITION}) if has else settings

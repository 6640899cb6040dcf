"""What every generator of latents is: a stage trained on encoded conditions, whose result draws latents.

HypLatent, Make-An-Agent's diffusion and the regressor are of this kind, so that `assembled` puts together what it has
never heard of.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hyprepro.engine.stage import Stage

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.gen_hyprl.conditions import EncodedConditions


class LatentSource(Protocol):
    """What a method trains to yield latents."""

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """Latents `[N, 2, D]`, ready for the decoder, for embeddings `[N, E]`; all noise comes from `draws` (CPU)."""
        ...


class LatentModel(Stage):
    """Trains what turns conditions into latents.

    Attributes:
        latents: The encoded conditions that it is trained on.
        seed: The generator seed.
    """

    latents: EncodedConditions
    seed: int

    @abstractmethod
    def load(self, path: Path) -> LatentSource:
        """The trained model, frozen."""

"""The slot of G: what every generator of latents takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hyprepro.recipe import Component

if TYPE_CHECKING:
    from hyprepro.models.networks.generator import GeneratorNetwork


class Generator(Component, ABC):
    """Slot of G."""

    slot: ClassVar[str] = "generator"

    def check_latents(self, latent_size: int) -> None:
        """Whether it can make latents of 2 tokens x `latent_size` (`UserError` if not)."""

    @abstractmethod
    def build(self, condition_size: int, noise_size: int, latent_size: int) -> GeneratorNetwork:
        """An untrained generator.

        Args:
            condition_size: C, 256 for (h, v), 128 for h alone.
            noise_size: 128 in Meta-World.
            latent_size: D.

        Raises:
            UserError: If the settings do not fit these sizes.
        """

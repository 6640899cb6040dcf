"""F: the discriminator that tells autoencoder latents from generated ones (stage 2, eq. 4).

Paper says: a 3-layer MLP; p_Z = F(Z-hat); its features feed the auxiliary head Q.
Released code does: 2048 -> 1024 -> 1024 -> 512 with GELU, then one linear layer to one logit.
We chose: the same with narrower layers (the stores of a small machine hold hundreds of policies, not thousands),
    dropout, and a logit in place of a sigmoid, which is the same function and numerically safe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hyprepro.recipe import Component, Width, component, setting

if TYPE_CHECKING:
    from hyprepro.models.networks.discriminator import DiscriminatorNetwork


class Discriminator(Component, ABC):
    """Slot of F."""

    slot: ClassVar[str] = "discriminator"

    @abstractmethod
    def build(self, latent_size: int) -> DiscriminatorNetwork:
        """An untrained discriminator for latents of 2 tokens x `latent_size`."""


@component
class MLPDiscriminator(Discriminator):
    """Three fully connected layers with GELU and a linear head."""

    hidden: tuple[Width, Width, Width] = setting(
        (256, 256, 128), "widths of the three layers (released: 1024, 1024, 512)"
    )
    dropout: float = setting(0.1, "share of hidden units dropped in training (released: 0)", ge=0, lt=1)

    def build(self, latent_size: int) -> DiscriminatorNetwork:
        """An untrained 3-layer MLP."""
        from hyprepro.models.networks.blocks import mlp
        from hyprepro.models.networks.discriminator import DiscriminatorNetwork

        body = mlp((2 * latent_size, *self.hidden), "gelu", self.dropout, last=True)
        return DiscriminatorNetwork(body, self.hidden[-1])

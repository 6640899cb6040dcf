"""F, which tells autoencoder latents from generated ones (eq. 4), and Q, which reads the condition from its features.

Paper says of F: a 3-layer MLP; p_Z = F(Z-hat); its features feed the auxiliary head Q.
Released code does: 2048 -> 1024 -> 1024 -> 512 with GELU, then one linear layer to one logit.
We chose: the same with narrower layers (the stores of a small machine hold hundreds of policies, not thousands),
    dropout, and a logit in place of a sigmoid, which is the same function and numerically safe.

Paper says of Q (eq. 5): a 2-layer MLP that reconstructs tau_e.
Released code does: one linear layer 512 -> 128 that reconstructs h alone, since h alone is the condition there.
We chose: the paper's; Q reconstructs whatever conditions the generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Component, Width, component, setting

if TYPE_CHECKING:
    from torch import nn

    from hyprepro.gen_hyprl.generators_net import DiscriminatorNetwork


class AuxHead(Component, ABC):
    """Slot of Q."""

    slot: ClassVar[str] = "aux_head"

    @abstractmethod
    def build(self, feature_size: int, condition_size: int) -> nn.Module:
        """An untrained map of discriminator features `[N, feature_size]` -> conditions `[N, condition_size]`."""


@component
class MLPAuxHead(AuxHead):
    """Two layers with GELU between them, as in the paper."""

    hidden: Width = setting(128, "width of the hidden layer")

    def build(self, feature_size: int, condition_size: int) -> nn.Module:
        """An untrained 2-layer MLP."""
        from hyprepro.gen_hyprl.blocks import mlp

        return mlp((feature_size, self.hidden, condition_size))


@component
class LinearAuxHead(AuxHead):
    """One linear layer, as released."""

    def build(self, feature_size: int, condition_size: int) -> nn.Module:
        """An untrained linear layer."""
        from torch import nn

        return nn.Linear(feature_size, condition_size)


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
        from hyprepro.gen_hyprl.blocks import mlp
        from hyprepro.gen_hyprl.generators_net import DiscriminatorNetwork

        body = mlp((2 * latent_size, *self.hidden), "gelu", self.dropout, last=True)
        return DiscriminatorNetwork(body, self.hidden[-1])

"""Q: the auxiliary head that reads the behaviour embedding back from the discriminator's features (stage 2, eq. 5).

Paper says: a 2-layer MLP that reconstructs tau_e.
Released code does: one linear layer 512 -> 128 that reconstructs h alone, since h alone is the condition there.
We chose: the paper's; Q reconstructs whatever conditions the generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hyprepro.recipe import Component, Width, component, setting

if TYPE_CHECKING:
    from torch import nn


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
        from hyprepro.models.networks.blocks import mlp

        return mlp((feature_size, self.hidden, condition_size))


@component
class LinearAuxHead(AuxHead):
    """One linear layer, as released."""

    def build(self, feature_size: int, condition_size: int) -> nn.Module:
        """An untrained linear layer."""
        from torch import nn

        return nn.Linear(feature_size, condition_size)

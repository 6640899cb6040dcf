"""What every generator network takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class GeneratorNetwork(nn.Module, ABC):
    """G_zeta: Z-hat = G(tau_e, n) (stage 2)."""

    @abstractmethod
    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Latents `[N, 2, D]` from conditions tau_e `[N, C]` and standard normal noise n `[N, noise_size]`."""

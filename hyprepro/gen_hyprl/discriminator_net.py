"""The discriminator network; choices and sources in `hyprepro.gen_hyprl.discriminator`."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class DiscriminatorNetwork(nn.Module):
    """F_mu.

    Args:
        body: Map of flattened latents `[N, 2 D]` -> features `[N, feature_size]`.
        feature_size: Length of the features.
    """

    def __init__(self, body: nn.Module, feature_size: int) -> None:
        super().__init__()
        self.body = body
        self.feature_size = feature_size
        self.head = nn.Linear(feature_size, 1)

    def features(self, latents: Tensor) -> Tensor:
        """What Q reads: features `[N, feature_size]` of latents `[N, 2, D]`."""
        return cast(Tensor, self.body(latents.flatten(1)))

    def logit(self, features: Tensor) -> Tensor:
        """Logit `[N]` of the probability that the latents with these features are real."""
        return cast(Tensor, self.head(features)).squeeze(1)

    def forward(self, latents: Tensor) -> Tensor:
        """Logit `[N]` of latents `[N, 2, D]`."""
        return self.logit(self.features(latents))

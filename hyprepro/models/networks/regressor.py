"""The regressor network; see `hyprepro.models.regressor`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyprepro.models.networks.blocks import as_tokens, condition_of
from hyprepro.models.networks.scaling import Scaling
from hyprepro.models.options import Condition


class LatentRegressor(nn.Module):
    """tau_e -> Z.

    Args:
        network: Map of conditions `[N, C]` -> flattened, scaled latents `[N, 2 D]`.
        latent_size: D.
        kind: What of (h, v) the network sees.
    """

    def __init__(self, network: nn.Module, latent_size: int, kind: Condition) -> None:
        super().__init__()
        self.network = network
        self.kind: Condition = kind
        self.scaling = Scaling((2, latent_size))

    def scaled(self, h: Tensor, v: Tensor) -> Tensor:
        """Predicted latents `[N, 2, D]` in the scaling in which the network is trained."""
        return as_tokens(self.network(condition_of(h, v, self.kind)))

    def predict(self, h: Tensor, v: Tensor) -> Tensor:
        """Predicted latents `[N, 2, D]`, ready for the decoder, from embeddings `[N, E]`."""
        return self.scaling.inverse(self.scaled(h, v))

    def draw(self, h: Tensor, v: Tensor, draws: torch.Generator) -> Tensor:
        """The same as `predict`: a regressor draws nothing."""
        return self.predict(h, v)

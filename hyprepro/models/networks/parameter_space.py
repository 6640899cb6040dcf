"""The space in which an autoencoder sees policies: fixed, invertible, fitted on training data before the first step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyprepro.models.networks.alignment import matching_orders, reordered
from hyprepro.models.networks.scaling import Scaling
from hyprepro.models.options import Scale
from hyprepro.policies.layout import PolicyLayout

SMALLEST_DEVIATION = 0.02
"""An observation is taken to vary by at least this much (metres, mostly), also where training prompts keep it
constant."""


class ParameterSpace(nn.Module):
    """Policy parameters `[N, P]` <-> scaled parameters `[N, P]`, in two chunks: the first layer, and the rest.

    Two steps, both the identity until `fit`:
        1. The first layer is rewritten for standardised observations: W x + b = (W d) ((x - m) / d) + (b + W m). An
           error then counts by what it changes in the layer's output, not by the unit of an observation.
        2. Each chunk is scaled by a `Scaling`.

    Args:
        layout: The policies' layout.
        aligns: Whether `aligned` permutes hidden units to match the first policy that `fit` is given.
    """

    mean: Tensor
    deviation: Tensor
    reference: Tensor | None

    def __init__(self, layout: PolicyLayout, aligns: bool = False) -> None:
        super().__init__()
        self._layout = layout
        self.sizes = (layout.first_layer_size, layout.size - layout.first_layer_size)
        self._weights = layout.hidden * layout.observation_size
        self._shape = (layout.hidden, layout.observation_size)
        self.register_buffer("mean", torch.zeros(layout.observation_size))
        self.register_buffer("deviation", torch.ones(layout.observation_size))
        self.register_buffer("reference", torch.zeros(layout.size) if aligns else None)
        self.scalings = nn.ModuleList(Scaling((size,)) for size in self.sizes)

    def fit(self, params: Tensor, kind: Scale, observations: Tensor | None = None) -> None:
        """Fit both steps.

        Args:
            params: Training policies `[N, P]`.
            kind: How each chunk is scaled.
            observations: What the policies observe `[M, obs]`; None leaves the first layer as it is.
        """
        if observations is not None:
            self.mean.copy_(observations.mean(0))
            self.deviation.copy_(observations.std(0, correction=0).clamp_min(SMALLEST_DEVIATION))
        if self.reference is not None:
            self.reference.copy_(self._standardised(params[:1])[0])
        chunks = self.chunks(self._standardised(self.aligned(params)))
        for scaling, chunk in zip(self.scalings, chunks, strict=True):
            assert isinstance(scaling, Scaling)
            scaling.fit(chunk, kind)

    def aligned(self, params: Tensor) -> Tensor:
        """The same policies `[N, P]`, with the hidden units in the reference's order if this space aligns.

        Units are matched by weights for standardised observations. E sees aligned policies; what D returns is aligned
        and acts the same, so nothing undoes this.
        """
        if self.reference is None:
            return params
        orders = matching_orders(self._layout, self._standardised(params), self.reference)
        return reordered(self._layout, params, *orders)

    def chunks(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's part and the rest of flat vectors `[N, P]`."""
        return flat[:, : self.sizes[0]], flat[:, self.sizes[0] :]

    def forward(self, params: Tensor) -> Tensor:
        """Scaled parameters `[N, P]`."""
        chunks = self.chunks(self._standardised(params))
        return torch.cat([scaling(chunk) for scaling, chunk in zip(self.scalings, chunks, strict=True)], dim=1)

    def inverse(self, scaled: Tensor) -> Tensor:
        """Parameters `[N, P]`."""
        chunks = self.chunks(scaled)
        first, rest = (
            scaling.inverse(chunk)
            for scaling, chunk in zip(self.scalings, chunks, strict=True)
            if isinstance(scaling, Scaling)
        )
        weight, bias = self._first_layer(first)
        weight = weight / self.deviation
        return torch.cat([weight.flatten(1), bias - weight @ self.mean, rest], dim=1)

    def _standardised(self, params: Tensor) -> Tensor:
        first, rest = self.chunks(params)
        weight, bias = self._first_layer(first)
        return torch.cat([(weight * self.deviation).flatten(1), bias + weight @ self.mean, rest], dim=1)

    def _first_layer(self, first: Tensor) -> tuple[Tensor, Tensor]:
        return first[:, : self._weights].reshape(-1, *self._shape), first[:, self._weights :]

"""The space in which an autoencoder sees policies: fixed, invertible, fitted on training data before the first step.

It may put hidden units into the order of the first training policy's (`alignment`), and writes the first layer for
standardised observations, so that an error counts by what it changes.

Principal directions come from the Gram matrix, as the vectors are few and long.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyprepro.gen_hyprl.alignment import (
    Orders,
    Runs,
    activation_orders,
    matching_orders,
    refuse_other,
    refuse_unknown,
    reordered,
)
from hyprepro.gen_hyprl.blocks import Scaling
from hyprepro.gen_hyprl.choices import Alignment, Scale
from hyprepro.policies.layout import PolicyLayout

STATES = 256
"""Observations on which activations are compared."""

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
        alignment: How `aligned` permutes hidden units to match the first policy that `fit` is given; None: not at all.

    Raises:
        UserError: Hidden units of the layout are to be put in order and are not known.
    """

    mean: Tensor
    deviation: Tensor
    reference: Tensor | None
    states: Tensor | None

    def __init__(self, layout: PolicyLayout, alignment: Alignment | None = None) -> None:
        super().__init__()
        if alignment is not None:
            refuse_unknown(layout)
        self._layout = layout
        self.alignment = alignment
        self.sizes = (layout.first_layer_size, layout.size - layout.first_layer_size)
        self._weights = layout.hidden * layout.observation_size
        self._shape = (layout.hidden, layout.observation_size)
        self.register_buffer("mean", torch.zeros(layout.observation_size))
        self.register_buffer("deviation", torch.ones(layout.observation_size))
        self.register_buffer("reference", torch.zeros(layout.size) if alignment else None)
        acts = alignment is not None and alignment.by == "activations"
        self.register_buffer("states", torch.zeros(STATES, layout.observation_size) if acts else None)
        self.scalings = nn.ModuleList(Scaling((size,)) for size in self.sizes)

    def fit(
        self,
        params: Tensor,
        kind: Scale,
        observations: Tensor | None = None,
        states: Tensor | None = None,
        runs: Runs | None = None,
    ) -> None:
        """Fit both steps, and what hidden units are matched by.

        Args:
            params: Training policies `[N, P]`.
            kind: How each chunk is scaled.
            observations: What the policies observe `[M, obs]`; None leaves the first layer as it is.
            states: What they observe where activations are compared `[M, obs]`; None: the observations.
            runs: As for `aligned`.
        """
        if observations is not None:
            self.mean.copy_(observations.mean(0))
            self.deviation.copy_(observations.std(0, correction=0).clamp_min(SMALLEST_DEVIATION))
        if self.reference is not None:
            first = params[:1] if runs is None else runs.representatives[runs.of[:1]]
            self.reference.copy_(self.standardised(first)[0])
        seen = observations if states is None else states
        if self.states is not None and seen is not None:
            spread = torch.linspace(0, len(seen) - 1, STATES, device=seen.device).round().long()
            self.states.copy_((seen[spread] - self.mean) / self.deviation)
        chunks = self.chunks(self.standardised(self.aligned(params, runs)))
        for scaling, chunk in zip(self.scalings, chunks, strict=True):
            assert isinstance(scaling, Scaling)
            scaling.fit(chunk, kind)

    def aligned(self, params: Tensor, runs: Runs | None = None) -> Tensor:
        """The same policies `[N, P]`, with the hidden units in the reference's order if this space aligns.

        Units are matched for standardised observations. E sees aligned policies; what D returns is aligned and acts the
        same, so nothing undoes this.

        Args:
            params: Policies `[N, P]`.
            runs: Who stands for each policy; None: every policy for itself.

        Raises:
            UserError: Policies of another layout.
        """
        if self.reference is None:
            return params
        orders = self._orders(self.standardised(params if runs is None else runs.representatives), self.reference)
        if runs is not None:
            orders = tuple(order[runs.of] for order in orders)
        return reordered(self._layout, params, *orders)

    def matched(self, params: Tensor, to: Tensor) -> Tensor:
        """Policies `[N, P]` with their hidden units matched to those of one policy `[P]`, not to the reference's."""
        orders = self._orders(self.standardised(params), self.standardised(to[None])[0])
        return reordered(self._layout, params, *orders)

    def _orders(self, standardised: Tensor, reference: Tensor) -> Orders:
        assert self.alignment is not None
        if self.states is not None:
            return activation_orders(self._layout, standardised, reference, self.states)
        return matching_orders(self._layout, standardised, reference, as_it_is=self.alignment.of == "policy")

    def chunks(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's part and the rest of flat vectors `[N, P]`."""
        return flat[:, : self.sizes[0]], flat[:, self.sizes[0] :]

    def forward(self, params: Tensor) -> Tensor:
        """Scaled parameters `[N, P]`."""
        chunks = self.chunks(self.standardised(params))
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

    def standardised(self, params: Tensor) -> Tensor:
        """The same policies `[N, P]` for standardised observations.

        Raises:
            UserError: Policies of another layout.
        """
        refuse_other(self._layout, params)
        first, rest = self.chunks(params)
        weight, bias = self._first_layer(first)
        return torch.cat([(weight * self.deviation).flatten(1), bias + weight @ self.mean, rest], dim=1)

    def _first_layer(self, first: Tensor) -> tuple[Tensor, Tensor]:
        return first[:, : self._weights].reshape(-1, *self._shape), first[:, self._weights :]


MOST_ROWS = 4096
"""Larger sets are thinned evenly: the Gram matrix grows with the square of the rows."""
RELATIVE_FLOOR = 1e-10
"""Directions with less than this share of the largest variance are rounding noise and are left zero."""


@torch.no_grad()
def principal_directions(rows: Tensor, count: int) -> Tensor:
    """The `count` orthonormal directions `[count, P]` along which `rows` `[N, P]` (not centred here) are largest.

    Ordered by falling variance, each with its largest entry positive, so that equal data give equal signs. Where the
    rows span fewer than `count` directions, the rest is zero.
    """
    if len(rows) > MOST_ROWS:
        rows = rows[torch.linspace(0, len(rows) - 1, MOST_ROWS).round().long()]
    data = rows.double()
    values, vectors = torch.linalg.eigh(data @ data.T)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    used = values > RELATIVE_FLOOR * values[0].clamp_min(1e-300)
    directions = (vectors[:, used] / values[used].sqrt()).T @ data
    peaks = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    result = torch.zeros(count, rows.shape[1], dtype=rows.dtype, device=rows.device)
    result[: len(directions)] = (directions * peaks.sign()).to(rows.dtype)
    return result

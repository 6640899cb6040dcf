"""The space in which an autoencoder sees policies: fixed, invertible, fitted on training data before the first step.

Hidden units have no order of their own. Exchanging two units of a hidden layer, with the weights into and out of them,
leaves what a network computes as it is and moves its parameter vector far. Policies trained apart therefore differ by
such permutations as well, and an autoencoder spends latents on them. Weight matching (Ainsworth et al., "Git Re-Basin",
2023) finds the permutation by which two networks' weights have the largest inner product, one layer at a time, until no
layer changes. That ends in the nearest optimum, so it is done from two starts and the better end is taken.

Principal directions come from the Gram matrix, as the vectors are few and long.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyprepro.gen_hyprl.blocks import Scaling
from hyprepro.gen_hyprl.choices import Scale
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


Orders = tuple[Tensor, ...]
"""Which unit stands at each place `[width]`, in each hidden layer."""

SWEEPS = 10
"""At most so many rounds over all layers; policies of one store need two or three."""


@torch.no_grad()
def matching_orders(layout: PolicyLayout, params: Tensor, reference: Tensor) -> Orders:
    """For each policy which of its units stands where the reference's does, in every hidden layer.

    Args:
        layout: The policies' layout.
        params: Policies `[N, P]`.
        reference: The policy that they are matched to `[P]`.

    Returns:
        Indices of units `[N, width]` of each layer, for `reordered`.
    """
    wanted, hidden = layout.split(reference.double()), layout.linears[:-1]
    orders = [_Pair(wanted, layout.split(policy.double()), hidden).best() for policy in params]
    return tuple(torch.stack(layer).to(params.device) for layer in zip(*orders, strict=True))


def reordered(layout: PolicyLayout, params: Tensor, *orders: Tensor) -> Tensor:
    """Policies `[N, P]` with the units of all hidden layers in the given orders `[N, width]`; they act the same."""
    parts = layout.split(params)
    row = torch.arange(len(params), device=params.device)[:, None]
    moved: dict[str, Tensor] = {}
    before: Tensor | None = None
    for name, order in zip(layout.linears, (*orders, None), strict=True):
        for layer in (name,) if order is not None else (name, "log_std"):
            weight, bias = parts[f"{layer}.weight"], parts[f"{layer}.bias"]
            if order is not None:  # units of a layer are its rows, those of the layer before its columns
                weight, bias = weight[row, order], bias[row, order]
            if before is not None:
                weight = weight.gather(2, before[:, None].expand(-1, weight.shape[1], -1))
            moved |= {f"{layer}.weight": weight, f"{layer}.bias": bias}
        before = order
    return torch.cat([moved[spec.name].flatten(1) for spec in layout.layers], dim=1)


class _Pair:
    """The inner product of two policies as a function of the orders of one policy's hidden units.

    Args:
        wanted: The reference by layer name.
        given: The policy whose units are put in order.
        hidden: Names of the hidden layers.
    """

    def __init__(self, wanted: dict[str, Tensor], given: dict[str, Tensor], hidden: tuple[str, ...]) -> None:
        self._wanted, self._given = ([part[f"{name}.weight"] for name in hidden] for part in (wanted, given))
        self._beside = [torch.outer(wanted[f"{name}.bias"], given[f"{name}.bias"]) for name in hidden]
        self._beside[0] += self._wanted[0] @ self._given[0].T
        for head in ("mean.weight", "log_std.weight"):
            self._beside[-1] += wanted[head].T @ given[head]

    def best(self) -> Orders:
        """The better end of two climbs.

        One starts from the order as it is, the other from the inputs of the first layer's units alone: in a shuffled
        policy the weights out of these say nothing until the next layer is in order.
        """
        unmoved = torch.arange(len(self._beside[0]), device=self._beside[0].device)
        return max((self._climb(first) for first in (unmoved, _assignment(self._beside[0]))), key=self._product)

    def _climb(self, first: Tensor) -> Orders:
        """Layer by layer the best assignment, which never lowers the inner product, until nothing changes."""
        orders = [first]
        for depth in range(1, len(self._beside)):
            orders.append(self._best(depth, orders))
        for _ in range(SWEEPS):
            before = list(orders)
            for depth in range(len(orders)):
                orders[depth] = self._best(depth, orders)
            if all(map(torch.equal, orders, before)):
                break
        return tuple(orders)

    def _best(self, depth: int, orders: list[Tensor]) -> Tensor:
        """The best order of a layer, given those of the layers beside it, as far as they are known."""
        similarity = self._beside[depth]
        if depth:
            similarity = similarity + self._wanted[depth] @ self._given[depth][:, orders[depth - 1]].T
        if depth + 1 < len(orders):
            similarity = similarity + self._wanted[depth + 1].T @ self._given[depth + 1][orders[depth + 1]]
        return _assignment(similarity)

    def _product(self, orders: Orders) -> float:
        beside = sum(
            one[torch.arange(len(order), device=order.device), order].sum()
            for one, order in zip(self._beside, orders, strict=True)
        )
        between = sum(
            (self._wanted[depth] * self._given[depth][orders[depth]][:, orders[depth - 1]]).sum()
            for depth in range(1, len(orders))
        )
        return float(between + beside)


def _assignment(similarity: Tensor) -> Tensor:
    """For each row the column it is matched with `[n]`, so that the sum of the matched `[n, n]` is largest."""
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).to(similarity.device)


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

"""The order of hidden units: which there are for one and the same policy, and how two policies get the same one.

Hidden units have no order of their own. Exchanging two units of a hidden layer, with the weights into and out of them,
leaves what a network computes as it is and moves its parameter vector far. Policies trained apart therefore differ by
such permutations as well, and an autoencoder spends latents on them. Two ways of matching units are known (Ainsworth et
al., "Git Re-Basin", 2023): by weights, the permutation by which two networks' weights have the largest inner product,
found one layer at a time until no layer changes; and by activations on common states, each layer on its own.

Checkpoints of one training run share their order already. Matched one by one they end in different optima and lie
apart; so a run may be put in order as a whole, by one policy that stands for it (`Runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.policies.forward import FUNCTIONS
from hyprepro.policies.layout import PolicyLayout

Orders = tuple[Tensor, ...]
"""Which unit stands at each place `[width]`, in each hidden layer."""

SWEEPS = 10
"""At most so many rounds over all layers; policies of one store need two or three."""

TIE = 1e-6
"""Share of the weights in matching by activations: it tells units apart that no state activates."""


class Runs(NamedTuple):
    """Policies that are put in order together, each by the one that stands for its run.

    Attributes:
        representatives: `[R, P]`.
        of: Which of them stands for each policy `[N]`.
    """

    representatives: Tensor
    of: Tensor

    def some(self, rows: Tensor) -> Runs:
        """Those of some policies."""
        return Runs(self.representatives, self.of[rows])

    def to(self, device: torch.device) -> Runs:
        """The same on a device."""
        return Runs(self.representatives.to(device), self.of.to(device))


def refuse_unknown(layout: PolicyLayout) -> None:
    """Refuse a layout whose hidden units cannot be told (`UserError`): they are known of MLPs with two heads alone."""
    try:
        known = PolicyLayout.mlp(
            layout.observation_size, layout.widths, layout.action_size, layout.activations, layout.squash, layout.bounds
        )
    except (ValueError, IndexError):
        known = None
    if known != layout:
        names = ", ".join(dict.fromkeys(spec.name.rpartition(".")[0] for spec in layout.layers))
        raise UserError(
            f"Hidden units of this layout cannot be put in order; its layers are {names}.",
            where="Autoencoder.alignment",
            fix="-b \"LinearAutoencoder.alignment='none'\"; units are known of linear1, linear2, ..., mean and log_std",
        )


def refuse_other(layout: PolicyLayout, params: Tensor) -> None:
    """Refuse policies `[N, P]` of another layout (`UserError`): their units are others."""
    if params.shape[-1] != layout.size:
        raise UserError(
            f"Policies of {params.shape[-1]} parameters cannot be put in the order of {layout.shape}, which has "
            f"{layout.size}.",
            where="Autoencoder.alignment",
            fix="align policies of one layout alone; hyprepro store info shows a store's",
        )


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


@torch.no_grad()
def matching_orders(layout: PolicyLayout, params: Tensor, reference: Tensor, as_it_is: bool = True) -> Orders:
    """For each policy which of its units stands where the reference's does, in every hidden layer, by weights.

    Args:
        layout: The policies' layout.
        params: Policies `[N, P]`.
        reference: The policy that they are matched to `[P]`.
        as_it_is: Start one climb from the order that a policy has. It then keeps the order of a policy that is near
            the reference already; without, a permuted policy ends as the same one, wherever it began.

    Returns:
        Indices of units `[N, width]` of each layer, for `reordered`.
    """
    refuse_other(layout, params)
    wanted, hidden = layout.split(reference.double()), layout.linears[:-1]
    orders = [_Pair(wanted, layout.split(policy.double()), hidden).best(as_it_is) for policy in params]
    return tuple(torch.stack(layer).to(params.device) for layer in zip(*orders, strict=True))


@torch.no_grad()
def activation_orders(layout: PolicyLayout, params: Tensor, reference: Tensor, states: Tensor) -> Orders:
    """The same by what the units of each layer do: the order of least squared difference to the reference's.

    Args:
        layout: The policies' layout.
        params: Policies `[N, P]`.
        reference: The policy that they are matched to `[P]`.
        states: What they observe `[S, obs]`.

    Returns:
        As of `matching_orders`; a permuted policy ends as the same one.
    """
    refuse_other(layout, params)
    wanted, parts = _activations(layout, reference, states), layout.split(reference.double())
    orders = [_by_activations(layout, parts, wanted, policy, states) for policy in params]
    return tuple(torch.stack(layer).to(params.device) for layer in zip(*orders, strict=True))


def _by_activations(
    layout: PolicyLayout, reference: dict[str, Tensor], wanted: list[Tensor], policy: Tensor, states: Tensor
) -> Orders:
    """The orders of one policy, layer by layer."""
    given, own = _activations(layout, policy, states), layout.split(policy.double())
    orders: list[Tensor] = []
    for name, one, other in zip(layout.linears[:-1], wanted, given, strict=True):
        weight = own[f"{name}.weight"]
        weight = weight[:, orders[-1]] if orders else weight
        into = reference[f"{name}.weight"] @ weight.T
        into = into + torch.outer(reference[f"{name}.bias"], own[f"{name}.bias"])
        orders.append(_assignment(_unit(one.T @ other) + TIE * _unit(into)))
    return tuple(orders)


def _unit(matrix: Tensor) -> Tensor:
    return matrix / matrix.abs().max().clamp_min(1e-300)


def _activations(layout: PolicyLayout, policy: Tensor, states: Tensor) -> list[Tensor]:
    """What the units of each hidden layer give `[S, width]`, in double precision."""
    parts, x, found = layout.split(policy.double()), states.double(), []
    for name, activation in zip(layout.linears[:-1], layout.activations, strict=True):
        x = FUNCTIONS[activation](x @ parts[f"{name}.weight"].T + parts[f"{name}.bias"])
        found.append(x)
    return found


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

    def best(self, as_it_is: bool) -> Orders:
        """The better end of two climbs, each of which ends in the optimum nearest to its start.

        One starts from the inputs of the first layer's units alone: in a shuffled policy the weights out of these say
        nothing until the next layer is in order. The other starts from the order as it is, or else from the outputs of
        the last layer's units.
        """
        depth = len(self._beside)
        forward, backward = list(range(depth)), list(reversed(range(depth)))
        unmoved = torch.arange(len(self._beside[0]), device=self._beside[0].device)
        inputs = (_assignment(self._beside[0]), forward)
        other = (unmoved, forward) if as_it_is else (_assignment(self._beside[-1]), backward)
        return max((self._climb(*start) for start in (other, inputs)), key=self._product)

    def _climb(self, first: Tensor, way: list[int]) -> Orders:
        """Layer by layer the best assignment, which never lowers the inner product, until nothing changes."""
        orders: list[Tensor | None] = [None] * len(way)
        orders[way[0]] = first
        for depth in way[1:]:
            orders[depth] = self._best(depth, orders)
        found = [order for order in orders if order is not None]
        for _ in range(SWEEPS):
            before = list(found)
            for depth in range(len(found)):
                found[depth] = self._best(depth, found)
            if all(map(torch.equal, found, before)):
                break
        return tuple(found)

    def _best(self, depth: int, orders: Sequence[Tensor | None]) -> Tensor:
        """The best order of a layer, given those of the layers beside it, as far as they are known."""
        similarity = self._beside[depth]
        before = orders[depth - 1] if depth else None
        after = orders[depth + 1] if depth + 1 < len(orders) else None
        if before is not None:
            similarity = similarity + self._wanted[depth] @ self._given[depth][:, before].T
        if after is not None:
            similarity = similarity + self._wanted[depth + 1].T @ self._given[depth + 1][after]
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

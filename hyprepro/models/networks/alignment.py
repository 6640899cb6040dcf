"""Hidden units have no order of their own: bringing those of one policy into the order of another's.

Exchanging two units of a hidden layer, with the weights into and out of them, leaves what a network computes as it is
and moves its parameter vector far. Policies trained apart therefore differ by such permutations as well, and an
autoencoder spends latents on them. Weight matching (Ainsworth et al., "Git Re-Basin", 2023) finds the permutation by
which two networks' weights have the largest inner product, one layer at a time, until no layer changes. That ends in
the nearest optimum, so it is done from two starts and the better end is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyprepro.policies.layout import PolicyLayout

Orders = tuple[Tensor, Tensor]
"""Which unit stands at each place `[hidden]`, in the first and in the second hidden layer."""

SWEEPS = 10
"""At most so many rounds over both layers; policies of one store need two or three."""


@torch.no_grad()
def matching_orders(layout: PolicyLayout, params: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """For each policy which of its units stands where the reference's does, in both hidden layers.

    Args:
        layout: The policies' layout.
        params: Policies `[N, P]`.
        reference: The policy that they are matched to `[P]`.

    Returns:
        Indices of units `[N, hidden]` of the first and of the second layer, for `reordered`.
    """
    wanted = layout.split(reference.double())
    orders = [_Pair(wanted, layout.split(policy.double())).best() for policy in params]
    first, second = (torch.stack(layer).to(params.device) for layer in zip(*orders, strict=True))
    return first, second


def reordered(layout: PolicyLayout, params: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Policies `[N, P]` with the units of both hidden layers in the given orders `[N, hidden]`; they act the same."""
    parts = layout.split(params)
    row = torch.arange(len(params), device=params.device)[:, None]
    square = parts["linear2.weight"][row, second]  # units of the second layer are its rows, of the first its columns
    moved = {
        "linear1.weight": parts["linear1.weight"][row, first],
        "linear1.bias": parts["linear1.bias"][row, first],
        "linear2.weight": square.gather(2, first[:, None].expand_as(square)),
        "linear2.bias": parts["linear2.bias"][row, second],
    }
    for head in ("mean.weight", "log_std.weight"):
        moved[head] = parts[head].gather(2, second[:, None].expand_as(parts[head]))
    return torch.cat([moved.get(spec.name, parts[spec.name]).flatten(1) for spec in layout.layers], dim=1)


class _Pair:
    """The inner product of two policies as a function of the orders of one policy's hidden units.

    Args:
        wanted: The reference by layer name.
        given: The policy whose units are put in order.
    """

    def __init__(self, wanted: dict[str, Tensor], given: dict[str, Tensor]) -> None:
        self._into_first = wanted["linear1.weight"] @ given["linear1.weight"].T
        self._into_first += torch.outer(wanted["linear1.bias"], given["linear1.bias"])
        self._beside_second = torch.outer(wanted["linear2.bias"], given["linear2.bias"])
        for head in ("mean.weight", "log_std.weight"):
            self._beside_second += wanted[head].T @ given[head]
        self._wanted, self._given = wanted["linear2.weight"], given["linear2.weight"]
        self._unmoved = torch.arange(len(self._into_first), device=self._into_first.device)

    def best(self) -> Orders:
        """The better end of two climbs.

        One starts from the order as it is, the other from the inputs of the first layer's units alone: in a shuffled
        policy the weights out of these say nothing until the second layer is in order.
        """
        starts = (self._unmoved, _assignment(self._into_first))
        return max((self._climb(first) for first in starts), key=self._product)

    def _climb(self, first: Tensor) -> Orders:
        """Layer by layer the best assignment, which never lowers the inner product, until nothing changes."""
        second = self._best_second(first)
        for _ in range(SWEEPS):
            before = first
            first = _assignment(self._into_first + self._wanted.T @ self._given[second])
            second = self._best_second(first)
            if torch.equal(first, before):
                break
        return first, second

    def _best_second(self, first: Tensor) -> Tensor:
        return _assignment(self._beside_second + self._wanted @ self._given[:, first].T)

    def _product(self, orders: Orders) -> float:
        first, second = orders
        between = (self._wanted * self._given[second][:, first]).sum()
        outside = self._into_first[self._unmoved, first].sum() + self._beside_second[self._unmoved, second].sum()
        return float(between + outside)


def _assignment(similarity: Tensor) -> Tensor:
    """For each row the column it is matched with `[n]`, so that the sum of the matched `[n, n]` is largest."""
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).to(similarity.device)

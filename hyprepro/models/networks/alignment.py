"""Hidden units have no order of their own: bringing those of one policy into the order of another's.

Exchanging two units of a hidden layer, with the weights into and out of them, leaves what a network computes as it is
and moves its parameter vector far. Policies trained apart therefore differ by such permutations as well, and an
autoencoder spends latents on them. Weight matching (Ainsworth et al., "Git Re-Basin", 2023) finds the permutation by
which two networks' weights have the largest inner product, one layer at a time, until no layer changes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyprepro.policies.layout import PolicyLayout

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
    orders = [_matched(wanted, layout.split(policy.double())) for policy in params]
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


def _matched(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The orders of one policy's units: layer by layer the best assignment, which never lowers the inner product."""
    into_first = wanted["linear1.weight"] @ given["linear1.weight"].T
    into_first += torch.outer(wanted["linear1.bias"], given["linear1.bias"])
    beside_second = torch.outer(wanted["linear2.bias"], given["linear2.bias"])
    for head in ("mean.weight", "log_std.weight"):
        beside_second += wanted[head].T @ given[head]
    first = second = torch.arange(len(into_first), device=into_first.device)
    for _ in range(SWEEPS):
        before = (first, second)
        first = _assignment(into_first + wanted["linear2.weight"].T @ given["linear2.weight"][second])
        second = _assignment(beside_second + wanted["linear2.weight"] @ given["linear2.weight"][:, first].T)
        if torch.equal(first, before[0]) and torch.equal(second, before[1]):
            break
    return first, second


def _assignment(similarity: Tensor) -> Tensor:
    """For each row the column it is matched with `[n]`, so that the sum of the matched `[n, n]` is largest."""
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).to(similarity.device)

"""Principal directions of a set of long vectors by the Gram matrix: for few vectors of great length."""

from __future__ import annotations

import torch
from torch import Tensor

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

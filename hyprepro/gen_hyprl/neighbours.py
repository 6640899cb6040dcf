"""Which training parameters are neighbours, and where another one lies among them: of one number or of several.

Two parameters are neighbours if no third one lies in the ball between them (the Gabriel graph). Single numbers are
neighbours where one follows on the other. Distances count in deviations of the conditions that the generators see.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.domains.base import Data

Parameter = tuple[float, ...]
"""The numbers that a task is told by, in the domain's units."""

Ranges = tuple[tuple[float, float], ...]
"""The least and the largest value of each of them."""

_DIGITS = 6
"""Decimals in which distances are compared: two that differ in rounding alone are equal."""


def ranges_of(data: Data) -> Ranges:
    """The ranges of the numbers that tell a domain's tasks.

    Raises:
        UserError: The domain does not state one for each number of its training tasks.
    """
    domain, numbers = data.domain, {len(parameter) for parameter in data.trained().values()}
    if numbers != {len(domain.ranges)}:
        raise UserError(
            f"{domain.title} tells its tasks by {' or '.join(map(str, sorted(numbers)))} numbers "
            f"and states the ranges of {len(domain.ranges)}.",
            where=f"{domain.kind}.ranges",
            fix="give the domain class the least and the largest value of each number",
        )
    return domain.ranges


def neighbours(parameters: Sequence[Parameter], ranges: Ranges) -> list[tuple[int, int]]:
    """The pairs of neighbours among some parameters, the smaller index first, in order."""
    points = _scaled(parameters, ranges)
    return [
        (one, other)
        for one, other in combinations(range(len(points)), 2)
        if not (((points - points[one]) * (points - points[other])).sum(1) < 0).any()
    ]


def place(parameters: Sequence[Parameter], target: Parameter, ranges: Ranges) -> tuple[int, int, float]:
    """The two neighbours that a target lies between, or nearest to the line between them, and its place there.

    Returns:
        Their indices, and the share of the way from the first to the second; beside an end, or where the target is one
        of the parameters, the same index twice and 0.
    """
    points, goal = _scaled(parameters, ranges), _scaled([target], ranges)[0]
    found: list[tuple[float, int, int, float]] = []
    for one, other in neighbours(parameters, ranges):
        way = points[other] - points[one]
        share = float(np.clip((goal - points[one]) @ way / (way @ way), 0.0, 1.0))
        distance = round(float(np.linalg.norm(points[one] + share * way - goal)), _DIGITS)
        found.append((distance, one, other, share))
    _, one, other, share = min(found, default=(0.0, 0, 0, 0.0))
    if share in (0.0, 1.0):
        only = other if share else one
        return only, only, 0.0
    return one, other, share


def nearest(parameters: Sequence[Parameter], target: Parameter, ranges: Ranges) -> int:
    """The index of the parameter nearest to a target; of equally near ones that with the smaller numbers."""
    away = np.linalg.norm(_scaled(parameters, ranges) - _scaled([target], ranges), axis=1)
    return min(range(len(away)), key=lambda index: (round(float(away[index]), _DIGITS), parameters[index]))


def _scaled(parameters: Sequence[Parameter], ranges: Ranges) -> NDArray[np.float64]:
    low, high = np.asarray(ranges, dtype=np.float64).T
    scaled: NDArray[np.float64] = np.asarray(parameters, dtype=np.float64) * 12**0.5 / (high - low)
    return scaled

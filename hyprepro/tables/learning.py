"""Learning curves of the batched and of the reference collector: means, 95% intervals, and whether these overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import ttest_ind

LEVEL = 0.95
DIGITS = 4


def interval(values: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Mean of independent seeds `[S]` and the ends of its 95% interval (Student's t; the mean alone for one seed)."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(student.ppf(0.5 + LEVEL / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def difference(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Mean of one sample of seeds less that of another, and the ends of its 95% interval (Welch's)."""
    mean = float(np.mean(one) - np.mean(other))
    if min(len(one), len(other)) < 2 or max(np.ptp(one), np.ptp(other)) == 0:
        return round(mean, DIGITS), round(mean, DIGITS), round(mean, DIGITS)
    low, high = ttest_ind(one, other, equal_var=False).confidence_interval(LEVEL)
    return round(mean, DIGITS), round(float(low), DIGITS), round(float(high), DIGITS)


def compared(curves: Mapping[str, NDArray[np.floating[Any]]], updates: NDArray[np.int64]) -> dict[str, Any]:
    """One task's curves side by side.

    Args:
        curves: A score of each trainer's agents `[seeds, points, episodes]`.
        updates: Gradient steps at each point `[points]`.

    Returns:
        `updates`; for each trainer `mean`, `low`, `high` a point and `seeds` (each agent's mean); `overlap` a point,
        and `overlaps`, whether all do; `difference`, the first trainer less the second in the mean return of all
        points after the start, `mean`, `low` and `high`.
    """
    found: dict[str, Any] = {"updates": updates.tolist()}
    ends, overall = {}, []
    for name, scores in curves.items():
        agents = np.asarray(scores, dtype=np.float64).mean(axis=2)
        overall.append(agents[:, 1:].mean(axis=1))
        points = [interval(agents[:, point]) for point in range(agents.shape[1])]
        ends[name] = np.array(points)
        columns = dict(zip(("mean", "low", "high"), ends[name].T.round(DIGITS).tolist(), strict=True))
        found[name] = {**columns, "seeds": agents.round(DIGITS).tolist()}
    low = np.max([end[:, 1] for end in ends.values()], axis=0)
    high = np.min([end[:, 2] for end in ends.values()], axis=0)
    found["overlap"] = (low <= high).tolist()
    found["overlaps"] = bool(np.all(low <= high))
    found["difference"] = dict(zip(("mean", "low", "high"), difference(*overall), strict=True))
    return found

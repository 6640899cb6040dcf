"""Comparing whole distributions of runs: the probability of improvement and performance profiles.

A *run* is one generator seed, as everywhere in the field. Its score on a task is its mean success over the task's
prompts: the 100 policies of a task come from one generator and are no runs of their own. The intervals resample runs
(jointly for all tasks) and, within each task, prompts; all methods meet the same draws. Both definitions are
rliable's, whose intervals resample runs alone, each method and task by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyprepro.tables.statistics import DIGITS, MEAN, Bootstrap, Estimate, FloatArray, Outcomes, scores

TAUS = tuple(round(number / 50, 2) for number in range(51))
"""Where profiles are evaluated."""


def improvement(one: FloatArray, other: FloatArray) -> FloatArray:
    """P(one > other) `[B]`: over all pairs of runs on the same task, ties by half; then averaged over tasks.

    Args:
        one: Scores `[B, S, T]`.
        other: Scores `[B, R, T]`; R may differ from S.
    """
    ahead = np.sign(np.round(one[:, :, None] - other[:, None], DIGITS))  # a tie is one in spite of rounding errors
    share: FloatArray = 0.5 + 0.5 * ahead.mean(axis=(1, 2, 3))
    return share


def probability_of_improvement(
    one: Mapping[str, Outcomes], other: Mapping[str, Outcomes], bootstrap: Bootstrap
) -> Estimate:
    """That a run of one method scores above a run of another on a task; 0.5 says that neither is better.

    Args:
        one: Outcomes by task.
        other: Outcomes of the same tasks.
        bootstrap: The resamples.
    """
    mine, theirs = scores(MEAN, one, bootstrap), scores(MEAN, other, bootstrap)
    value = float(improvement(mine.observed, theirs.observed)[0])
    return Estimate.of(value, improvement(mine.drawn, theirs.drawn))


def shares_above(found: FloatArray, taus: FloatArray) -> FloatArray:
    """The share of runs x tasks with a score above tau: scores `[B, S, T]` and taus `[K]` to `[B, K]`."""
    flat = np.sort(np.round(found.reshape(len(found), -1), DIGITS), axis=1)
    counts = [flat.shape[1] - np.searchsorted(row, taus, side="right") for row in flat]
    shares: FloatArray = np.array(counts) / flat.shape[1]
    return shares


@dataclass(frozen=True)
class Profile:
    """A performance profile, and its pointwise 95% interval, at each of `taus`."""

    taus: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def performance_profile(
    outcomes: Mapping[str, Outcomes], bootstrap: Bootstrap, taus: tuple[float, ...] = TAUS
) -> Profile:
    """The profile of one method over some tasks."""
    grid, found = np.array(taus), scores(MEAN, outcomes, bootstrap)
    low, high = np.percentile(shares_above(found.drawn, grid), [2.5, 97.5], axis=0)
    return Profile(taus, _plain(shares_above(found.observed, grid)[0]), _plain(low), _plain(high))


def _plain(values: FloatArray) -> tuple[float, ...]:
    return tuple(round(float(value), DIGITS) for value in values)

"""Means, interquartile means, top-k, the probability of improvement and profiles, each with a bootstrap interval.

Notation: S generator seeds, P policies and G starts a task, B bootstrap resamples, T tasks.

Policies of a task are no independent runs: all come from the same few generators. So the bootstrap resamples crossed
things. Generator seeds are drawn jointly for all tasks, because one generator serves them all; tasks are fixed
(stratified); with one seed an interval speaks of the rest alone. What is drawn within a task depends on the metric:

    success   prompts: policy i of every seed and method answers prompt i from the same starts, so the draw is the same
              for every method, and differences are paired by prompt (`Outcomes`)
    return    starts, the same draw for every method, so that differences are paired by start, and the policies of each
              method by themselves, as they answer to nothing in common; one policy is resampled over starts alone
              (`Totals`)

A *run* is one generator seed, as everywhere in the field. Its score on a task is its mean over the task's policies,
which come from one generator and are no runs of their own. The probability of improvement and performance profiles
compare distributions of runs, by rliable's definitions; rliable's intervals resample runs alone, each method and task
by itself, and ours runs and prompts.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
RESAMPLES = 2000
DIGITS = 6
"""Decimals that are kept: far below any sampling error. They are equal on every processor, since all sums are taken in
an order of ours (`weighted_sums`) and none by the BLAS library."""


class Cell(ABC):
    """What one method did on one task under one protocol, and how that is resampled: by its prompts, unless overridden.

    Subclasses declare:
        paired: The first axis whose size another method's must share for their difference to be paired.
    """

    paired: ClassVar[int] = 1

    @property
    @abstractmethod
    def scored(self) -> FloatArray:
        """What was measured `[S, P, ...]`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """S, P and further axes."""
        return self.scored.shape

    @property
    def design(self) -> tuple[int, ...]:
        """The sizes that another method's must share for their difference to be paired."""
        return self.shape[self.paired :]

    def observed(self, statistic: Statistic) -> FloatArray:
        """The statistic's score of every seed `[1, S]`."""
        return statistic.score(self, np.ones((1, self.shape[1])))

    def drawn(self, statistic: Statistic, task: str, bootstrap: Bootstrap) -> FloatArray:
        """The same on resamples of what the task has `[B, S]`; seeds are resampled by the caller."""
        return statistic.score(self, bootstrap.counts(task, self.shape[1]))


@dataclass(frozen=True)
class Outcomes(Cell):
    """Success, whose prompts are resampled.

    Attributes:
        success: 0 or 1, `[S, P, G]`.
        validation: Mean success of each policy from validation starts `[S, P]`, None where there were none.
    """

    success: FloatArray
    validation: FloatArray | None = None

    @property
    def scored(self) -> FloatArray:
        return self.success


@dataclass(frozen=True)
class Totals(Cell):
    """Returns, whose policies and starts are resampled; their only score is the mean.

    Attributes:
        totals: Returns `[S, P, G]`, every policy from the same starts.
        owner: Whose policies they are: those of one owner are drawn alike.
    """

    paired: ClassVar[int] = 2

    totals: FloatArray
    owner: str

    @property
    def scored(self) -> FloatArray:
        return self.totals

    def observed(self, statistic: Statistic) -> FloatArray:
        mean: FloatArray = self.totals.mean(axis=(1, 2))[None]
        return mean

    def drawn(self, statistic: Statistic, task: str, bootstrap: Bootstrap) -> FloatArray:
        """Means over the owner's policies and the task's starts as often as they were drawn."""
        seeds, policies, starts = self.totals.shape
        by_policy = bootstrap.counts(f"policies of {self.owner} at {task}", policies)
        by_start = bootstrap.counts(f"starts at {task}", starts)
        episodes = (by_policy[:, :, None] * by_start[:, None]).reshape(len(by_start), policies * starts)
        sums = weighted_sums(episodes, self.totals.reshape(seeds, policies * starts).T)
        means: FloatArray = sums / (policies * starts)
        return means


def weighted_sums(weights: FloatArray, values: FloatArray) -> FloatArray:
    """The sums over p of `weights[b, p] * values[p, ...]`: `[B, P]` and `[P, ...]` to `[B, ...]`.

    The terms are added one after the other, p by p. A matrix product adds them in an order that depends on the
    processor, and so do its last bits; these sums are the same bits everywhere. Products of whole numbers, as below,
    need no such care: they are exact in any order.
    """
    total = np.zeros((len(weights), *values.shape[1:]))
    columns = np.ascontiguousarray(weights.T).reshape(*weights.T.shape, *[1] * (values.ndim - 1))
    for column, value in zip(columns, values, strict=True):
        total += column * value
    return total


def mean_scores(outcomes: Outcomes, counts: FloatArray) -> FloatArray:
    """Mean success `[B, S]` when policy p occurs `counts[b, p]` times."""
    won = counts @ outcomes.success.sum(axis=2).T  # whole numbers
    scores: FloatArray = won / (counts.sum(axis=1, keepdims=True) * outcomes.success.shape[2])
    return scores


def top_scores_per_goal(outcomes: Outcomes, counts: FloatArray, k: int) -> FloatArray:
    """Top-k `[B, S]` as Make-An-Agent's code has it: the best k of every goal, sorted goal by goal, averaged.

    An optimistic order statistic: the k policies are picked on the very episodes that score them, and differ between
    goals.
    """
    seeds, _, goals = outcomes.success.shape
    columns = [
        [top_k(counts, outcomes.success[s, :, g], outcomes.success[s, :, g], k) for g in range(goals)]
        for s in range(seeds)
    ]
    return np.array([np.mean(column, axis=0) for column in columns]).T


def top_scores_validated(outcomes: Outcomes, counts: FloatArray, k: int) -> FloatArray:
    """Top-k `[B, S]` picked by success on validation goals and scored on others."""
    if outcomes.validation is None:
        raise ValueError("there are no validation records")
    pairs = zip(outcomes.validation, outcomes.success.sum(axis=2), strict=True)
    scores: FloatArray = np.array([top_k(counts, rank, won, k) for rank, won in pairs]).T / outcomes.success.shape[2]
    return scores


def top_k(counts: FloatArray, rank: FloatArray, value: FloatArray, k: int) -> FloatArray:
    """Mean value `[B]` of the k policies of highest rank; ties are shared, as the mean over random orders would be.

    Args:
        counts: How often each policy occurs `[B, P]`.
        rank: What is sorted by `[P]`.
        value: What is averaged `[P]`: whole numbers, so that the sums are exact.
        k: How many; at least k policies must occur.
    """
    levels = np.unique(rank)[::-1]
    members = (rank[:, None] == levels).astype(np.float64)  # [P, levels], the highest first
    product = counts @ np.concatenate([members, members * value[:, None]], axis=1)
    present, won = np.hsplit(product, 2)
    taken = np.clip(k - (np.cumsum(present, axis=1) - present), 0, present)
    share = np.divide(taken, present, out=np.zeros_like(present), where=present > 0)
    mean: FloatArray = (share * won).sum(axis=1) / k
    return mean


Score = Callable[[Any, FloatArray], FloatArray]
"""Scores `[B, S]` of a `Cell` when policy p counts `counts[b, p]` times."""


@dataclass(frozen=True)
class Statistic:
    """A statistic of the scores `[B, S, T]`, which `score` computes task by task as `[B, S]`."""

    name: str
    score: Score
    combine: Callable[[FloatArray], FloatArray]
    at_least: int = 1
    """The fewest policies it is defined for."""
    key: str = "mean"
    """Statistics of one key share their scores."""
    is_validated: bool = False
    """Whether it needs `Outcomes.validation`."""


def average(scores: FloatArray) -> FloatArray:
    """Mean over seeds and tasks: `[B, S, T]` to `[B]`."""
    mean: FloatArray = scores.mean(axis=(1, 2))
    return mean


def interquartile_mean(scores: FloatArray) -> FloatArray:
    """Mean of the middle half of the S x T scores: `[B, S, T]` to `[B]`.

    As in rliable: of n scores, the floor(n / 4) lowest and highest are left out; below four scores it is the mean.
    """
    flat = np.sort(scores.reshape(len(scores), -1), axis=1)
    cut = flat.shape[1] // 4
    mean: FloatArray = flat[:, cut : flat.shape[1] - cut].mean(axis=1)
    return mean


MEAN = Statistic("mean", mean_scores, average)
IQM = Statistic("iqm", mean_scores, interquartile_mean)


def top(k: int, is_validated: bool) -> Statistic:
    """Top-k, picked on validation goals or, as the paper does, on the episodes that score it."""
    score = top_scores_validated if is_validated else top_scores_per_goal
    return Statistic(
        f"top{k}", partial(score, k=k), average, at_least=k, key=f"top{k}-{is_validated}", is_validated=is_validated
    )


@dataclass
class Bootstrap:
    """Resamples shared by all methods, so that their differences are paired.

    The draws depend on `seed`, the task's name and the numbers of prompts and generator seeds alone: adding a method
    or a task to a table changes no other interval.
    """

    resamples: int = RESAMPLES
    seed: int = 0
    _counts: dict[tuple[str, int], FloatArray] = field(default_factory=dict)
    _scores: dict[tuple[object, ...], tuple[Cell, FloatArray]] = field(default_factory=dict)

    def counts(self, task: str, policies: int) -> FloatArray:
        """How often each prompt of a task, or each policy or start of a name, occurs `[B, P]`."""
        key = (task, policies)
        if key not in self._counts:
            drawn = self._rng(task, policies).integers(0, policies, (self.resamples, policies))
            flat = drawn + policies * np.arange(self.resamples)[:, None]
            counts = np.bincount(flat.ravel(), minlength=self.resamples * policies)
            self._counts[key] = counts.reshape(self.resamples, policies).astype(np.float64)
        return self._counts[key]

    def scores(self, statistic: Statistic, task: str, cell: Cell) -> FloatArray:
        """The statistic's scores `[B, S]` on the resamples of a task, computed once."""
        key = (statistic.key, task, id(cell))  # the cell is kept below, so that the id stays its own
        if key not in self._scores:
            self._scores[key] = (cell, cell.drawn(statistic, task, self))
        return self._scores[key][1]

    def seeds(self, count: int) -> NDArray[np.int64]:
        """Which generator seeds occur `[B, S]`."""
        drawn: NDArray[np.int64] = self._rng("generator seeds", count).integers(0, count, (self.resamples, count))
        return drawn

    def _rng(self, *parts: object) -> np.random.Generator:
        text = repr((self.seed, *parts)).encode()
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "little"))


@dataclass(frozen=True)
class Estimate:
    """A value, its 95% interval, and the values on all resamples `[B]`, for differences."""

    value: float
    ci95: tuple[float, float]
    samples: FloatArray = field(repr=False, compare=False)

    @classmethod
    def of(cls, value: float, samples: FloatArray) -> Estimate:
        """With the percentile interval of the samples."""
        low, high = np.percentile(samples, [2.5, 97.5])
        return cls(_round(value), (_round(low), _round(high)), samples)


@dataclass(frozen=True)
class Scores:
    """A score for every run and task of one method: as observed `[1, S, T]`, and on all resamples `[B, S, T]`."""

    observed: FloatArray
    drawn: FloatArray


def scores(statistic: Statistic, cells: Mapping[str, Cell], bootstrap: Bootstrap) -> Scores:
    """The statistic's scores of one method on some tasks (by name).

    Raises:
        ValueError: The tasks differ in their number of seeds, or have fewer policies than the statistic needs.
    """
    seeds = {cell.shape[0] for cell in cells.values()}
    fewest = min(cell.shape[1] for cell in cells.values())
    if len(seeds) != 1 or fewest < statistic.at_least:
        raise ValueError(f"{statistic.name} over {seeds} seeds and {fewest} policies")
    count = seeds.pop()
    observed = [cell.observed(statistic) for cell in cells.values()]
    resampled = [bootstrap.scores(statistic, task, cell) for task, cell in cells.items()]
    drawn = np.take_along_axis(np.stack(resampled, axis=2), bootstrap.seeds(count)[:, :, None], axis=1)
    return Scores(np.stack(observed, axis=2), drawn)


def estimate(statistic: Statistic, cells: Mapping[str, Cell], bootstrap: Bootstrap) -> Estimate:
    """A statistic of one method over some tasks (by name), with its interval. Raises as `scores` does."""
    found = scores(statistic, cells, bootstrap)
    return Estimate.of(float(statistic.combine(found.observed)[0]), statistic.combine(found.drawn))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """One minus other, paired resample by resample."""
    return Estimate.of(one.value - other.value, one.samples - other.samples)


def same_design(one: Sequence[Cell], other: Sequence[Cell]) -> bool:
    """Whether two methods can be paired on some tasks; their seeds may differ in number."""
    return [cell.design for cell in one] == [cell.design for cell in other]


def _round(value: float | np.floating) -> float:
    return round(float(value), DIGITS) + 0.0  # no negative zero


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


def probability_of_improvement(one: Mapping[str, Cell], other: Mapping[str, Cell], bootstrap: Bootstrap) -> Estimate:
    """That a run of one method scores above a run of another on a task; 0.5 says that neither is better.

    Args:
        one: Cells by task.
        other: Those of the same tasks.
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


def performance_profile(cells: Mapping[str, Cell], bootstrap: Bootstrap, taus: tuple[float, ...] = TAUS) -> Profile:
    """The profile of one method over some tasks."""
    grid, found = np.array(taus), scores(MEAN, cells, bootstrap)
    low, high = np.percentile(shares_above(found.drawn, grid), [2.5, 97.5], axis=0)
    return Profile(taus, _plain(shares_above(found.observed, grid)[0]), _plain(low), _plain(high))


def _plain(values: FloatArray) -> tuple[float, ...]:
    return tuple(round(float(value), DIGITS) for value in values)

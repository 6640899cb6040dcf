"""From records of Cheetah-Vel to the rows of result.json: returns with intervals, and paired differences.

Notation: S seeds, P policies of a seed and G starts a velocity, T velocities, B bootstrap resamples.

Policies of one generator are no independent runs, and every method runs from the same starts. So the bootstrap
resamples three crossed things: seeds, jointly for all velocities, because one generator serves them all; starts within
each velocity, the same draw for every method, so that differences are paired; and the policies of each method and
velocity. Velocities are fixed (stratified). A method of one policy is resampled over starts alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports import paper
from hyprepro.reports.statistics import (
    RESAMPLES,
    Bootstrap,
    Estimate,
    FloatArray,
    average,
    difference,
    interquartile_mean,
    weighted_sums,
)
from hyprepro.reports.summary import MAIN, Rows, Summary

if TYPE_CHECKING:
    from hyprepro.reports.records import Record

PROTOCOL = "paper"
"""Whole episodes of fresh starts, undiscounted, as MACAW, Prompt-DT and the paper score them."""
STATISTICS = {"mean": average, "iqm": interquartile_mean}
PAPERS_SIZE = 35
"""Training velocities behind the paper's rows that do not say how many."""

Key = tuple[str, int | None]  # method, number of training velocities


def summarise_returns(
    records: Iterable[Record], *, recipe: str, reference: str = MAIN, resamples: int = RESAMPLES
) -> Summary:
    """Every number of a table from its records.

    Args:
        records: One run's records, of one variant; in any order.
        recipe: The recipe's name, for messages.
        reference: The method that all others of the same number of training velocities are compared with.
        resamples: Bootstrap resamples.

    Returns:
        Rows method by method and number by number in the records' order, for each velocity and then the average of a
        split; paired differences on average.

    Raises:
        UserError: The records are of several variants, or those of a method are incomplete.
    """
    records = list(records)
    variants = {record.variant for record in records}
    if len(variants) != 1:
        raise UserError(f"The records of {recipe} are empty or of several variants.", fix="run the recipe again")
    table = _Table(_totals(records, recipe), variants.pop(), Bootstrap(resamples))
    comparisons = [row for key in table.keys for row in table.comparisons(reference, key)]
    return Summary([row for key in table.keys for row in table.rows(key)], comparisons)


@dataclass(frozen=True)
class _Totals:
    """Returns `[S, P, G]` of one method at one velocity."""

    split: str
    task: str
    values: FloatArray


class _Table:
    """All estimates of a run."""

    def __init__(self, totals: Mapping[Key, Sequence[_Totals]], variant: str, bootstrap: Bootstrap) -> None:
        self._totals, self._variant, self._bootstrap = totals, variant, bootstrap
        self._samples: dict[tuple[Key, str], FloatArray] = {}
        self.keys = list(totals)

    def rows(self, key: Key) -> Rows:
        splits = dict.fromkeys(each.split for each in self._totals[key])
        return [row for split in splits for row in self._rows(key, split)]

    def comparisons(self, reference: str, key: Key) -> Rows:
        """The reference minus a method on the average of every split that both have."""
        method, size = key
        found = []
        for mine in self.keys:
            if mine[0] != reference or method == reference or size not in (mine[1], None):
                continue
            for split in dict.fromkeys(each.split for each in self._totals[mine]):
                sides = [self._of(each, split) for each in (mine, key)]
                if [each.task for each in sides[0]] != [each.task for each in sides[1]]:
                    continue
                one, other = (self._estimate(each, side, "mean") for each, side in zip((mine, key), sides, strict=True))
                common = {"method": reference, "minus": method, **self._common(split, None, mine[1])}
                found.append({**common, "statistic": "mean", **_value(difference(one, other))})
        return found

    def _rows(self, key: Key, split: str) -> Rows:
        method, size = key
        every = self._of(key, split)
        found = []
        for task, chosen in [*((each.task, [each]) for each in every), (None, every)]:
            common = {"method": method, "variant": self._variant, **self._common(split, task, size)}
            sizes = {
                "n_policies": sum(each.values.shape[1] for each in chosen),
                "n_episodes": sum(each.values.size for each in chosen),
                "n_seeds": chosen[0].values.shape[0],
            }
            for statistic in STATISTICS if task is None else ("mean",):
                is_papers = task is None and split == "test" and statistic == "mean"
                theirs = paper_return(method, size) if is_papers else None
                result = self._estimate(key, chosen, statistic)
                found.append({**common, "statistic": statistic, **_value(result), **sizes, "paper": theirs})
        return found

    def _of(self, key: Key, split: str) -> list[_Totals]:
        """A method's velocities of one split, in the order of the records."""
        return [each for each in self._totals[key] if each.split == split]

    def _common(self, split: str, task: str | None, size: int | None) -> dict[str, Any]:
        return {"task": task, "split": split, "protocol": PROTOCOL, "metric": "return", "n_train": size}

    def _estimate(self, key: Key, chosen: Sequence[_Totals], statistic: str) -> Estimate:
        combine = STATISTICS[statistic]
        observed = np.stack([each.values.mean(axis=(1, 2)) for each in chosen], axis=1)[None]
        drawn = np.stack([self._drawn(key, each) for each in chosen], axis=2)
        seeds = self._bootstrap.seeds(observed.shape[1])
        drawn = np.take_along_axis(drawn, seeds[:, :, None], axis=1)
        return Estimate.of(float(combine(observed)[0]), combine(drawn))

    def _drawn(self, key: Key, totals: _Totals) -> FloatArray:
        """Mean returns `[B, S]` on resampled policies and starts, computed once."""
        place = (key, totals.task)
        if place not in self._samples:
            seeds, policies, starts = totals.values.shape
            by_policy = self._bootstrap.counts(f"policies of {key} at {totals.task}", policies)
            by_start = self._bootstrap.counts(f"starts at {totals.task}", starts)
            episodes = (by_policy[:, :, None] * by_start[:, None]).reshape(len(by_start), policies * starts)
            sums = weighted_sums(episodes, totals.values.reshape(seeds, policies * starts).T)
            self._samples[place] = sums / (policies * starts)
        return self._samples[place]


def paper_return(method: str, n_train: int | None) -> float | None:
    """The paper's average return over its test velocities, None where it has none."""
    for row in paper.load("table4")["rows"]:
        if row["method"] == method and row.get("n_train", PAPERS_SIZE) == n_train:
            return float(row["return"])
    return None


def _value(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "ci95": list(found.ci95)}


def _totals(records: Sequence[Record], recipe: str) -> dict[Key, list[_Totals]]:
    """Returns by method and number of training velocities, in the order of the records."""
    cells: dict[Key, dict[tuple[str, str], dict[tuple[int, int, str], float]]] = defaultdict(dict)
    for record in records:
        cell = cells[record.method, record.n_train].setdefault((record.split, record.task), {})
        if (record.seed, record.policy, record.start) in cell:
            raise _unsound(recipe, record.method, record.task, "an episode stands twice")
        cell[record.seed, record.policy, record.start] = record.score
    found: dict[Key, list[_Totals]] = {}
    for (method, size), by_task in cells.items():
        seeds = {frozenset(seed for seed, _, _ in cell) for cell in by_task.values()}
        arrays = []
        for (split, task), cell in by_task.items():
            runs, policies, starts = map(sorted, map(set, zip(*cell, strict=True)))
            if len(seeds) > 1 or len(cell) != len(runs) * len(policies) * len(starts):
                raise _unsound(recipe, method, task, "episodes are missing")
            values = [[[cell[s, p, g] for g in starts] for p in policies] for s in runs]
            arrays.append(_Totals(split, task, np.array(values)))
        found[method, size] = arrays
    return found


def _unsound(recipe: str, method: str, task: str, reason: str) -> UserError:
    what = f"The records of {recipe} are incomplete: {method} at {task}: {reason}."
    return UserError(what, fix="run the recipe again")

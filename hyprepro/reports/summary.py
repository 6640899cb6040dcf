"""From records to the rows of result.json, and reading a result.json that somebody else may have written.

A row's `n_policies` counts policies of one generator seed (of all its tasks, in an average), `n_episodes` all
episodes behind it. The protocol "validation" has no rows: its records only pick the strict protocol's top-k.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports import paper
from hyprepro.reports.records import Record
from hyprepro.reports.statistics import (
    IQM,
    MEAN,
    RESAMPLES,
    Bootstrap,
    Estimate,
    FloatArray,
    Outcomes,
    Statistic,
    difference,
    estimate,
    performance_profile,
    probability_of_improvement,
    same_design,
    top,
)

VALIDATION = "validation"
TOP = (5, 10)
MAIN = "gen-hyprl"
BASELINE = "gen-hyprl-wo-hypformer"
MAA = "make-an-agent"
TASK_BY_TASK = (BASELINE, MAA)
"""What Gen-HypRL is compared with on every task; with other methods on average."""
IMPROVEMENT = "probability_of_improvement"

Rows = list[dict[str, Any]]
_Key = tuple[str, str, str]  # method, protocol, task
_Cell = dict[tuple[int, int], dict[str, float]]  # success by (seed, policy), then by goal
_Found = dict[_Key, Outcomes]


@dataclass(frozen=True)
class Summary:
    """The numbers of a run.

    Attributes:
        rows: DESIGN's rows.
        comparisons: Paired differences: `method` minus `minus`, on average, and for HypFormer's gain and Make-An-Agent
            per task as well; and on average the probability that a run of `method` is above one of `minus`. The same
            fields as a row where they apply; `n_runs` counts the runs x tasks behind a probability.
        profiles: Performance profiles over the tasks of each average, under the last protocol of each method.
    """

    rows: Rows
    comparisons: Rows
    profiles: Rows = field(default_factory=list)


def result_rows(
    records: Iterable[Record],
    *,
    recipe: str,
    seen: Sequence[str] = (),
    below: Sequence[str] = (),
    unseen: Sequence[str] = (),
    resamples: int = RESAMPLES,
) -> Rows:
    """The rows alone; see `summarise`."""
    return summarise(records, recipe=recipe, seen=seen, below=below, unseen=unseen, resamples=resamples).rows


def summarise(
    records: Iterable[Record],
    *,
    recipe: str,
    seen: Sequence[str] = (),
    below: Sequence[str] = (),
    unseen: Sequence[str] = (),
    reference: str = MAIN,
    resamples: int = RESAMPLES,
) -> Summary:
    """Every number of a table from its records.

    Args:
        records: One run's records, of one variant; in any order.
        recipe: The recipe's name, for messages.
        seen: Seen tasks of the average.
        below: Further seen tasks, with rows of their own.
        unseen: Unseen tasks, which have an average of their own.
        reference: The method that all others are compared with.
        resamples: Bootstrap resamples.

    Returns:
        Rows in the order of the methods in the records, then of the protocols, splits, tasks (the average after those
        that it is of), statistics.

    Raises:
        UserError: The records of a method are incomplete (a task, seed, policy or goal is missing), or a task's records
            are of another split.
    """
    splits = [_Split("seen", list(seen), list(below)), _Split("unseen", list(unseen), [])]
    records = list(records)
    _check_splits(records, splits, recipe)
    used = [split for split in splits if split.all]
    table = _Table(outcomes_of(records, recipe), used, reference, Bootstrap(resamples))
    table.check(recipe)
    rows = [row for method, protocol in table.pairs for row in table.rows(method, protocol)]
    return Summary(rows, table.comparisons(), table.profiles())


@dataclass(frozen=True)
class _Split:
    """The tasks of an average, and those below it."""

    name: str
    tasks: list[str]
    below: list[str]

    @property
    def all(self) -> list[str]:
        return self.tasks + self.below

    @property
    def rows(self) -> list[str | None]:
        """The tasks with the average (None) in its place, if there is one."""
        return [*self.tasks, *([None] if self.tasks else []), *self.below]


class _Table:
    """All estimates of a run, computed once each."""

    def __init__(
        self, found: tuple[str, dict[_Key, Outcomes]], splits: list[_Split], reference: str, bootstrap: Bootstrap
    ) -> None:
        self.variant, self.outcomes = found
        self.splits, self.reference, self.bootstrap = splits, reference, bootstrap
        self.pairs = list(dict.fromkeys((method, protocol) for method, protocol, _ in self.outcomes))

    def check(self, recipe: str) -> None:
        for method, protocol in self.pairs:
            wanted = [task for split in self.splits for task in split.all]
            absent = [task for task in wanted if (method, protocol, task) not in self.outcomes]
            if absent:
                raise UserError(
                    f"The records of {recipe} lack {method} on {', '.join(absent)} under the {protocol} protocol.",
                    fix="run the recipe again",
                )

    def rows(self, method: str, protocol: str) -> Rows:
        return [row for split in self.splits for row in self._rows(method, protocol, split)]

    def _rows(self, method: str, protocol: str, split: _Split) -> Rows:
        found = []
        for task in split.rows:
            chosen = self._chosen(method, protocol, split, task)
            success = [outcome.success for outcome in chosen.values()]
            common = {
                "method": method,
                "variant": self.variant,
                "task": task,
                "split": split.name,
                "protocol": protocol,
                "metric": "success_rate",
            }
            sizes = {
                "n_policies": sum(array.shape[1] for array in success),
                "n_episodes": sum(array.size for array in success),
                "n_seeds": success[0].shape[0],
                "n_train": None,
            }
            for statistic in _statistics(protocol, chosen):
                result = estimate(statistic, chosen, self.bootstrap)
                value = {"statistic": statistic.name, **_value(result)}
                # The paper's numbers are of its own protocol; beside the strict one they would compare unlike things.
                is_paper = protocol == "paper"
                theirs = paper.rate(split.name, method, task, statistic.name, split.tasks) if is_paper else None
                found.append({**common, **value, **sizes, "paper": theirs})
        return found

    def comparisons(self) -> Rows:
        return [
            row
            for method, protocol in self.pairs
            if (self.reference, protocol) in self.pairs and method != self.reference
            for split in self.splits
            for row in self._comparisons(method, protocol, split)
        ]

    def _comparisons(self, method: str, protocol: str, split: _Split) -> Rows:
        """The reference beside a method: on average, and with some task by task as well."""
        found = []
        for task in split.rows if method in TASK_BY_TASK else [task for task in split.rows if task is None]:
            mine, theirs = (self._chosen(name, protocol, split, task) for name in (self.reference, method))
            if same_design(list(mine.values()), list(theirs.values())):
                common = {"method": self.reference, "minus": method, "split": split.name, "task": task}
                common |= {"protocol": protocol, "metric": "success_rate"}
                found.append({**common, "statistic": MEAN.name, **_value(self._difference(mine, theirs))})
                if task is None:
                    chance = probability_of_improvement(mine, theirs, self.bootstrap)
                    runs = min(next(iter(side.values())).success.shape[0] for side in (mine, theirs)) * len(mine)
                    found.append({**common, "statistic": IMPROVEMENT, **_value(chance), "n_runs": runs})
        return found

    def profiles(self) -> Rows:
        found = []
        for method, protocol in dict(self.pairs).items():  # the last protocol of every method
            for split in self.splits:
                if split.tasks:
                    profile = performance_profile(self._chosen(method, protocol, split, None), self.bootstrap)
                    lists = {name: list(values) for name, values in asdict(profile).items()}
                    found.append({"method": method, "split": split.name, "protocol": protocol, **lists})
        return found

    def _difference(self, one: dict[str, Outcomes], other: dict[str, Outcomes]) -> Estimate:
        return difference(estimate(MEAN, one, self.bootstrap), estimate(MEAN, other, self.bootstrap))

    def _chosen(self, method: str, protocol: str, split: _Split, task: str | None) -> dict[str, Outcomes]:
        names = split.tasks if task is None else [task]
        return {name: self.outcomes[method, protocol, name] for name in names}


def _value(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "ci95": list(found.ci95)}


def _statistics(protocol: str, chosen: Mapping[str, Outcomes]) -> list[Statistic]:
    """What can be computed: top-k from k policies on, under the strict protocol only where validation picks them."""
    is_paper = protocol == "paper"
    can_pick = is_paper or all(outcome.validation is not None for outcome in chosen.values())
    fewest = min(outcome.success.shape[1] for outcome in chosen.values())
    return [MEAN, IQM, *(top(k, not is_paper) for k in TOP if can_pick and fewest >= k)]


def outcomes_of(records: Iterable[Record], recipe: str) -> tuple[str, _Found]:
    """The variant, and arrays by (method, protocol, task) in the order of the records."""
    cells: dict[_Key, _Cell] = defaultdict(lambda: defaultdict(dict))
    variants = set()
    for record in records:
        variants.add(record.variant)
        key = (record.method, record.protocol, record.task)
        goals = cells[key][record.seed, record.policy]
        if record.goal in goals:
            raise _unsound(key, recipe, f"policy {record.policy} meets {record.goal} twice")
        goals[record.goal] = float(record.success)
    if len(variants) > 1:
        raise UserError(
            f"The records of {recipe} mix the variants {', '.join(sorted(variants))}.",
            fix="compute the rows of each variant from its own records",
        )
    _check_seeds(cells, recipe)
    arrays = {key: _array(key, cell, recipe) for key, cell in cells.items()}
    found = {}
    for (method, protocol, task), success in arrays.items():
        if protocol != VALIDATION:
            picked = arrays.get((method, VALIDATION, task)) if protocol == "strict" else None
            if picked is not None and picked.shape[:2] != success.shape[:2]:
                raise _unsound((method, VALIDATION, task), recipe, "not every policy was validated")
            found[method, protocol, task] = Outcomes(success, None if picked is None else picked.mean(axis=2))
    if not found:
        raise UserError(f"The records of {recipe} are empty.", fix="run the recipe again")
    return variants.pop(), found


def _check_splits(records: Iterable[Record], splits: Iterable[_Split], recipe: str) -> None:
    expected = {task: split.name for split in splits for task in split.all}
    for record in records:
        if expected.get(record.task, record.split) != record.split:
            raise UserError(
                f"The records of {recipe} mix splits: {record.method} on {record.task} was run as {record.split}, "
                f"and the task is {expected[record.task]} here.",
                fix="run the recipe again",
            )


def _check_seeds(cells: Mapping[_Key, _Cell], recipe: str) -> None:
    """Every generator of a method must have done all tasks: an average takes its runs as wholes."""
    first: dict[str, set[int]] = {}
    for key, cell in cells.items():
        seeds = {seed for seed, _ in cell}
        if first.setdefault(key[0], seeds) != seeds:
            raise _unsound(key, recipe, "generator seeds are missing")


def _array(key: _Key, cell: _Cell, recipe: str) -> FloatArray:
    """Success `[S, P, G]` of one method, protocol and task; goals sorted by label."""
    seeds, policies = sorted({seed for seed, _ in cell}), sorted({policy for _, policy in cell})
    table = [[cell.get((seed, policy), {}) for policy in policies] for seed in seeds]
    goals = {tuple(sorted(goals)) for row in table for goals in row}
    if len({len(labels) for labels in goals}) != 1:
        raise _unsound(key, recipe, "episodes are missing")
    if key[1] == "paper" and len(goals) != 1:
        raise _unsound(key, recipe, "policies met different goals")
    return np.array([[[goals[label] for label in sorted(goals)] for goals in row] for row in table])


def _unsound(key: _Key, recipe: str, reason: str) -> UserError:
    method, protocol, task = key
    what = f"The records of {recipe} are incomplete: {method} on {task}, {protocol} protocol: {reason}."
    return UserError(what, fix="run the recipe again")


def read_result(path: Path) -> dict[str, Any]:
    """Read a result.json.

    Raises:
        UserError: It is missing, not JSON, of a newer schema, or malformed.
    """
    from hyprepro.reports import reading  # its pydantic models take a while to build

    data = reading.read_json(path)
    problem = reading.problem(data)
    if problem:
        raise UserError(f"The result is malformed: {problem}.", where=str(path), fix=reading.AGAIN)
    return data

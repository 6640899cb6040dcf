"""From records to the rows, comparisons and profiles of result.json, whatever the records are scored by.

A row's `n_policies` counts policies of one generator seed (of all its tasks, in an average), `n_episodes` all
episodes behind it. What follows from the metric:

    success   every statistic for every task; the probability of improvement and profiles beside the averages
    return    interquartile means of averages alone; every number of training tasks has rows and comparisons of its own
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

from hyprepro.reports import paper
from hyprepro.reports.cells import Cells, Line, Measured, groups, measured
from hyprepro.reports.records import SUCCESS, Record
from hyprepro.reports.statistics import (
    IQM,
    MEAN,
    RESAMPLES,
    Bootstrap,
    Cell,
    Estimate,
    Outcomes,
    Statistic,
    difference,
    estimate,
    performance_profile,
    probability_of_improvement,
    same_design,
    top,
)

TOP = (5, 10)
MAIN = "gen-hyprl"
BASELINE = "gen-hyprl-wo-hypformer"
MAA = "make-an-agent"
TASK_BY_TASK = (BASELINE, MAA)
"""What success of Gen-HypRL is compared with on every task; with other methods on average."""
IMPROVEMENT = "probability_of_improvement"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Summary:
    """The numbers of a run.

    Attributes:
        rows: DESIGN's rows.
        comparisons: Paired differences: `method` minus `minus`, of the reference and then of further pairs, on average
            and for HypFormer's gain and Make-An-Agent per task as well; and on average the probability that a run of
            `method` is above one of `minus`. The same fields as a row where they apply; `n_runs` counts the runs x
            tasks behind a probability.
        profiles: Performance profiles over the tasks of each average, under the last protocol of each method.
    """

    rows: Rows
    comparisons: Rows
    profiles: Rows = field(default_factory=list)


def summarise(
    records: Iterable[Record],
    *,
    recipe: str,
    tasks: Sequence[str] = (),
    below: Sequence[str] = (),
    reference: str = MAIN,
    pairs: Sequence[Sequence[str]] = (),
    refused: Mapping[str, Sequence[str]] | None = None,
    resamples: int = RESAMPLES,
) -> Summary:
    """Every number of a table from its records.

    Args:
        records: One run's records, of one variant; in any order.
        recipe: The recipe's name, for messages.
        tasks: The tasks that every method must have, and their order; those of the records if not given.
        below: Those of them that have rows of their own and do not enter an average.
        reference: The method that all others are compared with.
        pairs: Further methods to be compared, two by two: the first minus the second.
        refused: By method the tasks that it cannot be told; it has no rows of them, nor an average that lacks them.
        resamples: Bootstrap resamples.

    Returns:
        Rows in the order of the methods in the records, then of the protocols, splits, tasks (the average after those
        that it is of), statistics.

    Raises:
        UserError: The records are no whole: see `measured`.
    """
    found = measured(records, recipe, tasks, refused=refused)
    table = _Table(found, below, reference, pairs, refused or {}, Bootstrap(resamples))
    return Summary(table.rows(), table.comparisons(), table.profiles())


def valued(found: Estimate) -> dict[str, Any]:
    """The fields of a row that an estimate gives."""
    return {"value": found.value, "ci95": list(found.ci95)}


def row_of(
    named: Mapping[str, Any], found: Estimate, cells: Mapping[str, Cell], episodes: int, n_train: int | None = None
) -> dict[str, Any]:
    """DESIGN's row but for the paper's number.

    Args:
        named: What the number is: from the method to the statistic.
        found: The number.
        cells: What it is computed from, by task.
        episodes: All that are behind it.
        n_train: Number of training tasks, where it varies.
    """
    policies, seeds = sum(cell.shape[1] for cell in cells.values()), next(iter(cells.values())).shape[0]
    counts = {"n_policies": policies, "n_episodes": episodes, "n_seeds": seeds, "n_train": n_train}
    return {**named, **valued(found), **counts}


@dataclass(frozen=True)
class _Table:
    """All estimates of a run."""

    found: Measured
    below: Sequence[str]
    reference: str
    pairs: Sequence[Sequence[str]]
    refused: Mapping[str, Sequence[str]]
    bootstrap: Bootstrap

    @property
    def is_success(self) -> bool:
        return self.found.metric == SUCCESS

    def rows(self) -> Rows:
        return [
            row
            for line, splits in self.found.lines.items()
            for split, cells in splits.items()
            for task, chosen in self._groups(line, split).items()
            for row in self._rows(line, split, task, chosen, [name for name in cells if name not in self.below])
        ]

    def _groups(self, line: Line, split: str) -> dict[str | None, Cells]:
        """What has rows; an average only of a method that could be told all tasks that it is of."""
        own, sides = self.found.lines[line].get(split, {}), self.found.lines.items()
        found = groups(own, self.below)
        others = {task for other, cells in sides if other.zoo == line.zoo for task in cells.get(split, {})}
        if not (others - {*own, *self.below}).isdisjoint(self.refused.get(line.method, ())):
            found.pop(None, None)
        return found

    def _rows(self, line: Line, split: str, task: str | None, chosen: Cells, averaged: Sequence[str]) -> Rows:
        named = {"method": line.method, "variant": self.found.variant, "task": task, "split": split}
        named |= {"protocol": line.protocol, "metric": self.found.metric}
        episodes = sum(prod(cell.shape) for cell in chosen.values())
        zoo = {"zoo": line.zoo} if line.zoo else {}
        found = []
        for statistic in self._statistics(line.protocol, task, chosen):
            number = estimate(statistic, chosen, self.bootstrap)
            made = row_of({**named, "statistic": statistic.name}, number, chosen, episodes, line.n_train) | zoo
            found.append({**made, "paper": paper.beside(made, averaged)})
        return found

    def _statistics(self, protocol: str, task: str | None, chosen: Cells) -> list[Statistic]:
        """What can be computed: top-k from k policies on, under the strict protocol where validation picks them."""
        if not self.is_success:
            return [MEAN, IQM] if task is None else [MEAN]
        is_paper = protocol == "paper"
        can_pick = is_paper or is_ranked(chosen.values())
        fewest = min(cell.shape[1] for cell in chosen.values())
        return [MEAN, IQM, *(top(k, not is_paper) for k in TOP if can_pick and fewest >= k)]

    def comparisons(self) -> Rows:
        """The reference beside every other method that is trained on as many tasks, or on none; then further pairs."""
        methods = dict.fromkeys(line.method for line in self.found.lines)
        further = [tuple(pair) for pair in self.pairs if pair[0] != self.reference]
        pairs = dict.fromkeys([*((self.reference, method) for method in methods), *further])
        lines = [
            (mine, line)
            for line in self.found.lines
            for mine in self.found.lines
            if (mine.method, line.method) in pairs and mine.method != line.method
            if (mine.protocol, mine.zoo) == (line.protocol, line.zoo) and line.n_train in (mine.n_train, None)
        ]
        lines.sort(key=lambda pair: pair[0].method != self.reference)
        return [
            row
            for mine, line in lines
            for split in self.found.lines[mine]
            for row in self._comparisons(mine, line, split)
        ]

    def _comparisons(self, mine: Line, other: Line, split: str) -> Rows:
        """On average, and of success with some methods task by task as well."""
        ours, theirs = (self._groups(line, split) for line in (mine, other))
        found: Rows = []
        for task, cells in ours.items():
            pair = cells, theirs.get(task, {})
            is_wanted = task is None or (self.is_success and other.method in TASK_BY_TASK)
            if not is_wanted or list(pair[0]) != list(pair[1]) or not same_design(*(list(p.values()) for p in pair)):
                continue
            common: dict[str, Any] = {"method": mine.method, "minus": other.method, "split": split, "task": task}
            common |= {"protocol": mine.protocol, "metric": self.found.metric, **_size(mine)}
            gain = difference(*(estimate(MEAN, side, self.bootstrap) for side in pair))
            found.append({**common, "statistic": MEAN.name, **valued(gain)})
            if task is None and self.is_success:
                chance = probability_of_improvement(*pair, self.bootstrap)
                runs = min(next(iter(side.values())).shape[0] for side in pair) * len(cells)
                found.append({**common, "statistic": IMPROVEMENT, **valued(chance), "n_runs": runs})
        return found

    def profiles(self) -> Rows:
        """Of success, which alone has a scale of its own."""
        last = {line.trained: line for line in self.found.lines if self.is_success}  # the last protocol of every method
        found = []
        for line in last.values():
            for split in self.found.lines[line]:
                average = self._groups(line, split).get(None)
                if average:
                    profile = asdict(performance_profile(average, self.bootstrap))
                    lists = {name: list(values) for name, values in profile.items()}
                    found.append(
                        {"method": line.method, "split": split, "protocol": line.protocol, **_size(line), **lists}
                    )
        return found


def _size(line: Line) -> dict[str, int | str]:
    """What tells a comparison or profile from those of other numbers of training tasks, or zoos, if there are any."""
    size: dict[str, int | str] = {} if line.n_train is None else {"n_train": line.n_train}
    return {**size, **({"zoo": line.zoo} if line.zoo else {})}


def is_ranked(cells: Iterable[Cell]) -> bool:
    """Whether policies were validated, so that the best of them can be picked."""
    return all(isinstance(cell, Outcomes) and cell.validation is not None for cell in cells)

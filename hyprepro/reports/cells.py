"""From records to arrays: what each method did on each task, checked to be whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports.records import SUCCESS, Record
from hyprepro.reports.statistics import Cell, FloatArray, Outcomes, Totals

VALIDATION = "validation"
"""The protocol that has no rows: its records only pick the strict protocol's top-k."""
AGAIN = "run the recipe again"

C = TypeVar("C", bound=Cell)
Cells = dict[str, Cell]
"""By task, in the order of the table."""
_Episodes = dict[tuple[int, int], dict[str, float]]  # score by (seed, policy), then by start


class Line(NamedTuple):
    """What has rows of its own: a method, trained on so many tasks, under a protocol, on a zoo if there are several."""

    method: str
    n_train: int | None
    protocol: str
    zoo: str = ""

    @property
    def trained(self) -> tuple[str, int | None, str]:
        """The method with what it is trained on."""
        return self.method, self.n_train, self.zoo

    @property
    def told(self) -> str:
        """The method, for messages."""
        return f"{self.method} on {self.zoo}" if self.zoo else self.method


@dataclass(frozen=True)
class Measured:
    """Everything that a run's records say.

    Attributes:
        variant: The variant that all of them are of.
        metric: What all of them are scored by.
        lines: The cells of each line by split, all in the order of the records.
    """

    variant: str
    metric: str
    lines: Mapping[Line, Mapping[str, Cells]]


def measured(
    records: Iterable[Record],
    recipe: str,
    tasks: Sequence[str] = (),
    of: str = "",
    refused: Mapping[str, Sequence[str]] | None = None,
) -> Measured:
    """The arrays behind the numbers of a run.

    Args:
        records: One run's records, in any order.
        recipe: The recipe's name, for messages.
        tasks: The tasks that every line must have, and their order; those of the records if not given. On a zoo only
            those of them that some line has there: a zoo may go without a task.
        of: Tells the policies of one run from another's where both are compared.
        refused: By method the tasks that it cannot be told, of which it has no rows.

    Raises:
        UserError: There are no records, they are of several variants, metrics or splits, or those of a method are
            incomplete: a task, seed, policy or start is missing.
    """
    records = list(records)
    variant = _only({record.variant for record in records}, "variants", recipe)
    metric = _only({record.metric for record in records}, "metrics", recipe)
    splits = _splits(records, recipe)
    found = _episodes(records, recipe)
    _check_seeds(found, recipe)
    there = {(record.zoo, record.task) for record in records}
    lines: dict[Line, dict[str, Cells]] = {}
    for line, episodes in found.items():
        if line.protocol == VALIDATION:
            continue
        cells: dict[str, Cells] = {}
        for task in tasks or dict.fromkeys(record.task for record in records):
            if (line.zoo and (line.zoo, task) not in there) or task in (refused or {}).get(line.method, ()):
                continue
            if task not in episodes:
                raise UserError(
                    f"The records of {recipe} lack {line.told} on {task} under the {line.protocol} protocol.",
                    fix=AGAIN,
                )
            cell = _cell(line, task, found, recipe) if metric == SUCCESS else _totals(line, task, episodes, recipe, of)
            cells.setdefault(splits[line.n_train, task], {})[task] = cell
        lines[line] = cells
    if not lines:
        raise UserError(f"The records of {recipe} are empty.", fix=AGAIN)
    return Measured(variant, metric, lines)


def refused_in(result: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """By method the tasks that it cannot be told, as a result states them."""
    methods = result.get("methods", {})
    return {name: method["refused"]["tasks"] for name, method in methods.items() if method.get("refused")}


def groups(cells: Mapping[str, C], below: Sequence[str] = ()) -> dict[str | None, dict[str, C]]:
    """What has rows: each task, the average (None) after the tasks that it is of, then those `below` it."""
    averaged = {task: cell for task, cell in cells.items() if task not in below}
    found: dict[str | None, dict[str, C]] = {task: {task: cell} for task, cell in averaged.items()}
    if averaged:
        found[None] = averaged
    return found | {task: {task: cell} for task, cell in cells.items() if task in below}


def _only(values: set[str], kinds: str, recipe: str) -> str:
    if len(values) == 1:
        return values.pop()
    if values:
        text = f"The records of {recipe} mix the {kinds} {', '.join(sorted(values))}."
        raise UserError(text, fix="compute the rows of each from its own records")
    raise UserError(f"The records of {recipe} are empty.", fix=AGAIN)


def _splits(records: Iterable[Record], recipe: str) -> dict[tuple[int | None, str], str]:
    """The split of each task for the methods that are trained on equally many."""
    found: dict[tuple[int | None, str], str] = {}
    for record in records:
        split = found.setdefault((record.n_train, record.task), record.split)
        if split != record.split:
            raise UserError(
                f"The records of {recipe} mix splits: {record.method} on {record.task} was run as {record.split}, "
                f"and the task is {split} elsewhere.",
                fix=AGAIN,
            )
    return found


def _episodes(records: Iterable[Record], recipe: str) -> dict[Line, dict[str, _Episodes]]:
    found: dict[Line, dict[str, _Episodes]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for record in records:
        line = Line(record.method, record.n_train, record.protocol, record.zoo)
        starts = found[line][record.task][record.seed, record.policy]
        if record.start in starts:
            raise _unsound(line, record.task, recipe, f"policy {record.policy} meets {record.start} twice")
        starts[record.start] = record.score
    return found


def _check_seeds(found: Mapping[Line, Mapping[str, _Episodes]], recipe: str) -> None:
    """Every generator of a method must have done all tasks: an average takes its runs as wholes."""
    first: dict[tuple[str, int | None, str], set[int]] = {}
    for line, by_task in found.items():
        for task, episodes in by_task.items():
            seeds = {seed for seed, _ in episodes}
            if first.setdefault(line.trained, seeds) != seeds:
                raise _unsound(line, task, recipe, "generator seeds are missing")


def _cell(line: Line, task: str, found: Mapping[Line, Mapping[str, _Episodes]], recipe: str) -> Outcomes:
    """Success, and under the strict protocol what its policies are ranked by, where they were validated."""
    success = _array(line, task, found[line][task], recipe, alike=line.protocol == "paper")
    ranking = line._replace(protocol=VALIDATION)
    validated = found.get(ranking, {}).get(task) if line.protocol == "strict" else None
    if validated is None:
        return Outcomes(success)
    picked = _array(ranking, task, validated, recipe)
    if picked.shape[:2] != success.shape[:2]:
        raise _unsound(ranking, task, recipe, "not every policy was validated")
    return Outcomes(success, picked.mean(axis=2))


def _totals(line: Line, task: str, episodes: Mapping[str, _Episodes], recipe: str, of: str) -> Totals:
    return Totals(_array(line, task, episodes[task], recipe, alike=True), owner=f"{line[:2]}{line.zoo}{of}")


def _array(line: Line, task: str, episodes: _Episodes, recipe: str, alike: bool = False) -> FloatArray:
    """Scores `[S, P, G]`, starts sorted by label; `alike`: every policy must have met the same ones."""
    seeds, policies = (sorted({key[axis] for key in episodes}) for axis in (0, 1))
    table = [[episodes.get((seed, policy), {}) for policy in policies] for seed in seeds]
    starts = {tuple(sorted(met)) for row in table for met in row}
    if len({len(labels) for labels in starts}) != 1:
        raise _unsound(line, task, recipe, "episodes are missing")
    if alike and len(starts) != 1:
        raise _unsound(line, task, recipe, "policies met different starts")
    return np.array([[[met[label] for label in sorted(met)] for met in row] for row in table])


def _unsound(line: Line, task: str, recipe: str, reason: str) -> UserError:
    size = "" if line.n_train is None else f", trained on {line.n_train},"
    what = f"The records of {recipe} are incomplete: {line.told}{size} on {task}, {line.protocol} protocol: {reason}."
    return UserError(what, fix=AGAIN)

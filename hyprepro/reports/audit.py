"""Records of an audit, and what they say: is a generated policy new, or a copy, and what did the prompt have to do?

A record is one policy: made from its prompt or from what a control shows in its place, with what it reached and how far
it is from the training policies. Intervals as everywhere: generator seeds and prompts are resampled, and differences
are paired by prompt.

    success           share of its episodes that succeeded
    weights_nearest   distance to the nearest training policy: root mean square difference of parameters, hidden units
                      matched, as a share of a training parameter's root mean square. 0 for a copy, 1.4 for strangers
    weights_mean      the same to the mean of its nearest training policies
    actions_nearest   mean squared difference of actions to the training policy that acts most alike, on states of the
                      task's prompts
    actions_mean      the same to the mean of its nearest training policies
    known_nearest     how far the nearest training policy is from the nearest other one: what is no copy among them
    run_share         the largest weight when it is fitted by the means of the nearest policy's task's runs: 1 for a
                      policy of one run, less for a mixture
    own_task          whether the nearest training policy is of the task itself
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports.cells import groups
from hyprepro.reports.records import finite, parsed, read_csv, write_csv
from hyprepro.reports.statistics import (
    RESAMPLES,
    Bootstrap,
    Cell,
    Estimate,
    FloatArray,
    Statistic,
    average,
    difference,
    estimate,
    weighted_sums,
)
from hyprepro.reports.summary import Summary, row_of, valued

AUDIT = "audit.csv.gz"
"""The file beside a result.json."""
OWN = "prompt"
"""What a policy is made from where no control stands in its place."""


class AuditRecord(NamedTuple):
    """One policy; see the module for its measures.

    Attributes:
        method: The method's name.
        variant: "ours", "paper" or "released"; empty until a run fills it in.
        seed: The generator seed.
        split: "seen" or "unseen".
        task: The task.
        prompt: Index of the prompt.
        shown: `OWN`, or the control's label.
        episodes: How many episodes its success is of.
    """

    method: str
    variant: str
    seed: int
    split: str
    task: str
    prompt: int
    shown: str
    episodes: int
    success: float
    weights_nearest: float
    weights_mean: float
    actions_nearest: float
    actions_mean: float
    known_nearest: float
    run_share: float
    own_task: float


SUCCESS = "success"
MEASURES = AuditRecord._fields[8:]
METRICS = {SUCCESS: "success_rate", "run_share": "share", "own_task": "share"}
"""What a measure is; the others are distances."""
DISTANCE = "policy_distance"


def write_audit(path: Path, records: Iterable[AuditRecord]) -> None:
    """Write records in the order given, under a header line."""
    write_csv(path, AuditRecord._fields, records)


def read_audit(path: Path) -> list[AuditRecord]:
    """Read records.

    Raises:
        UserError: The file is missing, is not one of an audit, or has a malformed line.
    """
    header, lines = read_csv(path, "audit")
    if header != AuditRecord._fields:
        fix = f"its header must be {','.join(AuditRecord._fields)}"
        raise UserError("This is not a file of an audit.", where=str(path), fix=fix)

    def record(
        method: str, variant: str, seed: str, split: str, task: str, prompt: str, shown: str, episodes: str, *rest: str
    ) -> AuditRecord:
        numbers = (int(prompt), shown, int(episodes), *map(finite, rest))
        return AuditRecord(method, variant, int(seed), split, task, *numbers)  # type: ignore[arg-type]

    return list(parsed(lines, record, "audit"))


@dataclass(frozen=True)
class Audited(Cell):
    """The policies of one method, task and control.

    Attributes:
        values: Each measure `[S, P]`.
        episodes: Of all of them.
    """

    values: Mapping[str, FloatArray]
    episodes: int

    @property
    def scored(self) -> FloatArray:
        return self.values[SUCCESS]


def _mean(cell: Audited, counts: FloatArray, measure: str) -> FloatArray:
    mean: FloatArray = weighted_sums(counts, cell.values[measure].T) / counts.sum(axis=1, keepdims=True)
    return mean


STATISTICS = {name: Statistic(name, partial(_mean, measure=name), average, key=name) for name in MEASURES}
Place = tuple[str, str, str]
"""Method, what it was shown, split."""


def summarise_audit(records: Sequence[AuditRecord], resamples: int = RESAMPLES) -> Summary:
    """Rows for every method, control, task (None: their average) and measure; what the own prompt is worth.

    A comparison is the success with the own prompt minus that with a control, of one method.

    Raises:
        UserError: The records of a method are incomplete.
    """
    if not records:
        raise UserError("The records of the audit are empty.", fix="run it again")
    places: dict[Place, dict[str, list[AuditRecord]]] = {}
    for record in records:
        place = record.method, record.shown, record.split
        places.setdefault(place, {}).setdefault(record.task, []).append(record)
    bootstrap, variant = Bootstrap(resamples), records[0].variant
    rows: list[dict[str, Any]] = []
    successes: dict[tuple[Place, str | None], Estimate] = {}
    for place, by_task in places.items():
        for task, cells in groups({task: _cell(found) for task, found in by_task.items()}).items():
            for name, statistic in STATISTICS.items():
                found = estimate(statistic, cells, bootstrap)
                rows.append(_row(variant, place, task, name, found, cells))
                if name == SUCCESS:
                    successes[place, task] = found
    comparisons = [
        _comparison(place, task, difference(successes[(place[0], OWN, place[2]), task], found))
        for (place, task), found in successes.items()
        if place[1] != OWN and ((place[0], OWN, place[2]), task) in successes
    ]
    return Summary(rows, comparisons)


def _cell(records: Sequence[AuditRecord]) -> Audited:
    by_seed: dict[int, list[AuditRecord]] = {}
    for record in records:
        by_seed.setdefault(record.seed, []).append(record)
    prompts = [[record.prompt for record in found] for found in by_seed.values()]
    if any(each != list(range(len(prompts[0]))) for each in prompts):
        first = records[0]
        raise UserError(
            f"The records of {first.method} on {first.task} are incomplete: not every prompt has a policy.",
            fix="run it again",
        )
    values = {
        name: np.array([[getattr(record, name) for record in found] for found in by_seed.values()]) for name in MEASURES
    }
    return Audited(values, sum(record.episodes for record in records))


def _row(
    variant: str, place: Place, task: str | None, measure: str, found: Estimate, cells: Mapping[str, Audited]
) -> dict[str, Any]:
    method, shown, split = place
    named = {"method": method, "variant": variant, "task": task, "split": split, "protocol": shown}
    named |= {"metric": METRICS.get(measure, DISTANCE), "statistic": measure}
    return {**row_of(named, found, cells, sum(cell.episodes for cell in cells.values())), "paper": None}


def _comparison(place: Place, task: str | None, found: Estimate) -> dict[str, Any]:
    method, shown, split = place
    named = {"method": method, "minus": shown, "split": split, "task": task, "protocol": OWN}
    return {**named, "metric": METRICS[SUCCESS], "statistic": SUCCESS, **valued(found)}

"""The numbers of two results side by side, with their differences and 95% intervals of these.

Where both results have their records, on the same prompts and goals, the difference of two means is *paired*: the
bootstrap of every table draws prompts and seeds alike for all methods, and so for the two results. Everywhere else it
is *independent*: of two values with intervals, as if the runs shared nothing (square-and-add, Zou and Donner 2008:
the distances to the ends of both intervals add as squares), which is too wide where they share prompts.

Paired differences of the same numbers in two results, from both results' records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

from hyprepro.reports.reading import KEY
from hyprepro.reports.records import Record, read_records
from hyprepro.reports.returns import summarise_returns
from hyprepro.reports.statistics import (
    IQM,
    MEAN,
    Bootstrap,
    Outcomes,
    Statistic,
    difference,
    estimate,
    same_design,
    top,
)
from hyprepro.reports.summary import MAIN, TOP, outcomes_of

Interval = tuple[float, float]
Key = tuple[str, ...]

FIELDS = tuple(name for name in KEY if name not in ("minus", "variant"))
"""What tells one number from another where two results may be of different variants."""
PAIRED, INDEPENDENT = "paired", "independent"
DIGITS = 6


@dataclass(frozen=True)
class Pair:
    """One number of two results.

    Attributes:
        key: Its `FIELDS`.
        a: The row of the first result, None where it has none.
        b: The row of the second.
        delta: b minus a, None where one is missing.
        ci95: The 95% interval of delta.
        interval: How it was got: "paired" or "independent".
    """

    key: Key
    a: Mapping[str, Any] | None
    b: Mapping[str, Any] | None
    delta: float | None = None
    ci95: Interval | None = None
    interval: str = ""

    @property
    def named(self) -> dict[str, str]:
        """The key by its fields."""
        return dict(zip(FIELDS, self.key, strict=True))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: the key's fields, both values with intervals, and their difference."""
        sides: dict[str, Any] = {}
        for name, row in (("a", self.a), ("b", self.b)):
            sides |= {name: row and row["value"], f"{name}_ci95": row and row["ci95"]}
        found = {"delta": self.delta, "delta_ci95": self.ci95 and list(self.ci95), "interval": self.interval or None}
        return {**self.named, **sides, **found}


def compared(a: Mapping[str, Any], b: Mapping[str, Any], paired: Mapping[Key, Mapping[str, Any]]) -> list[Pair]:
    """Every number in which two results differ.

    Args:
        a: The content of a result.json.
        b: That of another.
        paired: Paired differences b minus a by key, where there are any.
    """
    left, right = _by_key(a["rows"]), _by_key(b["rows"])
    keys = dict.fromkeys([*left, *right])
    pairs = (_pair(key, left.get(key), right.get(key), paired.get(key)) for key in keys)
    return [pair for pair in pairs if _number(pair.a) != _number(pair.b)]


def key_of(row: Mapping[str, Any]) -> Key:
    """What tells a number of one result from the others."""
    return tuple("" if row.get(field) is None else str(row[field]) for field in FIELDS)


def _by_key(rows: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    return {key_of(row): row for row in rows}


def _number(row: Mapping[str, Any] | None) -> Any:
    return row and (row["value"], row["ci95"])


def _pair(key: Key, a: Mapping[str, Any] | None, b: Mapping[str, Any] | None, paired: Mapping[str, Any] | None) -> Pair:
    if a is None or b is None or a["value"] is None or b["value"] is None:
        return Pair(key, a, b)
    if paired is not None:
        return Pair(key, a, b, paired["value"], (paired["ci95"][0], paired["ci95"][1]), PAIRED)
    delta = b["value"] - a["value"]
    low, high = square_and_add(a, b)
    return Pair(key, a, b, round(delta, DIGITS), (round(low, DIGITS), round(high, DIGITS)), INDEPENDENT)


def square_and_add(a: Mapping[str, Any], b: Mapping[str, Any]) -> Interval:
    """The interval of b minus a from two independent values with their intervals."""
    delta = b["value"] - a["value"]
    low = hypot(b["value"] - b["ci95"][0], a["ci95"][1] - a["value"])
    high = hypot(b["ci95"][1] - b["value"], a["value"] - a["ci95"][0])
    return delta - low, delta + high


RECORDS = "records.csv.gz"
_OTHER = "the other result"

Found = dict[Key, dict[str, Any]]
_Where = tuple[str, str, str]  # method, protocol, task
_Outcomes = Mapping[_Where, Outcomes]


def paired(a: Mapping[str, Any], b: Mapping[str, Any], folders: tuple[Path, Path]) -> Found:
    """Differences b minus a, with 95% intervals, of the numbers that can be paired.

    Args:
        a: The content of a result.json.
        b: That of another.
        folders: Where each has its records.

    Returns:
        `value` and `ci95` by the number's key: of success rates where policies answer the same prompts on the same
        goals; of average returns where episodes have the same starts. Nothing where records are missing.

    Raises:
        UserError: Records are damaged.
    """
    kinds = {result["provenance"]["config"].get("component") for result in (a, b)}
    paths = [folder / RECORDS for folder in folders]
    if len(kinds) != 1 or not all(path.is_file() for path in paths):
        return {}
    if kinds == {"Recipe"} and _same_prompts(a, b):
        return _rates(a, [read_records(path) for path in paths])
    if kinds == {"VelocityRecipe"}:
        return _returns(a, [read_records(path) for path in paths])
    return {}


def _same_prompts(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether prompt i of a task is the same in both."""
    sides = [
        (found["stores"].get("trajectories"), found["config"].get("prompt_split"))
        for found in (a["provenance"], b["provenance"])
    ]
    return sides[0] == sides[1] and None not in sides[0]


def _rates(a: Mapping[str, Any], records: Sequence[Sequence[Record]]) -> Found:
    goals = [_goals(side) for side in records]
    outcomes: list[_Outcomes] = [outcomes_of(side, str(a.get("recipe", "")))[1] for side in records]
    bootstrap, found = Bootstrap(), {}
    config = a["provenance"]["config"]
    for row in a["rows"]:
        tasks = [row["task"]] if row["task"] is not None else list(config.get(row["split"], ()))
        places = [(row["method"], row["protocol"], task) for task in tasks]
        sides = [{place[2]: side[place] for place in places if place in side} for side in outcomes]
        alike = all(goals[0].get(place) == goals[1].get(place) for place in places)
        statistic = _statistic(row["statistic"], row["protocol"])
        if statistic is None or not alike or not all(len(side) == len(tasks) for side in sides) or not tasks:
            continue
        if same_design(list(sides[0].values()), list(sides[1].values())) and _has(statistic, sides):
            one, other = (estimate(statistic, side, bootstrap) for side in sides)
            found[key_of(row)] = _value(difference(other, one).value, difference(other, one).ci95)
    return found


def _has(statistic: Statistic, sides: Iterable[Mapping[str, Outcomes]]) -> bool:
    """Whether both sides' policies were ranked, where the statistic picks by ranks."""
    picks = statistic.key.endswith("True")
    return not picks or all(outcome.validation is not None for side in sides for outcome in side.values())


def _statistic(name: str, protocol: str) -> Statistic | None:
    known = {MEAN.name: MEAN, IQM.name: IQM} | {f"top{k}": top(k, protocol != "paper") for k in TOP}
    return known.get(name)


def _goals(records: Iterable[Record]) -> dict[_Where, frozenset[tuple[int, str]]]:
    """Which policy meets which goal, by method, protocol and task."""
    found: dict[_Where, set[tuple[int, str]]] = defaultdict(set)
    for record in records:
        found[record.method, record.protocol, record.task].add((record.policy, record.start))
    return {place: frozenset(met) for place, met in found.items()}


def _returns(a: Mapping[str, Any], records: Sequence[Sequence[Record]]) -> Found:
    """The second result's rows beside the first's, as if they were two methods of one run."""
    found: Found = {}
    for method in dict.fromkeys(row["method"] for row in a["rows"]):
        sides = [[record for record in side if record.method == method] for side in records]
        starts = [{(r.n_train, r.split, r.task, r.start) for r in side} for side in sides]
        if not sides[0] or starts[0] != starts[1]:
            continue
        named = [
            record._replace(method=name, variant="")
            for name, side in zip((_OTHER, MAIN), sides, strict=True)
            for record in side
        ]
        for row in summarise_returns(named, recipe=str(a.get("recipe", ""))).comparisons:
            found[key_of({**row, "method": method})] = _value(row["value"], row["ci95"])
    return found


def _value(value: float, ci95: Sequence[float]) -> dict[str, Any]:
    return {"value": value, "ci95": list(ci95)}

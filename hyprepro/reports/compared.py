"""The numbers of two results side by side, with their differences and 95% intervals of these.

Where both results have their records, on the same prompts and goals, the difference of two means is *paired*: the
bootstrap of every table draws prompts, starts and seeds alike for all methods, and so for the two results. Everywhere
else it is *independent*: of two values with intervals, as if the runs shared nothing (square-and-add, Zou and Donner
2008: the distances to the ends of both intervals add as squares), which is too wide where they share prompts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

from hyprepro.reports.cells import Cells, Line, groups, measured, refused_in
from hyprepro.reports.reading import KEY, Key, key_of, stores_of
from hyprepro.reports.records import RECORDS, SUCCESS, Record, read_records
from hyprepro.reports.statistics import IQM, MEAN, Bootstrap, Statistic, difference, estimate, same_design, top
from hyprepro.reports.summary import TOP, is_ranked, valued

Interval = tuple[float, float]

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
    return [pair for pair in side_by_side(a, b, paired) if _number(pair.a) != _number(pair.b)]


def side_by_side(a: Mapping[str, Any], b: Mapping[str, Any], paired: Mapping[Key, Mapping[str, Any]]) -> Iterator[Pair]:
    """Every number of two results, whether they differ in it or not; arguments as for `compared`."""
    left, right = _by_key(a["rows"]), _by_key(b["rows"])
    for key in dict.fromkeys([*left, *right]):
        yield _pair(key, left.get(key), right.get(key), paired.get(key))


def _by_key(rows: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    return {key_of(row, FIELDS): row for row in rows}


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


Found = dict[Key, dict[str, Any]]


def paired(
    a: Mapping[str, Any], b: Mapping[str, Any], folders: tuple[Path, Path], only_averages: bool = False
) -> Found:
    """Differences b minus a, with 95% intervals, of the numbers that can be paired.

    Args:
        a: The content of a result.json.
        b: That of another.
        folders: Where each has its records.
        only_averages: Leave out the numbers of single tasks.

    Returns:
        `value` and `ci95` by the number's key: of success where policies answer the same prompts from the same starts;
        of returns where episodes have the same starts. Nothing where records are missing.

    Raises:
        UserError: Records are damaged or incomplete.
    """
    paths = [folder / RECORDS for folder in folders]
    if _prompts(a) != _prompts(b) or not all(path.is_file() for path in paths):
        return {}
    records = [read_records(path) for path in paths]
    one, other = (
        measured(side, str(result.get("recipe", "")), of=of, refused=refused_in(result))
        for side, result, of in zip(records, (a, b), ("", " of the other"), strict=True)
    )
    if one.metric != other.metric:
        return {}
    starts, bootstrap, found = [_starts(side) for side in records], Bootstrap(), {}
    below = a["provenance"]["config"].get("below", ())
    for row in a["rows"]:
        if only_averages and row["task"] is not None:
            continue
        line = Line(row["method"], row["n_train"], row["protocol"], row.get("zoo", ""))
        cells = [side.lines.get(line, {}).get(row["split"], {}) for side in (one, other)]
        sides = [groups(side, below).get(row["task"], {}) for side in cells]
        statistic = _statistic(row["statistic"], row["protocol"])
        alike = all(starts[0][line, task] == starts[1].get((line, task)) for task in sides[0])
        if statistic and alike and sides[0] and _can_be_paired(statistic, sides):
            gain = difference(*(estimate(statistic, side, bootstrap) for side in reversed(sides)))
            found[key_of(row, FIELDS)] = valued(gain)
    return found


def _prompts(result: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Which prompts the policies answer, None where they answer none: prompt i of a task is the same for equal ones."""
    provenance = result["provenance"]
    config = provenance["config"]
    split, runs = config.get("prompt_split"), config.get("prompt_runs")
    stores = {zoo: stores.get("trajectories") for zoo, stores in stores_of(provenance).items()}
    return None if split is None else (split, runs, stores)


def _can_be_paired(statistic: Statistic, sides: Sequence[Cells]) -> bool:
    """Whether both have the same tasks in one design, and policies ranked where the statistic picks by ranks."""
    if list(sides[0]) != list(sides[1]) or not same_design(*(list(side.values()) for side in sides)):
        return False
    return not statistic.is_validated or all(is_ranked(side.values()) for side in sides)


def _statistic(name: str, protocol: str) -> Statistic | None:
    known = {MEAN.name: MEAN, IQM.name: IQM} | {f"top{k}": top(k, protocol != "paper") for k in TOP}
    return known.get(name)


def _starts(records: Iterable[Record]) -> dict[tuple[Line, str], frozenset[tuple[int | None, str]]]:
    """From which starts a task's policies ran, and of success which policy from which."""
    found: dict[tuple[Line, str], set[tuple[int | None, str]]] = defaultdict(set)
    for record in records:
        policy = record.policy if record.metric == SUCCESS else None
        line = Line(record.method, record.n_train, record.protocol, record.zoo)
        found[line, record.task].add((policy, record.start))
    return {place: frozenset(met) for place, met in found.items()}

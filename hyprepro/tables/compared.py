"""The numbers of two results side by side, with their differences and 95% intervals of these.

Where both results have their records, on the same prompts and goals, the difference of two means is *paired*: the
bootstrap of every table draws prompts and seeds alike for all methods, and so for the two results. Everywhere else it
is *independent*: of two values with intervals, as if the runs shared nothing (square-and-add, Zou and Donner 2008:
the distances to the ends of both intervals add as squares), which is too wide where they share prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any

from hyprepro.tables.reading import KEY

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

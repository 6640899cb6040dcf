"""The table of a sweep: every cell of a grid, and how far it is above the cell that all are compared with.

The differences are those of `hyprepro diff`: paired wherever both cells ran on the same prompts and goals, else from
both intervals as if they shared nothing, and then marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hyprepro.reports.compared import FIELDS, PAIRED, Pair, paired, side_by_side
from hyprepro.reports.markdown import NONE, bullets, paragraph, quote, table, with_interval
from hyprepro.reports.notes import run_of
from hyprepro.reports.numbers import Words
from hyprepro.reports.reading import key_of
from hyprepro.reports.report import miniature
from hyprepro.reports.summary import MAIN

PLACE = tuple(name for name in FIELDS if name not in ("task", "protocol"))
"""What tells one table from another; each has a column a protocol."""
APART = "~"
DIFFERENCES = (
    "Differences are the cell minus {base}, with 95% intervals; paired: both cells' records resampled alike, prompt by "
    "prompt and goal by goal, as in every table."
)
INDEPENDENT = (
    f"Those marked {APART} are not: the two cells did not run on the same prompts and goals, so they are told as if "
    "the cells shared nothing (square-and-add), which is too wide where they share some."
)
MANY = (
    "A grid is searched on what it is measured on: the best of many cells looks better than it is. Choose on tasks "
    "that are withheld (`Recipe.withheld`), then run the table once, with what was chosen."
)

Place = tuple[str, ...]


@dataclass(frozen=True)
class CellResult:
    """A finished cell.

    Attributes:
        values: The value of each axis.
        result: The content of its result.json.
        folder: Where that and its records lie.
    """

    values: tuple[str, ...]
    result: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Comparison:
    """A finished grid.

    Attributes:
        axes: What each axis sets.
        cells: Every cell.
        against: The number of the cell that all others are compared with.
        is_base: Whether that one is the recipe without the grid's bindings.
        fixed: The bindings that hold in every cell.
        command: What runs the sweep.
    """

    axes: tuple[str, ...]
    cells: tuple[CellResult, ...]
    against: int
    is_base: bool
    fixed: tuple[str, ...] = ()
    command: str = ""

    @property
    def base(self) -> CellResult:
        """The cell that all others are compared with."""
        return self.cells[self.against]

    @cached_property
    def differences(self) -> list[dict[tuple[str, ...], Pair]]:
        """Of each cell every average of it or of the base, by its key: a is the base's, b the cell's."""
        found = []
        for cell in self.cells:
            a, b = ({"rows": _averages(each.result), **_rest(each.result)} for each in (self.base, cell))
            known = {} if cell is self.base else paired(a, b, (self.base.folder, cell.folder), only_averages=True)
            found.append({pair.key: pair for pair in side_by_side(a, b, known)})
        return found

    @cached_property
    def unmoved(self) -> list[str]:
        """The methods that have the same numbers in every cell; none where that is so of all, which are then shown."""
        told = [_by_method(cell.result) for cell in self.cells]
        same = [method for method in told[0] if all(each.get(method) == told[0][method] for each in told)]
        return [] if all(set(each) == set(same) for each in told) else same

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: axes, cells with their averages, and differences to the base."""
        cells = [
            {
                "values": dict(zip(self.axes, cell.values, strict=True)),
                "folder": str(cell.folder),
                "digest": cell.result["digest"],
                "rows": _averages(cell.result),
                "differences": [pair.to_json() for pair in pairs.values() if cell is not self.base],
            }
            for cell, pairs in zip(self.cells, self.differences, strict=True)
        ]
        return {"axes": list(self.axes), "against": self.against, "unmoved": self.unmoved, "cells": cells}

    def markdown(self) -> str:
        """The grid as tables, one a method and split, and where each cell stands."""
        result = self.base.result
        warning = [quote(text) for text in (miniature(result),) if text]
        fixed = f" In all cells: {', '.join(f'`{each}`' for each in self.fixed)}." if self.fixed else ""
        returns = any(row["metric"] == "return" for row in result["rows"])
        setting = (
            f"{len(self.cells)} cells, {len(result['provenance']['seeds'])} generator seeds. {run_of(result)}.{fixed} "
            f"{'Returns, higher is better' if returns else 'Success rates in percent'}, averages over tasks."
        )
        parts = [f"# {self.title}", *warning, paragraph(setting), *self._tables()]
        if self.unmoved:
            names = ", ".join(f"`{name}`" for name in self.unmoved)
            parts.append(paragraph(f"The same numbers in every cell: {names}."))
        notes = [DIFFERENCES.format(base=self._base_name()), MANY]
        if any(pair.interval not in (PAIRED, "") for pair in self._shown_pairs()):
            notes.insert(1, INDEPENDENT)
        if self.command:
            notes.append(f"Made by: `{self.command}`")
        folders = table([*self.heads, "digest", "result"], [self._place_of(cell) for cell in self.cells])
        return "\n\n".join([*parts, "## Notes", bullets(notes), "## Cells", folders]) + "\n"

    def page(self) -> bytes:
        """The same as one HTML page that loads nothing."""
        from hyprepro.reports.web.page import Section, page
        from hyprepro.reports.web.prose import prose

        text = prose(self.markdown(), 2)
        repeat = [("It goes on from finished stages:", [self.command])] if self.command else []
        return page(text.title, [Section(text.title, text.html, repeat=repeat)])

    @property
    def title(self) -> str:
        """The headline."""
        return f"Sweep of {self.base.result['recipe']} over {' and '.join(self.axes)}"

    @property
    def heads(self) -> list[str]:
        """The axes' columns: the fields alone where these tell them apart."""
        short = [axis.rpartition(".")[2] for axis in self.axes]
        return short if len(set(short)) == len(short) else list(self.axes)

    def _base_name(self) -> str:
        name = ", ".join(f"{head} = {value}" for head, value in zip(self.heads, self.base.values, strict=True))
        return f"{name} ({'which the recipe has without the grid' if self.is_base else 'the first'})"

    def _place_of(self, cell: CellResult) -> list[str]:
        return [*cell.values, str(cell.result["digest"])[:12], f"`{cell.folder}`"]

    def _shown_pairs(self) -> Iterator[Pair]:
        for number, pairs in enumerate(self.differences):
            if number != self.against:
                yield from (pair for pair in pairs.values() if pair.named["method"] not in self.unmoved)

    def _tables(self) -> Iterator[str]:
        """A table for each method whose numbers move, Gen-HypRL's first."""
        keys = list(dict.fromkeys(key for pairs in self.differences for key in pairs))
        places: dict[Place, list[tuple[str, ...]]] = {}
        for key in keys:
            named = dict(zip(FIELDS, key, strict=True))
            if named["method"] not in self.unmoved:
                places.setdefault(tuple(named[name] for name in PLACE), []).append(key)
        statistics = {dict(zip(PLACE, place, strict=True))["statistic"] for place in places}
        for place in sorted(places, key=lambda place: place[PLACE.index("method")] != MAIN):
            named = dict(zip(PLACE, place, strict=True))
            if named["statistic"] == "mean" or "mean" not in statistics:
                yield f"## {self._heading(named)}"
                yield self._table(places[place])

    def _heading(self, named: Mapping[str, str]) -> str:
        words = Words.of(self.base.result)
        rest = {name: text for name, text in named.items() if text and name not in ("method", "split", "metric")}
        size = rest.pop("n_train", "")
        of = [f"{size} training {words.many}"] if size else []
        of += [text for name, text in rest.items() if text != "mean"]
        return ", ".join([named["method"], f"{named['split']} tasks", *of])

    def _table(self, keys: Sequence[tuple[str, ...]]) -> str:
        """A row a cell; a value and a difference a protocol."""
        protocols = [dict(zip(FIELDS, key, strict=True))["protocol"] for key in keys]
        heads = [text for protocol in protocols for text in (protocol, f"{protocol}, minus")]
        rows = []
        for number, (cell, pairs) in enumerate(zip(self.cells, self.differences, strict=True)):
            cells = [text for key in keys for text in _shown(pairs.get(key), number == self.against)]
            rows.append([*cell.values, *cells])
        return table([*self.heads, *heads], rows)


def _shown(pair: Pair | None, is_base: bool) -> tuple[str, str]:
    """A cell's value, and how far it is above the base's."""
    if pair is None:
        return NONE, NONE
    if is_base or pair.delta is None:
        return with_interval(pair.b), NONE
    gain = with_interval({"value": pair.delta, "ci95": pair.ci95, "metric": pair.named["metric"]}, "+")
    return with_interval(pair.b), gain if pair.interval == PAIRED else f"{gain} {APART}"


def _averages(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in result["rows"] if row["task"] is None]


def _rest(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "rows"}


def _by_method(result: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What each method's rows say."""
    found: dict[str, list[Any]] = {}
    for row in result["rows"]:
        found.setdefault(row["method"], []).append((key_of(row), row["value"], row["ci95"]))
    return found

"""Markdown that is also readable as plain text: aligned columns, at most 120 characters a line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

WIDTH = 120
NONE = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right, padded to equal widths."""
    cells = [list(header), *map(list, rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in [cells[0], rule, *cells[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = row
    padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
    return f"| {' | '.join(padded)} |"


def bullets(texts: Sequence[str]) -> str:
    """A list, wrapped."""
    return "\n".join(textwrap.fill(f"- {text}", WIDTH, subsequent_indent="  ", **_WRAP) for text in texts)


def paragraph(text: str) -> str:
    """Wrapped text."""
    return textwrap.fill(text, WIDTH, **_WRAP)


def quote(text: str) -> str:
    """Wrapped text that stands apart."""
    return textwrap.fill(text, WIDTH, initial_indent="> ", subsequent_indent="> ", **_WRAP)


_WRAP: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def percent(rate: float | None) -> str:
    """A fraction as percent with one decimal; exactly 0 and exactly 100 without, so that 99.96 is told from 100."""
    if rate is None:
        return NONE
    return f"{100 * rate:.0f}" if rate in (0, 1, -1) else f"{100 * rate:.1f}"


def printed(rate: float | None) -> str:
    """A number of the paper in percent, with the digits that it prints."""
    return NONE if rate is None else f"{round(100 * rate, 4):g}"


def with_interval(row: Mapping[str, Any] | None, sign: str = "") -> str:
    """Value and 95% interval of a row in its metric's unit: `91.2 [88.0, 94.1]`; success in percent, others as is."""
    if row is None or row.get("value") is None:
        return NONE
    show = _unit(row)
    plus = sign if row["value"] > 0 else ""
    return f"{plus}{show(row['value'])} [{', '.join(map(show, row['ci95']))}]"


def point(row: Mapping[str, Any] | None) -> str:
    """Value of a row in its metric's unit."""
    if row is None or row.get("value") is None:
        return NONE
    return _unit(row)(row["value"])


def _unit(row: Mapping[str, Any]) -> Callable[[float], str]:
    metric = row.get("metric", "success_rate")
    return percent if metric == "success_rate" else ("{:.2f}" if metric == "return" else "{:.3f}").format


def seconds(value: float | None) -> str:
    """A time, without fractions."""
    if value is None:
        return NONE
    return "none" if value == 0 else f"{value:.0f}"

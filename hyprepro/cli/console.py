"""What the command line prints: panels for mistakes, progress for people, plain lines for everything else.

Results go to standard output, everything about the run to standard error, so that a pipe sees results only. Text may
come from files of others: `streams.visible` makes it harmless, and everything here lets it pass.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hyprepro.cli import streams
from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.cli.screen import Screen

WIDEST = 64
DEBUG = "HYPREPRO_DEBUG"


def stderr() -> Screen:
    """The screen for panels and progress."""
    return _screen(sys.stderr)


def _screen(stream: streams.Target | None) -> Screen:
    from hyprepro.cli.screen import Screen

    return Screen(streams.for_console(stream))


def show_user_error(error: UserError) -> None:
    """One panel: what is wrong, where, the closest match, what to do."""
    stderr().panel(error.what, error.rows(), title="hyprepro cannot do this", style="red")


def show_unexpected(error: BaseException) -> UserError:
    """One short panel for a mistake of ours; the traceback only where it is asked for. Returns what it says."""
    if os.environ.get(DEBUG):
        note("".join(traceback.format_exception(error)).rstrip())
    last = traceback.extract_tb(error.__traceback__)[-1:]
    said = UserError(
        f"{type(error).__name__}: {error}",
        where="".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in last),
        fix=f"Run it again with {DEBUG}=1 for the traceback and report it, with the output of `hyprepro doctor`.",
    )
    stderr().panel(said.what, said.rows(), title="this is a mistake in hyprepro", style="magenta")
    return said


def note(text: str) -> None:
    """A line about the run."""
    _write(sys.stderr, text)


def line(text: str = "", style: str = "") -> None:
    """A line of the result."""
    if style:
        _screen(sys.stdout).styled(text, style)
    else:
        _write(sys.stdout, text)


def _write(stream: streams.Target | None, text: str) -> None:
    """Plain text, which needs no layout."""
    target = streams.for_console(stream)
    target.write(streams.visible(text) + "\n")
    target.flush()


def print_json(data: Any) -> None:
    """One JSON document on standard output; it is of ASCII alone, with escapes for what is not printable."""
    text = json.dumps(data, indent=2, sort_keys=True).replace("\x7f", "\\u007f")  # the one that json leaves
    streams.for_console(sys.stdout).write(text + "\n")


def columns(rows: Iterable[Iterable[str]], indent: int = 2) -> None:
    """Rows of text in aligned columns, the last one of free length; a cell that is too long moves its own row only."""
    table = [list(row) for row in rows]
    widths = [min(WIDEST, max(len(row[i]) for row in table)) for i in range(len(table[0]) - 1)] if table else []
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    if lines:
        line("\n".join(lines))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int | None = None) -> None:
    """A table of the result: as wide as a terminal is, whole lines anywhere else.

    Args:
        header: The columns' heads.
        rows: Their cells.
        right: The first column of numbers, which are set to the right, from here to the last but one.
    """
    _screen(sys.stdout).table(header, rows, right)

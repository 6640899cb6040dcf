"""What the command line prints: panels for mistakes, progress for people, plain lines for everything else.

Results go to standard output, everything about the run to standard error, so that a pipe sees results only. Text may
come from files of others: `visible` makes it harmless, and every console here lets it pass.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hyprepro.cli import streams
from hyprepro.errors import UserError

PLAIN_WIDTH = 120
WIDEST = 64
UNBOUNDED = 10_000
DEBUG = "HYPREPRO_DEBUG"


def visible(text: str) -> str:
    r"""Text in which what a terminal would obey, or not show, is written as an escape: `\x1b`, `\u202e`.

    That is all but Python's printable characters, new lines and tabs: control sequences, carriage returns, changes of
    writing direction, characters of no width, and halves of characters, which no stream could encode.
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Screen(Console):
    """A console on which all text is visible, whatever part of rich prints it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make text visible before it is laid out; the sequences of styles and bars are added after that."""
        if isinstance(renderable, str):
            renderable = visible(renderable)
        elif isinstance(renderable, Text) and (shown := visible(renderable.plain)) != renderable.plain:
            renderable = renderable.blank_copy(shown)
        return super().render(renderable, options)


def stdout() -> Console:
    """The console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for panels and progress."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = streams.for_console(sys.stderr if stderr else sys.stdout)
    # Off a terminal there is no width to obey: lines stay whole, so that they can be searched and copied.
    return _Screen(file=stream, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)  # type: ignore[arg-type]


def show_user_error(error: UserError) -> None:
    """One panel: what is wrong, where, the closest match, what to do."""
    _panel(error.what, error.rows(), title="hyprepro cannot do this", style="red")


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
    _panel(said.what, said.rows(), title="this is a mistake in hyprepro", style="magenta")
    return said


def note(text: str) -> None:
    """A line about the run."""
    stderr().print(Text(text), soft_wrap=True)


def line(text: str = "", style: str = "") -> None:
    """A line of the result."""
    stdout().print(Text(text, style=style), soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document on standard output; it is of ASCII alone, with escapes for what is not printable."""
    text = json.dumps(data, indent=2, sort_keys=True).replace("\x7f", "\\u007f")  # the one that json leaves
    streams.for_console(sys.stdout).write(text + "\n")


def columns(rows: Iterable[Iterable[str]], indent: int = 2) -> None:
    """Rows of text in aligned columns, the last one of free length; a cell that is too long moves its own row only."""
    table = [list(row) for row in rows]
    widths = [min(WIDEST, max(len(row[i]) for row in table)) for i in range(len(table[0]) - 1)] if table else []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]]
        line((" " * indent + "  ".join(cells)).rstrip())


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int | None = None) -> None:
    """A table of the result: as wide as a terminal is, whole lines anywhere else.

    Args:
        header: The columns' heads.
        rows: Their cells.
        right: The first column of numbers, which are set to the right, from here to the last but one.
    """
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, head in enumerate(header):
        is_number = right is not None and right <= number < len(header) - 1
        grid.add_column(Text(head), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    screen = stdout()
    if not screen.is_terminal:
        screen.width = UNBOUNDED
    screen.print(grid)
    screen.print()


def _panel(what: str, rows: Iterable[tuple[str, str]], title: str, style: str) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        if text:
            grid.add_row(label, Text(text))
    body = Group(Text(what, style="bold"), grid) if grid.row_count else Text(what, style="bold")
    stderr().print(Panel(body, title=title, title_align="left", border_style=style, box=box.ROUNDED))

"""What rich draws: panels, tables, styled lines. `console` imports this where something is drawn; it takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hyprepro.cli import streams

PLAIN_WIDTH = 120
LONGEST = 4_000
"""So much of a text stands in a panel; what was typed may be as long as a file."""
UNBOUNDED = 10_000


class Screen(Console):
    """A console on which all text is visible, whatever part of rich prints it.

    Args:
        stream: Standard output or standard error.
    """

    def __init__(self, stream: streams.Stream) -> None:
        # Off a terminal there is no width to obey: lines stay whole, so that they can be searched and copied.
        width = None if stream.isatty() else PLAIN_WIDTH
        super().__init__(file=stream, highlight=False, width=width)  # type: ignore[arg-type]

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make text visible before it is laid out; the sequences of styles and bars are added after that."""
        if isinstance(renderable, str):
            renderable = streams.visible(renderable)
        elif isinstance(renderable, Text) and (shown := streams.visible(renderable.plain)) != renderable.plain:
            renderable = renderable.blank_copy(shown)
        return super().render(renderable, options)

    def styled(self, text: str, style: str) -> None:
        """A line in a style."""
        self.print(Text(text, style=style), soft_wrap=True)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]], right: int | None) -> None:
        """A table, as `console.table` describes it."""
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for number, head in enumerate(header):
            is_number = right is not None and right <= number < len(header) - 1
            grid.add_column(Text(head), justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            grid.add_row(*map(Text, row))
        if not self.is_terminal:
            self.width = UNBOUNDED
        self.print(grid)
        self.print()

    def panel(self, what: str, rows: Iterable[tuple[str, str]], title: str, style: str) -> None:
        """A panel: a headline, and labelled lines under it; those without text are left out."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, text in rows:
            if text:
                grid.add_row(label, Text(_shortened(text)))
        what = _shortened(what)
        body = Group(Text(what, style="bold"), grid) if grid.row_count else Text(what, style="bold")
        self.print(Panel(body, title=title, title_align="left", border_style=style, box=box.ROUNDED))


def _shortened(text: str) -> str:
    """A text, without its middle if it is longer than anybody reads."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} ... ({len(text)} characters) ... {text[-LONGEST // 2 :]}"

"""Progress of a run: live bars on a terminal, plain lines in logs and pipes."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from hyprepro.cli import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyprepro.cli.bars import Bars
    from hyprepro.engine.schedule import Event
    from hyprepro.experiments.choice import Choice
    from hyprepro.experiments.told import LeftOut

PLAIN_SECONDS = 10.0


class RunProgress:
    """Shows the events of a run on standard error; a context manager.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars: Bars | None = None
        self._last: dict[str, float] = {}
        self._first: dict[str, tuple[float, int]] = {}
        screen = console.stderr()
        if screen.is_terminal and not quiet:
            from hyprepro.cli.bars import Bars

            self._bars = Bars(screen)

    def __enter__(self) -> RunProgress:
        """Start the display."""
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._bars:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        if self._bars:
            self._bars.show(event)
        else:
            self._print_line(event)

    def _print_line(self, event: Event) -> None:
        from hyprepro.experiments.run import plain_line

        now = time.monotonic()
        if event.kind == "progress" and now - self._last.get(event.stage.key, now - PLAIN_SECONDS) < PLAIN_SECONDS:
            return
        self._last[event.stage.key] = now
        console.note(plain_line(event) + self._left(event, now))

    def _left(self, event: Event, now: float) -> str:
        """How long the stage will go on, judged by its pace since this run first heard of its progress."""
        if event.kind != "progress":
            return ""
        started, before = self._first.setdefault(event.stage.key, (now, event.step))
        done = event.step - before
        return f", about {duration((now - started) / done * (event.steps - event.step))} left" if done else ""


def duration(seconds: float) -> str:
    """A time for people: "12 s", "3.5 min", "2.1 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def note_departure(choice: Choice) -> None:
    """Say on standard error every value that differs from the shipped recipe or the user's own, before any work."""
    for text in choice.replaced:
        console.note(f"Not as in your file: {text}")
    for change in choice.departure.changes:
        console.note(f"Not as shipped: {change}")


def note_left_out(left: Sequence[LeftOut]) -> None:
    """Say on standard error which tasks a command goes without, and why, before any work."""
    for each in left:
        console.note(each.said)

"""Progress of a run: live bars on a terminal, plain lines in logs and pipes."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hyprepro.cli import console

if TYPE_CHECKING:
    from hyprepro.engine.schedule import Event

PLAIN_SECONDS = 10.0


class RunProgress:
    """Shows the events of a run on standard error; a context manager.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}
        self._first: dict[str, tuple[float, int]] = {}
        screen = console.stderr()
        if screen.is_terminal and not quiet:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[metrics]}"),
                console=screen,
            )

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
            self._show_bar(self._bars, event)
        else:
            self._print_line(event)

    def _show_bar(self, bars: Progress, event: Event) -> None:
        overall = self._task(bars, "", "all stages", event.total)
        bars.update(overall, completed=event.finished, total=event.total)
        key, label = event.stage.key, event.stage.label
        if event.kind == "finished":
            if key in self._tasks:
                bars.remove_task(self._tasks.pop(key))
            bars.console.print(f"[green]done[/] {escape(label)}")
            return
        task = self._task(bars, key, label, event.steps or None)
        if event.kind == "progress":
            bars.update(task, completed=event.step, total=event.steps, metrics=_metrics(event))
        elif event.kind == "waiting":
            bars.update(task, metrics="another run is making it")
        elif event.kind == "lost":
            bars.update(task, metrics="its process or machine is gone; it goes on elsewhere")

    def _task(self, bars: Progress, key: str, label: str, total: int | None) -> TaskID:
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(escape(label), total=total, metrics="")
        return self._tasks[key]

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


def _metrics(event: Event) -> str:
    shown = list(event.metrics.items())[:3]
    return ", ".join(f"{escape(name)} {value:.3g}" for name, value in shown)


def duration(seconds: float) -> str:
    """A time for people: "12 s", "3.5 min", "2.1 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

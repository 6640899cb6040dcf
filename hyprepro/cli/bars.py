"""Live bars of a run's stages on a terminal; `progress` imports this where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
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

if TYPE_CHECKING:
    from hyprepro.engine.schedule import Event


class Bars:
    """One bar over all stages, and one for each that is being made.

    Args:
        screen: The terminal.
    """

    def __init__(self, screen: Console) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=screen,
        )

    def start(self) -> None:
        """Start the display."""
        self._bars.start()

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        bars = self._bars
        overall = self._task("", "all stages", event.total)
        bars.update(overall, completed=event.finished, total=event.total)
        key, label = event.stage.key, event.stage.label
        if event.kind == "finished":
            if key in self._tasks:
                bars.remove_task(self._tasks.pop(key))
            bars.console.print(f"[green]done[/] {escape(label)}")
            return
        task = self._task(key, label, event.steps or None)
        if event.kind == "progress":
            bars.update(task, completed=event.step, total=event.steps, metrics=_metrics(event))
        elif event.kind == "waiting":
            bars.update(task, metrics="another run is making it")
        elif event.kind == "lost":
            bars.update(task, metrics="its process or machine is gone; it goes on elsewhere")

    def _task(self, key: str, label: str, total: int | None) -> TaskID:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(escape(label), total=total, metrics="")
        return self._tasks[key]


def _metrics(event: Event) -> str:
    shown = list(event.metrics.items())[:3]
    return ", ".join(f"{escape(name)} {value:.3g}" for name, value in shown)

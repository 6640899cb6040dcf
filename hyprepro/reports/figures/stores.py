"""Pictures of a store: success rates and distances of its policies, a panel a task."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyprepro.engine.stage import write_atomically
from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.stores.exchange.foreign import refuse_existing

COLUMNS = 6


def plot_success(info: dict[str, Any], path: Path) -> None:
    """Each task's distribution of recorded success rates, one panel a task.

    Args:
        info: From `store_info` of a policy store.
        path: A new .png, .svg or .pdf file.
    """
    tasks = {task: content["histogram"] for task, content in info["tasks"].items() if content.get("histogram")}
    if not tasks:
        raise UserError(
            "The store records no success rates to plot.",
            where=str(info["path"]),
            fix=f"leave out --plot; some policies are measured by: hyprepro store verify {info['path']} --rollouts 5",
        )

    def draw(axis: Any, task: str) -> None:
        counts = tasks[task]
        axis.bar(
            [(i + 0.5) / len(counts) for i in range(len(counts))], counts, width=0.9 / len(counts), color=canvas.BLUE
        )
        axis.set_xlim(0, 1)

    _panels(path, list(tasks), draw, f"Recorded success rates, {info['digest'][:12]}")


def plot_diversity(report: list[dict[str, Any]], path: Path) -> None:
    """Each task's mean weight distances: within a run, between runs, to other tasks."""
    kinds = ("within_run", "between_runs", "to_other_tasks")
    rows = {one["task"]: [one["weights"][kind] or 0.0 for kind in kinds] for one in report}
    highest = max(max(values) for values in rows.values())

    def draw(axis: Any, task: str) -> None:
        axis.bar(["within", "between", "other"], rows[task], color=canvas.BLUE)
        axis.set_ylim(0, 1.05 * highest or 1.0)

    _panels(path, list(rows), draw, "Weight distance: within a run, between runs, to other tasks")


def _panels(path: Path, names: list[str], draw: Callable[[Any, str], None], title: str) -> None:
    canvas.require("--plot")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UserError("A plot is a .png, .svg or .pdf file.", where=str(path), fix="--plot success.png, .svg or .pdf")
    refuse_existing(path)
    rows = -(-len(names) // COLUMNS)
    columns = min(COLUMNS, len(names))
    with canvas.style():
        figure, axes = canvas.panels(rows, columns, 2.2 * columns + 0.4, 1.7 * rows + 0.6)
        figure.suptitle(title)
        flat = [axis for line in axes for axis in line]
        for axis, name in zip(flat, names, strict=False):
            draw(axis, name)
            axis.set_title(name, fontsize=8)
            axis.tick_params(labelsize=6)
        for axis in flat[len(names) :]:
            axis.remove()
        canvas.thin_ticks(figure)
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:], dpi=canvas.DPI)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise UserError(
            "The plot could not be written.",
            where=f"{path}: {error.strerror or error}",
            fix="name a file in a folder that exists and is writable",
        ) from None

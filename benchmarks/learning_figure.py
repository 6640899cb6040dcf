"""Learning curves of two collectors: a panel a task, a curve a trainer, its 95% interval as a band, its seeds thin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyprepro.reports.figures.canvas import BLUE, RED, panels, rendered, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"stacked": (BLUE, "-", "batched"), "stable-baselines3": (RED, "--", "stable-baselines3")}


def pictures(tasks: Mapping[str, Mapping[str, Any]], name: str = "learning") -> dict[str, bytes]:
    """`name`.png and `name`.svg.

    Args:
        tasks: What `tables.learning.compared` found, by task.
        name: Of the files, without suffix.
    """
    with style():
        figure, axes = panels(1, len(tasks), 3.4 * len(tasks), 3.0)
        for panel, (task, found) in zip(axes[0], tasks.items(), strict=True):
            _draw(panel, task, found)
        axes[0][0].set_ylabel("return of test episodes")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return rendered(figure, name)


def _draw(panel: Axes, task: str, found: Mapping[str, Any]) -> None:
    for trainer, (colour, line, label) in COLOURS.items():
        curve, updates = found[trainer], found["updates"]
        panel.plot(updates, curve["mean"], color=colour, linestyle=line, label=label)
        panel.fill_between(updates, curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        for agent in curve["seeds"]:
            panel.plot(updates, agent, color=colour, linewidth=0.5, alpha=0.5)
    panel.set(title=task, xlabel="updates")

"""Learning curves: a figure for each kind of training, a panel for each metric in it, a line for each seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hyprepro.reports.figures.canvas import BLUE, GREY, RED, panels, rendered, require, style
from hyprepro.reports.records import csv_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[int, float]]
Curves = Mapping[str, Mapping[str, Mapping[int, Points]]]
"""By kind of training, metric and seed its `(step, value)`."""

CSV = "curves.csv"
COLOURS = (BLUE, RED, "#009988", "#EE7733", "#33BBEE", "#EE3377", GREY)
"""Paul Tol's vibrant palette; seeds beyond it begin anew."""
COLUMNS, WIDTH, HEIGHT = 3, 3.6, 2.5
"""Panels in a row, and the size of one in inches."""
DECADES = 100.0
"""Largest over smallest value from which on an axis is logarithmic."""


def draw_curves(curves: Curves) -> dict[str, bytes]:
    """The figures as PNG and SVG, and all numbers as `curves.csv`, by file name.

    Raises:
        UserError: matplotlib is not installed.
    """
    require("hyprepro curves")
    files = {CSV: _numbers(curves).encode()}
    for training, metrics in curves.items():
        files |= _figure(f"curves-{_slug(training)}", training, metrics)
    return files


def _figure(name: str, training: str, metrics: Mapping[str, Mapping[int, Points]]) -> dict[str, bytes]:
    columns = min(COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    with style():
        figure, grid = panels(rows, columns, WIDTH * columns, HEIGHT * rows + 0.4)
        places = [axes for row in grid for axes in row]
        for axes, (metric, seeds) in zip(places, metrics.items(), strict=False):
            _panel(axes, metric, seeds)
        for axes in places[len(metrics) :]:
            axes.set_axis_off()
        for axes in places[max(0, len(metrics) - columns) : len(metrics)]:
            axes.set_xlabel("step")
        most = max(metrics.values(), key=len)
        if len(most) > 1:
            places[0].legend(title="seed", fontsize=8)
        figure.suptitle(training)
        return rendered(figure, name)


def _panel(axes: Axes, metric: str, seeds: Mapping[int, Points]) -> None:
    for number, (seed, points) in enumerate(sorted(seeds.items())):
        colour, is_short = COLOURS[number % len(COLOURS)], len(points) < 15
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour, linewidth=1.2, marker="." if is_short else "", label=str(seed))
    axes.set_title(metric.replace("_", " "))
    axes.ticklabel_format(useOffset=False)
    known = [value for points in seeds.values() for _, value in points]
    if min(known) > 0 and max(known) / min(known) >= DECADES:
        axes.set_yscale("log")


def _numbers(curves: Curves) -> str:
    rows = [
        (training, seed, metric, step, repr(value))
        for training, metrics in curves.items()
        for metric, seeds in metrics.items()
        for seed, points in sorted(seeds.items())
        for step, value in points
    ]
    return csv_text(("training", "seed", "metric", "step", "value"), rows)


def _slug(training: str) -> str:
    return re.sub("[^a-z0-9]+", "-", training.lower()).strip("-")

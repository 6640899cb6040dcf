"""Drawing with matplotlib: the same bytes for the same numbers, colours that everybody can tell apart.

matplotlib is an optional dependency, so it is imported inside functions; `require` says so before any work is done.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hyprepro.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#0077BB"
RED = "#CC3311"
ORANGE = "#EE7733"
TEAL = "#009988"
GREY = "#595959"
"""Of Paul Tol's vibrant palette, which colour-blind readers tell apart, and a grey that is legible on white."""

DPI = 200
GAP = 4.0
"""Pixels that must be free between two labels, at matplotlib's 100 dots an inch."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same letters
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.hashsalt": "hyprepro",  # else the ids in an SVG differ from run to run
    "svg.fonttype": "path",
}


def require(where: str = "Recipe.report") -> None:
    """Refuse to go on without matplotlib.

    Args:
        where: What asks for a figure.

    Raises:
        UserError: It is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            "Figures need matplotlib, which is not installed.",
            where=where,
            fix="pip install 'hyprepro[plot]' (in a checkout: pip install -e '.[plot]' -c constraints.txt)",
        )


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's defaults with our style, whatever the user's own configuration says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        for name, value in _STYLE.items():
            mpl.rcParams[name] = value
        yield


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels, to be called inside `style`.

    Args:
        rows: Rows of panels.
        columns: Columns of panels.
        width: Of the whole figure, in inches.
        height: Of the whole figure, in inches.
        **options: What `Figure.subplots` takes: sharex, sharey.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [list(row) for row in axes]


def thin_ticks(figure: Figure) -> None:
    """Take ticks off every x axis whose labels would touch, to be called inside `style`.

    matplotlib chooses ticks by the axis' length alone, not by how wide their labels turn out.
    """
    from matplotlib.ticker import MaxNLocator

    for axes in figure.axes:
        locator = axes.xaxis.get_major_locator()
        if not isinstance(locator, MaxNLocator):
            continue
        boxes = label_boxes(figure, axes)
        for intervals in range(len(boxes) - 2, 0, -1):
            if not _touch(boxes):
                break
            locator.set_params(nbins=intervals)
            boxes = label_boxes(figure, axes)


def label_boxes(figure: Figure, axes: Axes) -> list[tuple[float, float]]:
    """Left and right ends, in pixels, of the labels that stand below an x axis, from left to right."""
    figure.draw_without_rendering()
    low, high = sorted(axes.get_xlim())
    ticks = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]
    return sorted((box.x0, box.x1) for box in boxes)


def _touch(boxes: list[tuple[float, float]]) -> bool:
    return any(right + GAP > left for (_, right), (left, _) in pairwise(boxes))


def rendered(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure as `<name>.png` and `<name>.svg`, to be called inside `style`. Equal figures give equal bytes."""
    thin_ticks(figure)
    found = {}
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata)
        found[f"{name}.{suffix}"] = buffer.getvalue()
    return found

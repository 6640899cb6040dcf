"""Return against target velocity, a panel for each number of training velocities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyprepro.component import component, setting
from hyprepro.domains.cheetah_vel.tasks import task_velocity
from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.reports.markdown import bullets, paragraph, point, table, with_interval
from hyprepro.reports.notes import heading
from hyprepro.reports.numbers import TESTED, Numbers
from hyprepro.reports.paper import average_return
from hyprepro.reports.records import csv_text
from hyprepro.reports.report import Report
from hyprepro.reports.summary import BASELINE, MAIN
from hyprepro.reports.table4 import EXPERT, average, by_size, notes
from hyprepro.reports.table4 import setting as run_setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

LINES = {
    "expert": (canvas.GREY, "-", "expert of that velocity"),
    "nearest-velocity": (canvas.RED, "--", "nearest training velocity"),
    "gen-hyprl": (canvas.BLUE, "-", "Gen-HypRL"),
}
"""Colour, line and name of each method that is drawn."""

SPLITS = ("test", "unseen", "seen")
CSV_FIELDS = ("n_train", "method", "velocity", "split", "value", "low", "high", "n_policies", "n_seeds")


@component
class VelocitiesFigure(Report):
    """Return against target velocity: experts, generated policies, and retrieval of the nearest training velocity."""

    width: float = setting(11.0, "width in inches", gt=0, le=50)
    height: float = setting(3.4, "height in inches", gt=0, le=50)

    def require(self) -> None:
        """Matplotlib must be installed."""
        canvas.require()

    def markdown(self, result: Mapping[str, Any]) -> str:
        """Averages by number of training velocities; then every method at the test velocities, number by number."""
        found = [heading(result), paragraph(run_setting(result))]
        present = {row["split"] for row in result["rows"]}
        for split in [each for each in SPLITS if each in present] or [Numbers(result).split]:
            found += [f"## {TITLES.get(split, split)}", _sizes_table(result, split)]
        return "\n\n".join([*found, *by_size(result), "## Notes", bullets([PICTURE, *notes(result)])]) + "\n"

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        """The picture as PNG and SVG, and its numbers as CSV."""
        name = str(result["recipe"])
        sizes = Numbers(result).sizes
        if not sizes:
            raise UserError("The result has no numbers of training velocities.", fix="hyprepro run velocities")
        with canvas.style():
            figure, axes = canvas.panels(1, len(sizes), self.width, self.height, sharey=True)
            for size, panel in zip(sizes, axes[0], strict=True):
                _draw(panel, result, size)
            axes[0][0].set_ylabel("return")
            handles, labels = axes[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
            pictures = canvas.rendered(figure, name)
        return {**pictures, f"{name}.csv": points_csv(result).encode()}


TITLES = {
    "test": "The five test velocities, on average",
    "unseen": "Training velocities that were left out, on average",
    "seen": "Training velocities, on average",
    "validation": "Withheld velocities, on average",
}
PICTURE = (
    "In the picture a ring is a test velocity, ticks below are the training velocities of the panel, and bands are 95% "
    "intervals. Left-out velocities differ from number to number: compare within a column."
)


def points_csv(result: Mapping[str, Any]) -> str:
    """Mean returns of all methods at all velocities as CSV."""
    rows = [
        [row["n_train"], row["method"], _velocity(row), row["split"], row["value"], *row["ci95"], row["n_policies"],
         row["n_seeds"]]
        for row in _by_velocity(result)
    ]  # fmt: skip
    return csv_text(CSV_FIELDS, rows)


def _by_velocity(result: Mapping[str, Any]) -> list[Row]:
    return [row for row in result["rows"] if row["task"] is not None and row["statistic"] == "mean"]


def _velocity(row: Row) -> float:
    return task_velocity(row["task"])


def _sizes_table(result: Mapping[str, Any], split: str) -> str:
    """A row a number of training velocities, a column a method, and the paper's numbers where it has any."""
    columns = _columns(result, split)
    rows = []
    for size in Numbers(result, split).sizes:
        numbers = Numbers(result, split, size)
        theirs = average_return(BASELINE, size) if split == "test" else None
        printed = f"{theirs:g}" if theirs is not None else "-"
        # The expert's interval stands in the tables below: a page is too narrow for all of them.
        cells = [(point if method == EXPERT else with_interval)(average(numbers, method)) for method in columns]
        rows.append([str(size), printed, *cells])
    return table(["trained", "paper", *(HEADS.get(method, method) for method in columns)], rows)


HEADS = {BASELINE: "w/o HypFormer", "nearest-velocity": "nearest"}


def _columns(result: Mapping[str, Any], split: str) -> list[str]:
    """The experts' averages are of the whole grid, so they stand beside those of the tested velocities alone."""
    wanted = [MAIN, BASELINE, "nearest-velocity", *([EXPERT] if split in TESTED else [])]
    return [method for method in wanted if any((r["method"], r["split"]) == (method, split) for r in result["rows"])]


def _draw(panel: Axes, result: Mapping[str, Any], size: int) -> None:
    rows = _by_velocity(result)
    for method, (colour, line, label) in LINES.items():
        points = [row for row in rows if row["method"] == method and row["n_train"] in (size, None)]
        points.sort(key=_velocity)
        if not points:
            continue
        x = [_velocity(row) for row in points]
        low, high = zip(*(row["ci95"] for row in points), strict=True)
        panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.plot(x, [row["value"] for row in points], color=colour, linestyle=line, label=label)
        tested = [row for row in points if row["split"] in TESTED]
        panel.plot(
            [_velocity(row) for row in tested], [row["value"] for row in tested], "o", color=colour, markersize=5,
            markerfacecolor="white",
        )  # fmt: skip
    seen = {_velocity(row) for row in rows if row["split"] == "seen" and row["n_train"] == size}
    for place in seen:
        panel.axvline(place, ymax=0.03, color=canvas.GREY, linewidth=1)
    panel.set_title(f"{size} training velocities")
    panel.set_xlabel("target velocity, m/s")

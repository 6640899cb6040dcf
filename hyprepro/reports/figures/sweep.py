"""Return against the number that tells tasks apart, a panel for each number of training tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.reports.markdown import bullets, paragraph, point, table, with_interval
from hyprepro.reports.notes import heading
from hyprepro.reports.numbers import TESTED, Numbers, Words, number
from hyprepro.reports.paper import average_return
from hyprepro.reports.records import csv_text
from hyprepro.reports.report import Report
from hyprepro.reports.returns import EXPERT, average, by_size, is_papers, notes
from hyprepro.reports.returns import setting as run_setting
from hyprepro.reports.summary import BASELINE, MAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

LINES = {
    "expert": (canvas.GREY, "-", "expert of that {told}"),
    "nearest-{told}": (canvas.RED, "--", "nearest training {told}"),
    "hyperzero": (canvas.ORANGE, "-.", "HyperZero"),
    "hypogen": (canvas.TEAL, ":", "HyPoGen"),
    "gen-hyprl": (canvas.BLUE, "-", "Gen-HypRL"),
}
"""Colour, line and name of each method that is drawn."""

TAUGHT_ACTIONS = ("hyperzero", "hypogen")
"""Rows of methods that learn from what experts do, as far as a recipe has them."""

SPLITS = ("test", "unseen", "seen")
CSV_FIELDS = ("n_train", "method", "{told}", "split", "value", "low", "high", "n_policies", "n_seeds")


@component
class ReturnFigure(Report):
    """Return against the number that tells tasks apart: experts, generated policies, the nearest training task's."""

    shows: ClassVar[str] = (
        "Return against the number that tells tasks apart, a panel for each number of training tasks."
    )
    width: float = setting(11.0, "width in inches", gt=0, le=50)
    height: float = setting(3.4, "height in inches", gt=0, le=50)

    def require(self) -> None:
        canvas.require()

    def markdown(self, result: Mapping[str, Any]) -> str:
        """Averages by number of training tasks; then every method at the test tasks, number by number."""
        words = Words.of(result)
        found = [heading(result), paragraph(run_setting(result))]
        present = {row["split"] for row in result["rows"]}
        for split in [each for each in SPLITS if each in present] or [Numbers(result).split]:
            found += [f"## {_title(split, words)}", _sizes_table(result, split)]
        return (
            "\n\n".join(
                [*found, *by_size(result), "## Notes", bullets([PICTURE.format(**words._asdict()), *notes(result)])]
            )
            + "\n"
        )

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        name = str(result["recipe"])
        sizes = Numbers(result).sizes
        if not sizes:
            raise UserError("The result has no numbers of training tasks.", fix="bind Recipe.train")
        with canvas.style():
            figure, axes = canvas.panels(1, len(sizes), self.width, self.height, sharey=True)
            for size, panel in zip(sizes, axes[0], strict=True):
                _draw(panel, result, size)
            axes[0][0].set_ylabel("return")
            axes[0][0].set_ylim(*_limits(result))
            handles, labels = axes[0][0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
            pictures = canvas.rendered(figure, name)
        return {**pictures, f"{name}.csv": points_csv(result).encode()}


TITLES = {
    "test": "The {tests} test {many}, on average",
    "unseen": "Training {many} that were left out, on average",
    "seen": "Training {many}, on average",
    "validation": "Withheld {many}, on average",
}
PICTURE = (
    "In the picture a ring is a test {told}, ticks below are the training {many} of the panel, and bands are 95% "
    "intervals, some of which go on beyond it. Left-out {many} differ from number to number: compare within a column."
)


def points_csv(result: Mapping[str, Any]) -> str:
    """Mean returns of all methods at all tasks as CSV."""
    rows = [
        [row["n_train"], row["method"], _number(row), row["split"], row["value"], *row["ci95"], row["n_policies"],
         row["n_seeds"]]
        for row in _by_task(result)
    ]  # fmt: skip
    return csv_text([field.format(told=Words.of(result).told) for field in CSV_FIELDS], rows)


def _by_task(result: Mapping[str, Any]) -> list[Row]:
    return [row for row in result["rows"] if row["task"] is not None and row["statistic"] == "mean"]


def _number(row: Row) -> float:
    """The number of a task (`UserError` if its name states none, or several)."""
    try:
        return float(number(row["task"]))
    except ValueError:
        what = f"{row['task']} is not told by one number, so no picture can be drawn over it."
        raise UserError(what, where="Recipe.report", fix="bind Recipe.report = @ReturnTable()") from None


def _sizes_table(result: Mapping[str, Any], split: str) -> str:
    """A row a number of training tasks, a column a method, and the paper's numbers where it has any."""
    columns, words = _columns(result, split), Words.of(result)
    heads = {BASELINE: "w/o HypFormer", _nearest(words): "nearest"}
    rows = []
    for size in Numbers(result, split).sizes:
        numbers = Numbers(result, split, size)
        theirs = average_return(BASELINE, size) if split == "test" and is_papers(words) else None
        printed = f"{theirs:g}" if theirs is not None else "-"
        # The others' intervals stand in the tables below alone: a page is too narrow for all of them.
        kinds = [with_interval if method in (MAIN, BASELINE) else point for method in columns]
        cells = [kind(average(numbers, method)) for kind, method in zip(kinds, columns, strict=True)]
        rows.append([str(size), printed, *cells])
    return table(["trained", "paper", *(heads.get(method, method) for method in columns)], rows)


def _nearest(words: Words) -> str:
    """The row of the nearest training task's policy."""
    return f"nearest-{words.told}"


def _title(split: str, words: Words) -> str:
    tests = _SMALL.get(len(words.tests), str(len(words.tests) or ""))
    return " ".join(TITLES.get(split, split).format(many=words.many, tests=tests).split())


_SMALL = dict(enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), start=1))


def _columns(result: Mapping[str, Any], split: str) -> list[str]:
    """The experts' averages are of the whole grid, so they stand beside those of the tested velocities alone."""
    wanted = [MAIN, BASELINE, _nearest(Words.of(result)), *TAUGHT_ACTIONS, *([EXPERT] if split in TESTED else [])]
    return [method for method in wanted if any((r["method"], r["split"]) == (method, split) for r in result["rows"])]


def _limits(result: Mapping[str, Any]) -> tuple[float, float]:
    """Of returns: all means that are drawn, with a margin. Of few seeds an interval may be wider than all of them."""
    drawn = {pattern.format(told=Words.of(result).told) for pattern in LINES}
    means = [row["value"] for row in _by_task(result) if row["method"] in drawn]
    margin = 0.08 * (max(means) - min(means)) or 1.0
    return min(means) - margin, max(means) + margin


def _draw(panel: Axes, result: Mapping[str, Any], size: int) -> None:
    rows, words = _by_task(result), Words.of(result)
    for pattern, (colour, line, label) in LINES.items():
        method, label = pattern.format(told=words.told), label.format(told=words.told)
        points = [row for row in rows if row["method"] == method and row["n_train"] in (size, None)]
        points.sort(key=_number)
        if not points:
            continue
        x = [_number(row) for row in points]
        low, high = zip(*(row["ci95"] for row in points), strict=True)
        panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.plot(x, [row["value"] for row in points], color=colour, linestyle=line, label=label)
        tested = [row for row in points if row["split"] in TESTED]
        panel.plot(
            [_number(row) for row in tested], [row["value"] for row in tested], "o", color=colour, markersize=5,
            markerfacecolor="white",
        )  # fmt: skip
    seen = {_number(row) for row in rows if row["split"] == "seen" and row["n_train"] == size}
    for place in seen:
        panel.axvline(place, ymax=0.03, color=canvas.GREY, linewidth=1)
    panel.set_title(f"{size} training {words.many}")
    panel.set_xlabel(words.measured)

"""Success by number of training runs a task at equal numbers of training policies, method by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.reports.markdown import bullets, paragraph, with_interval
from hyprepro.reports.notes import INTERVALS, SUCCESS, environment_gap, heading, knowledge, run_of
from hyprepro.reports.numbers import PROTOCOLS, Numbers, Row
from hyprepro.reports.records import csv_text
from hyprepro.reports.report import Report
from hyprepro.reports.zoo_table import abreast, by_zoo, described

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOLD = "run_code"
"""The setting by which a method is told the training run."""
COLOURS = {False: canvas.BLUE, True: canvas.RED}
"""Whether a method is told the run."""
LINES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
"""Line and marker by number of policies, the fewest first: they differ without colour too."""
COLUMNS = 4
CSV_FIELDS = (
    *("split", "protocol", "method", "told", "runs", "policies", "value", "low", "high", "n_policies", "n_seeds"),
)
EQUAL = (
    "A line joins zoos with equally many training policies a task, spread evenly over the first so many runs. Test "
    "prompts are the same for all of them."
)


@dataclass(frozen=True)
class Size:
    """How much of a zoo is trained on.

    Attributes:
        zoo: The zoo, as rows name it.
        runs: Training runs a task.
        policies: Training policies a task.
    """

    zoo: str
    runs: int
    policies: int


@dataclass(frozen=True)
class Line:
    """A row of the recipe.

    Attributes:
        name: Its name.
        of: The row that it is without being told the run; itself if it is not told.
    """

    name: str
    of: str

    @property
    def is_told(self) -> bool:
        """Whether its condition tells the training run."""
        return self.name != self.of


@component
class RunsFigure(Report):
    """Success against the number of training runs a task, a panel a method, with and without being told the run."""

    shows: ClassVar[str] = (
        "Success against the number of training runs a task, a panel a method; blue: not told the run, red: told it. A "
        "line joins equal numbers of training policies; bands are 95% intervals."
    )
    tells_zoos: ClassVar[bool] = True

    protocol: str = setting("strict", "the protocol that is drawn", pattern=r"^(strict|paper)$")
    width: float = setting(9.5, "width in inches", gt=0, le=50)
    height: float = setting(2.3, "height of a row of panels in inches", gt=0, le=50)

    def require(self) -> None:
        canvas.require()

    def markdown(self, result: Mapping[str, Any]) -> str:
        """Every curve as a table, what being told the run is worth, and the notes."""
        parts = [heading(result), paragraph(_setting(result))]
        for split, protocol in _places(result):
            title = f"{split.capitalize()} tasks, {PROTOCOLS[protocol].lower()}"
            parts += [f"## {title}", *_tables(result, split, protocol)]
            parts += _worth(result, split, protocol)
        parts += ["## The zoos", bullets(list(described(result)))]
        notes = [EQUAL, SUCCESS, INTERVALS, environment_gap(result["provenance"])]
        return "\n\n".join([*parts, *knowledge(result), "## Notes", bullets(notes)]) + "\n"

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        name, rows = str(result["recipe"]), _rows(result)
        found = {f"{name}.csv": points_csv(result).encode()}
        with canvas.style():
            for split in dict.fromkeys(split for split, protocol in _places(result) if protocol == self.protocol):
                found |= self._drawn(result, split, rows, f"{name}-{split}")
        return found

    def _drawn(self, result: Mapping[str, Any], split: str, rows: Sequence[Line], name: str) -> dict[str, bytes]:
        methods = list(dict.fromkeys(row.of for row in rows))
        columns = min(COLUMNS, len(methods))
        lines = -(-len(methods) // columns)
        options = {"sharex": True, "sharey": True}
        figure, axes = canvas.panels(lines, columns, self.width, self.height * lines + 0.7, **options)
        panels = [panel for line in axes for panel in line]
        for method, panel in zip(methods, panels, strict=False):
            for row in (row for row in rows if row.of == method):
                _draw(panel, result, split, self.protocol, row)
            _finish(panel, method, sorted({size.runs for size in sizes(result)}))
        for panel in panels[len(methods) :]:
            panel.remove()
        for panel in panels[max(len(methods) - columns, 0) : len(methods)]:  # the lowest of each column
            panel.xaxis.set_tick_params(labelbottom=True)
            panel.set_xlabel("training runs a task")
        for line in axes:
            line[0].set_ylabel("success, %")
        found = (panel.get_legend_handles_labels() for panel in panels[: len(methods)])
        legend = {label: handle for handles, labels in found for handle, label in zip(handles, labels, strict=True)}
        figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=min(len(legend), 4))
        return canvas.rendered(figure, name)


def sizes(result: Mapping[str, Any]) -> list[Size]:
    """How much each zoo of a result is trained on.

    Raises:
        UserError: A zoo does not say so.
    """
    found = []
    present = dict.fromkeys(str(row.get("zoo", "")) for row in result["rows"])
    for zoo in result["provenance"]["config"].get("zoos", []):
        if zoo["runs"] is None or zoo["policies"] is None:
            raise UserError(
                f"The zoo {zoo['name']} does not say how many runs and policies are trained on.",
                where="Zoo.runs, Zoo.policies",
                fix="bind both for each zoo, or bind Recipe.report = @ZooTable()",
            )
        own = [label for label in present if label.partition("/")[0] == zoo["name"]]
        found += [Size(label, zoo["runs"], zoo["policies"]) for label in own]
    if not found:
        raise UserError("The result compares no zoos.", fix="hyprepro run runs")
    return found


def points_csv(result: Mapping[str, Any]) -> str:
    """All points as CSV, fractions as in the result."""
    lines = []
    for (split, protocol), row in product(_places(result), _rows(result)):
        for size in sizes(result):
            found = by_zoo(result, split)[size.zoo].row(row.name, protocol, None)
            if found is not None:
                place = [split, protocol, row.of, row.is_told, size.runs, size.policies]
                lines.append([*place, found["value"], *found["ci95"], found["n_policies"], found["n_seeds"]])
    return csv_text(CSV_FIELDS, lines)


def _rows(result: Mapping[str, Any]) -> list[Line]:
    """The rows of the recipe; one that differs from an earlier one in what it is told of the run alone goes with it."""
    names = list(dict.fromkeys(str(row["method"]) for row in result["rows"]))
    methods = dict(zip(names, result["provenance"]["config"]["methods"], strict=True))
    first: dict[str, str] = {}
    found = []
    for name, method in sorted(methods.items(), key=lambda item: item[1].get(TOLD, "none") != "none"):
        rest = {field: value for field, value in method.items() if field not in ("row", "run_choice", TOLD)}
        found.append(Line(name, first.setdefault(repr(rest), name)))
    return sorted(found, key=lambda row: (names.index(row.of), row.is_told))


def _places(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Splits and protocols, the strict one first."""
    found = {(str(row["split"]), str(row["protocol"])) for row in result["rows"]}
    splits = dict.fromkeys(str(row["split"]) for row in result["rows"])
    return [place for place in product(splits, reversed(PROTOCOLS)) if place in found]


def _setting(result: Mapping[str, Any]) -> str:
    config = result["provenance"]["config"]
    seeds = max(row["n_seeds"] for row in result["rows"])
    return (
        f"Success rates in percent, by number of training runs a task and of training policies a task. {run_of(result)}"
        f". Generator seeds: {seeds}; {config['prompt_split']} prompts a task: {config['prompts_per_task']}."
    )


def _head(size: Size) -> str:
    return f"{size.runs} run{'s' if size.runs > 1 else ''}, {size.policies}"


def _tables(result: Mapping[str, Any], split: str, protocol: str) -> list[str]:
    rows = [row.name for row in _rows(result)]
    return _wide(result, split, "method", rows, lambda numbers, name: numbers.row(name, protocol, None), "")


def _worth(result: Mapping[str, Any], split: str, protocol: str) -> list[str]:
    """What being told the run is worth, where the recipe compares the two."""
    told = {row.name: row.of for row in _rows(result) if row.is_told}
    found = _wide(
        result, split, "told minus not told", list(told),
        lambda numbers, name: numbers.gain(told[name], protocol, None, name), "+",
    )  # fmt: skip
    return ["What being told the run is worth, paired:", *found] if found else []


def _wide(result: Mapping[str, Any], split: str, first: str, names: Sequence[str], find: Any, sign: str) -> list[str]:
    """A column a size, as many abreast as fit on a page; rows without any number are left out."""
    zoos = by_zoo(result, split)
    known = sorted(sizes(result), key=lambda size: (size.policies, size.runs))
    columns = [[_head(size), *(with_interval(find(zoos[size.zoo], name), sign) for name in names)] for size in known]
    return abreast([first, *names], columns) if names else []


def _points(result: Mapping[str, Any], split: str, protocol: str, row: Line, policies: int) -> list[tuple[int, Row]]:
    zoos: Mapping[str, Numbers] = by_zoo(result, split)
    own = sorted((size for size in sizes(result) if size.policies == policies), key=lambda size: size.runs)
    found = ((size.runs, zoos[size.zoo].row(row.name, protocol, None)) for size in own)
    return [(runs, point) for runs, point in found if point is not None]


def _draw(panel: Axes, result: Mapping[str, Any], split: str, protocol: str, row: Line) -> None:
    colour = COLOURS[row.is_told]
    for number, policies in enumerate(sorted({size.policies for size in sizes(result)})):
        points = _points(result, split, protocol, row, policies)
        if not points:
            continue
        line, marker = LINES[number % len(LINES)]
        runs = [count for count, _ in points]
        low, high = zip(*([100 * end for end in point["ci95"]] for _, point in points), strict=True)
        panel.fill_between(runs, low, high, color=colour, alpha=0.15, linewidth=0)
        if len(runs) == 1:  # a band of one point is not seen
            panel.vlines(runs, low, high, color=colour, alpha=0.5)
        label = f"{policies} policies{', told the run' if row.is_told else ''}"
        values = [100 * point["value"] for _, point in points]
        panel.plot(runs, values, color=colour, linestyle=line, marker=marker, markersize=5, label=label)


def _finish(panel: Axes, method: str, runs: Sequence[int]) -> None:
    panel.set_title(method)
    panel.set_xscale("log")
    panel.set_xticks(runs, [str(count) for count in runs])
    panel.minorticks_off()
    panel.set_ylim(0, 105)

"""`hyprepro diff`: what two recipes or two results set differently, and how their numbers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption, refuse_missing_result
from hyprepro.experiments.choice import DEFAULT_SCALE

if TYPE_CHECKING:
    from hyprepro.reports.changes import Difference
    from hyprepro.reports.compared import Pair

CONFIG = "config.json"
RESULT = "result.json"
LONGEST = 60
_SIDE = "A recipe (table1), a recipe at a scale (table1@smoke), a gin file, or a result's folder or result.json."
_PAIRED = "paired: both results' records resampled alike, prompt by prompt and goal by goal, as in every table."
_INDEPENDENT = (
    "independent: from both values' own intervals, as if the runs shared nothing (square-and-add); too wide where they "
    "share prompts."
)

TasksOption = Annotated[
    bool, typer.Option("--tasks", help="Print the numbers of single tasks too, not averages alone; --json has all.")
]


@dataclass(frozen=True)
class _Side:
    """One of the two things that are compared: every value that it sets and, if it is a result, its numbers."""

    settings: Mapping[str, Any]
    result: Mapping[str, Any] | None = None
    folder: Path = Path()


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    tasks: TasksOption = False,
    json: JsonOption = False,
) -> None:
    """Show the values in which two recipes or results differ, and the numbers of two results side by side.

    Rows, methods and protocols are matched by name. Numbers come with the difference b minus a and its 95% interval.
    """
    from hyprepro.reports.changes import differences

    left, right = _side(a), _side(b)
    changed = list(differences(left.settings, right.settings))
    numbers = _numbers(left, right)
    if json:
        settings = [{"path": each.path, "a": each.one, "b": each.other} for each in changed]
        console.print_json({"settings": settings, "rows": [pair.to_json() for pair in numbers]})
        return
    if not changed and not numbers:
        console.line(f"{a} and {b} do not differ.")
        return
    console.columns([("A", a), ("B", b)], indent=0)
    console.line()
    if changed:
        console.table(("setting", "A", "B"), [_setting(each) for each in changed])
    if numbers:
        _show_numbers(numbers, tasks)
        if left.result and right.result and _tasks(left.result) != _tasks(right.result):
            console.line("The two have different tasks: their averages are not of the same thing.")


def _side(name: str) -> _Side:
    """What an argument names.

    Raises:
        UserError: Nothing of this name, or a result that is damaged or malformed.
    """
    from hyprepro.reports.reading import read_json, read_result

    path = Path(name)
    if path.is_dir() or path.suffix == ".json":
        folder = path if path.is_dir() else path.parent
        file = folder / RESULT if path.is_dir() or path.name == CONFIG else path
        has_config = (folder / CONFIG).exists()
        settings = read_json(folder / CONFIG) if has_config else {}
        if not file.exists() and has_config:
            return _Side(settings)
        if not file.exists():
            read_json(file, "There is no result to compare.")
        result = read_result(file)
        return _Side(settings or result["provenance"].get("config", {}), result, folder)
    from hyprepro.config.registry import resolve

    refuse_missing_result(name)
    recipe, _, scale = name.partition("@")
    return _Side(resolve(recipe, scale or None, default_scale=DEFAULT_SCALE).recipe.described())


def _numbers(left: _Side, right: _Side) -> list[Pair]:
    """The numbers of two results that differ; nothing unless both sides are results."""
    if left.result is None or right.result is None:
        return []
    from hyprepro.reports.compared import compared, paired

    found = paired(left.result, right.result, (left.folder, right.folder))
    return compared(left.result, right.result, found)


def _setting(each: Difference) -> tuple[str, str, str]:
    from hyprepro.reports.changes import shown

    one, other = ("-" if value is None else shown(value, LONGEST) for value in (each.one, each.other))
    return each.path, one, other


def _show_numbers(pairs: Sequence[Pair], tasks: bool) -> None:
    """A table of the numbers that both have; of averages alone if there are any and tasks are not asked for."""
    from hyprepro.reports.markdown import with_interval

    def delta(pair: Pair) -> str:
        return with_interval({"value": pair.delta, "ci95": pair.ci95, "metric": pair.named["metric"]}, "+")

    shared = [pair for pair in pairs if pair.delta is not None]
    averages = [pair for pair in shared if not pair.named["task"]]
    chosen = shared if tasks or not averages else averages
    if chosen:
        rows = [
            (*_place(pair), with_interval(pair.a), with_interval(pair.b), delta(pair), pair.interval) for pair in chosen
        ]
        console.table(("method", "task", "protocol", "statistic", "A", "B", "B minus A", "interval"), rows, right=4)
        console.line("Values with 95% intervals; success rates in percent. Intervals of B minus A are")
        for text in (_PAIRED, _INDEPENDENT):
            if text.partition(":")[0] in {pair.interval for pair in chosen}:
                console.line(f"  {text}")
    if len(chosen) < len(shared):
        console.line(f"{len(shared) - len(chosen)} numbers of single tasks differ as well; show them with --tasks.")
    for side, other in (("A", "b"), ("B", "a")):
        alone = [pair for pair in pairs if getattr(pair, other) is None]
        groups = dict.fromkeys(f"{pair.named['method']} ({pair.named['split']} tasks)" for pair in alone)
        if alone:
            console.line(f"{side} alone has {len(alone)} numbers: {', '.join(groups)}.")


def _tasks(result: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(row["split"], row["task"]) for row in result["rows"] if row["task"] is not None}


def _place(pair: Pair) -> tuple[str, str, str, str]:
    named = pair.named
    size = f", {named['n_train']} velocities" if named["n_train"] else ""
    size += f", {named['zoo']}" if named["zoo"] else ""
    task = named["task"] or f"average of {named['split']}"
    return named["method"], f"{task}{size}", named["protocol"], named["statistic"]

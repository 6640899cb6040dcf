"""`hyprepro curves`: the learning curves of every training behind a result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import arguments, console
from hyprepro.errors import UserError
from hyprepro.experiments.choice import Choice, choose, open_cache

if TYPE_CHECKING:
    from hyprepro.experiments.trainings import Training

SourceArgument = Annotated[
    str, typer.Argument(metavar="RESULT", help="A result's folder or result.json, or a recipe that was run here.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where the files go.", show_default="RESULT/curves, or curves"),
]


def curves(
    source: SourceArgument,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    cache: arguments.CacheOption = None,
    out: OutOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Draw the learning curves of every training behind a result, from the metrics that its cache keeps.

    A figure for each kind of training, a panel for each metric, a line for each seed; curves.csv has the numbers. A run
    that is not finished shows what it has so far.
    """
    from hyprepro.engine.stage import write_files
    from hyprepro.experiments.run import plan
    from hyprepro.experiments.trainings import trainings
    from hyprepro.reports.figures.canvas import require
    from hyprepro.reports.figures.curves import draw_curves

    require("hyprepro curves")
    choice, folder = _chosen(source, scale, variant, bind, gin)
    store = open_cache(cache)
    found, missing = trainings([planned.stage for planned in plan(choice.recipe, store).stages], store)
    if not found:
        raise UserError(
            "Nothing of this result's trainings is kept here, with these settings and this version.",
            where=str(store.root.absolute()),
            fix=f"name the cache of the run by --cache, or train again: {choice.command}",
        )
    written = write_files(out or folder, draw_curves(_grouped(found)))
    if json:
        console.print_json({"files": written, "trainings": [each.name for each in found], "missing": missing})
        return
    for name in written:
        console.line(name)
    console.note(f"{len(found)} trainings" + (f"; {len(missing)} stages are not finished here" if missing else ""))


def _chosen(
    source: str, scale: str | None, variant: str | None, bind: list[str] | None, gin: list[Path] | None
) -> tuple[Choice, Path]:
    """The recipe, and where its curves go unless told otherwise."""
    from hyprepro.experiments.trainings import choice_of_result
    from hyprepro.reports.reading import read_result

    path = arguments.result_file(source)
    if path is None:
        return choose(source, scale, variant, None, bind, gin), Path("curves")
    if bind or gin or scale or variant:
        raise UserError(
            "A result has its own settings.", where="-b, -g, --scale and --variant", fix="name its recipe in its place"
        )
    return choice_of_result(path, read_result(path)), path.parent / "curves"


def _grouped(found: list[Training]) -> dict[str, dict[str, dict[int, tuple[tuple[int, float], ...]]]]:
    """By kind of training, metric and seed."""
    groups: dict[str, dict[str, dict[int, tuple[tuple[int, float], ...]]]] = {}
    for training in found:
        for metric, points in training.points.items():
            groups.setdefault(training.group, {}).setdefault(metric, {})[training.seed] = points
    return groups

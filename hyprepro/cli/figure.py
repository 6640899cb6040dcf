"""`hyprepro figure`: draw the figures of a finished result again, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import arguments, console
from hyprepro.errors import UserError
from hyprepro.experiments.choice import choose, committed_result

if TYPE_CHECKING:
    from hyprepro.reports.report import Report

SourceArgument = Annotated[
    str, typer.Argument(metavar="RESULT", help="A result's folder or result.json, or a recipe (figure5).")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")]


def figure(
    source: SourceArgument,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    out: OutOption = Path("."),
    json: arguments.JsonOption = False,
) -> None:
    """Draw a result's figures again from its records, for instance in another size.

    A recipe stands for its committed result; -b and -g then change how it is drawn: -b TokensFigure.width=12.
    """
    from hyprepro.engine.stage import write_files
    from hyprepro.reports.report import TABLE, files_of

    path, result, report = _chosen(source, scale, variant, bind, gin)
    report.require()
    files = {name: content for name, content in files_of(report, result, path).items() if name != TABLE}
    if not files:
        raise UserError(
            f"{type(report).__name__} draws no figures.", where=str(path), fix="hyprepro figure figure5, for instance"
        )
    written = write_files(out, files)
    if json:
        console.print_json({"result": str(path), "files": written})
        return
    for name in written:
        console.line(name)


def _chosen(
    source: str, scale: str | None, variant: str | None, bind: list[str] | None, gin: list[Path] | None
) -> tuple[Path, Mapping[str, Any], Report]:
    """The result.json, its content, and the report that draws it."""
    from hyprepro.reports.check import unequal
    from hyprepro.reports.reading import read_result
    from hyprepro.reports.report import report_of

    path = arguments.result_file(source)
    if path is not None:
        if bind or gin:
            raise UserError(
                "A result is drawn as it says itself.",
                where="-b and -g",
                fix="Name its recipe in place of the result to draw it in another way.",
            )
        result = read_result(path)
        return path, result, report_of(result)
    choice = choose(source, scale, variant, None, bind, gin)
    path = committed_result(choice)
    result = read_result(path)
    ours, theirs = choice.recipe.described(), dict(result["provenance"].get("config", {}))
    for place in unequal({**ours, "report": None}, {**theirs, "report": None}, type(choice.recipe).__name__):
        raise UserError(
            f"The committed result was made with another {place}.",
            where=str(path),
            fix="Bind nothing but the report's own fields, or run the recipe.",
        )
    return path, result, choice.recipe.report

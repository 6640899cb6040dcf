"""`hyprepro adopt`: the explicit act by which a finished run becomes a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import JsonOption

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run (runs/table1/desktop).")]
IntoOption = Annotated[
    Path | None,
    typer.Option(
        "--into", metavar="DIR", help="The folder of references.", show_default="results/ of the working folder"
    ),
]


def adopt(run: RunArgument, into: IntoOption = None, json: JsonOption = False) -> None:
    """Make a finished run the reference that `hyprepro check` holds later runs against.

    All numbers are computed again from the run's records, so what is adopted is what was measured. Naming a reference
    itself computes its numbers again, for when the statistics changed.
    """
    from hyprepro.experiments.references import REFERENCES, adopt
    from hyprepro.reports.reading import RESULT

    source = run.parent if run.name == RESULT else run
    adopted = adopt(source, into or Path(REFERENCES))
    if json:
        console.print_json({"reference": str(adopted.folder), "changed": adopted.changed})
        return
    if adopted.changed:
        console.line(f"{adopted.changed} numbers of {source / RESULT} were not those of its records, which count.")
    console.line(f"{adopted.folder} is the reference now.")

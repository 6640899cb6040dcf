"""The command line: `hyprepro run table1` and what belongs to it.

Each command is one file here. Heavy imports (gin, torch, MuJoCo) stand inside the commands, so that help and completion
answer at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from hyprepro.cli import adopt, bench, check, collect, diff, doctor, explain, figure, generate, listing, run, store
from hyprepro.cli.main import PanelGroup

app = typer.Typer(
    name="hyprepro",
    cls=PanelGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Reproduce, question and build on Gen-HypRL: networks that write the weights of other policies.",
    epilog="Start with: hyprepro run table1. Swap a part: hyprepro run table1 -b COMPONENT.FIELD=VALUE.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hyprepro {version('hyprepro')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


app.command()(run.run)
app.command("list")(listing.list_)
app.command()(explain.explain)
app.command()(diff.diff)
app.command()(check.check)
app.command()(adopt.adopt)
app.command()(generate.generate)
app.command()(figure.figure)
app.command()(collect.collect)
app.command()(doctor.doctor)
app.add_typer(store.app, name="store")
app.add_typer(bench.bench, name="bench")


def main() -> None:
    """Run the command line of this process."""
    app()

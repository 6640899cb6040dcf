"""The command line: `hyprepro run table1` and what belongs to it.

Each command is one file here, imported when it is invoked. Heavy imports (pydantic, gin, torch, MuJoCo, rich) stand
inside the commands, so that help and completion answer at once.
"""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from hyprepro.cli.lazy import Deferred, LazyGroup
from hyprepro.cli.main import PanelGroup

COMMANDS = {
    "run": Deferred(
        "hyprepro.cli.run",
        "run",
        "Train, deploy and evaluate what a recipe names, and print its table beside the paper's.",
    ),
    "sweep": Deferred(
        "hyprepro.cli.sweep",
        "sweep",
        "Run a recipe with every value of a list, or every cell of a grid, and print one table with paired "
        "differences.",
    ),
    "list": Deferred(
        "hyprepro.cli.listing", "list_", "Show the recipes, scales, variants, and the components by slot."
    ),
    "explain": Deferred(
        "hyprepro.cli.explain",
        "explain",
        "Show a component's fields, what fits a slot, what a scale sets, or a recipe's values and where each was set.",
    ),
    "diff": Deferred(
        "hyprepro.cli.diff",
        "diff",
        "Show the values in which two recipes or results differ, and the numbers of two results side by side.",
    ),
    "check": Deferred(
        "hyprepro.cli.check",
        "check",
        "Check that every reproduced number lies in the reference's interval; exit code 1 if one does not.",
    ),
    "adopt": Deferred(
        "hyprepro.cli.adopt",
        "adopt",
        "Make a finished run the reference that `hyprepro check` holds later runs against.",
    ),
    "generate": Deferred(
        "hyprepro.cli.generate",
        "generate",
        "Write the policies that a method generates, one a test prompt or some a velocity, with their measured scores.",
    ),
    "film": Deferred(
        "hyprepro.cli.film",
        "film",
        "Film rollouts: a method's policy beside the expert and the nearest stored one, task by task.",
    ),
    "figure": Deferred(
        "hyprepro.cli.figure",
        "figure",
        "Draw a result's figures again from its records, for instance in another size.",
    ),
    "curves": Deferred(
        "hyprepro.cli.curves",
        "curves",
        "Draw the learning curves of every training behind a result, from the metrics that its cache keeps.",
    ),
    "report": Deferred(
        "hyprepro.cli.report",
        "report",
        "Write results as one HTML page that holds all it shows: to be sent, read on a phone, printed.",
    ),
    "push": Deferred(
        "hyprepro.cli.publish",
        "push",
        "Publish stores, a result, or the trained generators behind one on the Hugging Face Hub, with a card.",
    ),
    "pull": Deferred(
        "hyprepro.cli.publish",
        "pull",
        "Bring what hyprepro push published on the Hugging Face Hub, every file held against its digest.",
    ),
    "collect": Deferred(
        "hyprepro.cli.collect",
        "collect",
        "Train experts with SAC, select them, record episodes, and write NAME.policies.h5, NAME.trajectories.h5, "
        "NAME.md.",
    ),
    "doctor": Deferred(
        "hyprepro.cli.doctor",
        "doctor",
        "Check Python, packages, stores, disk and processors; exit code 1 if something keeps a recipe from running.",
    ),
    "store": Deferred(
        "hyprepro.cli.store", "app", "Look into a store, check it, exchange policies and episodes with others."
    ),
    "bench": Deferred("benchmarks.command", "bench", "Measure speed against a peer, both in turn in the same run."),
}
"""All commands, in the order in which help lists them."""

NEW_OBJECTS = 20_000
"""New objects after which Python looks for garbage. What a command makes while it starts it keeps to its end; with
Python's own 700, all of that is searched again and again."""


class Program(PanelGroup, LazyGroup):
    """The group of all commands."""

    deferred = COMMANDS


app = typer.Typer(
    name="hyprepro",
    cls=Program,
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


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(NEW_OBJECTS)
    app()

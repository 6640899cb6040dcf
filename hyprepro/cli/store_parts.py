"""`hyprepro store merge / subset`: the stores of several collections as one, and a part of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyprepro.cli import console

NameOption = Annotated[
    Path, typer.Option("--out", metavar="NAME", help="Writes NAME.policies.h5, NAME.trajectories.h5 and NAME.md.")
]
PartialOption = Annotated[
    bool, typer.Option("--partial", help="Even if no run for test prompts is left, which recipes need.")
]
_STORE = "NAME of NAME.policies.h5 and NAME.trajectories.h5, or the path of either."


def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE", help=f"Two or more, each {_STORE}")],
    out: NameOption,
    partial: PartialOption = False,
) -> None:
    """Join collections, or the parts of one: policies, and their episodes with them. No run may stand in two of them.

    Parts of one collection (MetaWorldCollection.runs) give the very stores that the whole would have given.
    """
    from hyprepro.stores.parts import merge as joined

    _tell(joined(stores, out, partial))


def subset(
    store: Annotated[Path, typer.Argument(metavar="STORE", help=_STORE)],
    out: NameOption,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="NAME", help="May be repeated.", show_default="all tasks")
    ] = None,
    run: Annotated[
        list[int] | None,
        typer.Option("--run", metavar="SEED", min=0, help="May be repeated.", show_default="all runs"),
    ] = None,
    train_runs: Annotated[
        int | None,
        typer.Option("--train-runs", metavar="N", min=1, help="The first N training runs of a task, and its others."),
    ] = None,
    policies: Annotated[
        int | None, typer.Option("--policies", metavar="N", min=1, help="The last N training policies of a run.")
    ] = None,
    partial: PartialOption = False,
) -> None:
    """Take a part of a store: tasks, runs, a number of policies of each run, and the episodes that are theirs."""
    from hyprepro.stores.parts import Wanted
    from hyprepro.stores.parts import subset as part

    _tell(part(store, out, Wanted(tuple(task or ()), tuple(run or ()), train_runs, policies), partial))


def _tell(written: list[Path]) -> None:
    for file in written:
        console.note(f"Written: {file}")

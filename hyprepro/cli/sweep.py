"""`hyprepro sweep`: one recipe in every cell of a grid of bindings, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import arguments, completion, console
from hyprepro.cli.progress import RunProgress
from hyprepro.cli.run import summary
from hyprepro.experiments.choice import open_cache

if TYPE_CHECKING:
    from hyprepro.experiments.run import Work
    from hyprepro.experiments.sweep import Sweep

GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "-b",
        "--bind",
        metavar="BINDING",
        help="A gin binding; one with a list, 'Component.field=[1,2,3]', is swept. Several lists make a grid of at "
        "most 64 cells.",
        autocompletion=completion.bindings,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where the table goes, and below it a folder a cell.",
        show_default="runs/RECIPE; each cell where hyprepro run writes it",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the cells and what would be done, and stop.")]


def sweep(
    recipe: arguments.RecipeArgument,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    seeds: arguments.SeedsOption = None,
    bind: GridOption = None,
    gin: arguments.FilesOption = None,
    dry_run: DryRunOption = False,
    out: OutOption = None,
    workers: arguments.WorkersOption = None,
    executor: arguments.ExecutorOption = "local",
    address: arguments.AddressOption = None,
    job: arguments.JobOption = None,
    cache: arguments.CacheOption = None,
    device: arguments.DeviceOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Run a recipe with every value of a list, or every cell of a grid, and print one table with paired differences.

    Each cell is a result of its own, as hyprepro run would write it. Stages that cells share are made once; a sweep
    that was interrupted goes on where it was.
    """
    from hyprepro.experiments.sweep import TABLE, plan_sweep, run_sweep, sweep_of

    chosen = arguments.choose_executor(executor, address, workers, device, job)
    asked = sweep_of(recipe, scale, variant, seeds, bind or (), gin or (), out)
    store = open_cache(cache)
    planned = plan_sweep(asked, store)
    if dry_run and json:
        console.print_json(_described(asked, planned, chosen.workers))
        return
    if not json:
        say = console.line if dry_run else console.note
        for text in summary(planned, chosen.workers, len(asked.cells)):
            say(text)
    if dry_run:
        _show_cells(asked)
        return
    with RunProgress(quiet=json) as progress:
        numbers = run_sweep(asked, store, chosen, progress)
    if json:
        console.print_json(numbers)
        return
    console.line((asked.folder / TABLE).read_text(encoding="utf-8").rstrip())
    console.note(f"Written to {asked.folder}")


def _show_cells(asked: Sweep) -> None:
    heads = [axis.target for axis in asked.grid.axes]
    rows = [(*cell.values, _mark(asked, number), str(cell.folder)) for number, cell in enumerate(asked.cells)]
    console.line()
    console.columns([(*heads, "", "folder"), *rows], indent=0)
    console.line()
    console.line(f"The table would be written to {asked.folder}")


def _mark(asked: Sweep, number: int) -> str:
    if number != asked.against:
        return ""
    return "compared with; as without the grid" if asked.is_against_base else "compared with"


def _described(asked: Sweep, planned: Work, workers: int) -> dict[str, object]:
    return {
        "axes": {axis.target: list(axis.values) for axis in asked.grid.axes},
        "against": asked.against,
        "cells": [
            {"values": list(cell.values), "folder": str(cell.folder), "shipped": cell.choice.departure.to_json()}
            for cell in asked.cells
        ],
        "folder": str(asked.folder),
        **planned.described(workers),
    }

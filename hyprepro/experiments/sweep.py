"""A sweep: one recipe in every cell of a grid of bindings, run as one plan, told as one table.

Each cell is a recipe as `hyprepro run` takes it, with a result folder of its own, the one that `run` would write. All
cells' stages are made together, so what several share is made once; the cache makes a second sweep, or one that was
killed, go on where it was. The grid's table and page stand in a folder beside the cells'.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hyprepro.component import fingerprint
from hyprepro.config.grid import Grid, grid_of
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import Executor
from hyprepro.engine.schedule import OnEvent
from hyprepro.engine.stage import explaining, folder_in_use, write_atomically
from hyprepro.errors import UserError
from hyprepro.experiments.choice import RUNS, Choice, choose
from hyprepro.experiments.results import result_text
from hyprepro.experiments.run import Order, Work, plan, planned_stages, results_folder, run_recipes
from hyprepro.reports.grid import CellResult, Comparison

TABLE, PAGE, NUMBERS = "sweep.md", "sweep.html", "sweep.json"


@dataclass(frozen=True)
class Cell:
    """One recipe of the grid.

    Attributes:
        values: The value of each axis, as gin writes it.
        choice: The recipe with these values.
        folder: Where its result goes.
    """

    values: tuple[str, ...]
    choice: Choice
    folder: Path


@dataclass(frozen=True)
class Sweep:
    """A grid of recipes.

    Attributes:
        grid: The bindings.
        cells: Every recipe, in the order of the grid.
        base: The recipe without the lists.
        folder: Where the table of the grid goes.
    """

    grid: Grid
    cells: tuple[Cell, ...]
    base: Choice
    folder: Path

    @cached_property
    def against(self) -> int:
        """The cell that others are compared with: the one that changes nothing of the base, else the first."""
        wanted = self.base.recipe.fingerprint()
        same = (number for number, cell in enumerate(self.cells) if cell.choice.recipe.fingerprint() == wanted)
        return next(same, 0)

    @property
    def is_against_base(self) -> bool:
        """Whether that cell is the recipe without the lists."""
        return self.cells[self.against].choice.recipe.fingerprint() == self.base.recipe.fingerprint()

    @property
    def command(self) -> str:
        """What runs it, to be copied."""
        lists = [f"{axis.target}=[{', '.join(axis.values)}]" for axis in self.grid.axes]
        flags = shlex.join([word for text in lists for word in ("-b", text)])
        return f"{self.base.command.replace(' run ', ' sweep ', 1)} {flags}"


def sweep_of(
    recipe: str,
    scale: str | None = None,
    variant: str | None = None,
    seeds: int | None = None,
    bindings: Sequence[str] = (),
    gin_files: Sequence[Path] = (),
    out: Path | None = None,
) -> Sweep:
    """Resolve every cell of a grid; arguments as for `choose`.

    Args:
        recipe: A shipped recipe or a gin file.
        scale: The scale.
        variant: The variant.
        seeds: The number of generator seeds.
        bindings: Bindings, some of them with lists.
        gin_files: Gin files of the user.
        out: Where the table goes, and each cell's folder; None: `runs/`, each cell where `run` writes it.

    Raises:
        UserError: For every mistake in a recipe or in the grid (`grid_of`), or where two cells are the same recipe.
    """
    grid = grid_of(bindings)
    base = choose(recipe, scale, variant, seeds, grid.fixed, gin_files)
    cells: list[Cell] = []
    for values in grid.cells:
        choice = choose(recipe, scale, variant, seeds, grid.bindings(values), gin_files)
        name = results_folder(Path(), choice.recipe, is_custom=True).name
        cells.append(Cell(values, choice, choice.folder(None if out is None else out / name)))
    first: dict[str, Cell] = {}
    for cell in cells:
        same = first.setdefault(cell.choice.recipe.fingerprint(), cell)
        if same is not cell:
            one, other = (", ".join(each.values) for each in (same, cell))
            raise UserError(
                f"Two cells of the grid are the same recipe: {one} and {other}.",
                where=", ".join(f"-b {axis.target}" for axis in grid.axes),
                fix="Leave out one of the values, or bind what makes them differ.",
            )
    name = f"{results_folder(Path(), base.recipe).name}-sweep-{fingerprint(list(first))[:8]}"
    return Sweep(grid, tuple(cells), base, base.folder(out or RUNS / base.recipe.name / name))


def plan_sweep(sweep: Sweep, cache: ArtifactCache) -> Work:
    """Every stage behind the sweep, once each, as it stands in the cache. Computes nothing (`UserError` as `plan`)."""
    targets = [stage for cell in sweep.cells for stage in plan(cell.choice.recipe, cache).targets]
    return Work(planned_stages(targets, cache))


def run_sweep(
    sweep: Sweep, cache: ArtifactCache, workers: int | Executor = 2, progress: OnEvent = lambda event: None
) -> dict[str, Any]:
    """Run all cells, then write the table of the grid as Markdown, as a page and as numbers.

    Returns:
        The content of sweep.json: the axes, the cells with their folders and averages, and their differences.

    Raises:
        UserError: As `run_recipes`.
    """
    orders = [
        Order(cell.choice.recipe, cell.folder, cell.choice.operative_config, cell.choice.departure)
        for cell in sweep.cells
    ]
    with explaining(sweep.folder), folder_in_use(sweep.folder):
        results = run_recipes(orders, cache, workers, progress)
        found = Comparison(
            axes=tuple(axis.target for axis in sweep.grid.axes),
            cells=tuple(
                CellResult(cell.values, result, cell.folder) for cell, result in zip(sweep.cells, results, strict=True)
            ),
            against=sweep.against,
            is_base=sweep.is_against_base,
            fixed=tuple(sweep.grid.fixed),
            command=sweep.command,
        )
        numbers = found.to_json()
        write_atomically(sweep.folder / TABLE, found.markdown().encode())
        write_atomically(sweep.folder / PAGE, found.page())
        write_atomically(sweep.folder / NUMBERS, result_text(numbers).encode())
    return numbers

"""`hyprepro check`: hold a fresh result against the committed one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import (
    DEFAULT_SCALE,
    AddressOption,
    CacheOption,
    DeviceOption,
    ExecutorOption,
    JsonOption,
    RecipeArgument,
    ScaleOption,
    VariantOption,
    WorkersOption,
)
from hyprepro.cli.progress import RunProgress
from hyprepro.cli.recipes import Choice, choose, choose_executor, committed_result, open_cache, use_device

if TYPE_CHECKING:
    from hyprepro.artifacts import ArtifactCache
    from hyprepro.executors import Executor

FreshOption = Annotated[
    Path | None,
    typer.Option("--result", metavar="FILE", help="The fresh result.json.", show_default="run the recipe now"),
]
CommittedOption = Annotated[
    Path | None,
    typer.Option(
        "--committed", metavar="FILE", help="The result.json to hold it against.", show_default="results/RECIPE/SCALE"
    ),
]


def check(
    recipe: RecipeArgument,
    scale: ScaleOption = DEFAULT_SCALE,
    variant: VariantOption = None,
    fresh: FreshOption = None,
    committed: CommittedOption = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    cache: CacheOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Check that every reproduced number lies in the committed interval; exit code 1 if one does not.

    Without --result the recipe runs now. It reuses finished stages; name an empty folder by --cache to make all anew.
    """
    from hyprepro.tables.check import check_files
    from hyprepro.tables.result import read_result

    use_device(device)
    chosen = choose_executor(executor, address, workers)
    choice = choose(recipe, scale, variant, None, None, None)
    reference = committed or committed_result(choice, choice.is_custom)
    if fresh is not None:
        violations = check_files(reference, fresh)
    else:
        read_result(reference)  # refuse a damaged file before the work, not after it
        with tempfile.TemporaryDirectory(prefix="hyprepro-check-") as folder:
            _run(choice, Path(folder), open_cache(cache), chosen, quiet=json)
            violations = check_files(reference, Path(folder) / "result.json")
    numbers = len(read_result(reference)["rows"])
    if json:
        console.print_json({"committed": str(reference), "numbers": numbers, "violations": violations})
    elif violations:
        console.line(f"{len(violations)} differences from {reference}:", style="red")
        for violation in violations:
            console.line(f"  {violation}")
    else:
        console.line(f"Reproduced: all {numbers} numbers of {reference}.")
    if violations:
        raise typer.Exit(1)


def _run(choice: Choice, folder: Path, cache: ArtifactCache, executor: Executor, quiet: bool) -> None:
    from hyprepro.pipeline import run_recipe

    with RunProgress(quiet=quiet) as progress:
        run_recipe(choice.recipe, folder, cache, executor, progress, choice.operative_config)

"""`hyprepro check`: hold a fresh result against the committed one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from hyprepro.cli import arguments, console
from hyprepro.cli.progress import RunProgress
from hyprepro.cli.run import announce
from hyprepro.errors import UserError
from hyprepro.experiments.choice import Choice, choose, committed_result, open_cache

FreshOption = Annotated[
    Path | None,
    typer.Option(
        "--result", metavar="FILE", help="The fresh result.json, or its folder.", show_default="run the recipe now"
    ),
]
CommittedOption = Annotated[
    Path | None,
    typer.Option(
        "--committed",
        metavar="FILE",
        help="The result.json to hold it against, or its folder.",
        show_default="the reference in results/RECIPE/SCALE",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be run and held against what, and stop.")
]


def check(
    recipe: arguments.RecipeArgument,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    fresh: FreshOption = None,
    committed: CommittedOption = None,
    dry_run: DryRunOption = False,
    workers: arguments.WorkersOption = None,
    executor: arguments.ExecutorOption = "local",
    address: arguments.AddressOption = None,
    job: arguments.JobOption = None,
    cache: arguments.CacheOption = None,
    device: arguments.DeviceOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Check that every reproduced number lies in the reference's interval; exit code 1 if one does not.

    References are the committed results (`results/`, and a copy in the wheel), which no run writes. Without --result
    the recipe runs now. It reuses finished stages; name an empty folder by --cache to make all anew.
    """
    from hyprepro.experiments.run import run_recipe
    from hyprepro.reports.check import check, unfounded
    from hyprepro.reports.reading import RESULT, read_result

    chosen = arguments.choose_executor(executor, address, workers, device, job)
    choice = choose(recipe, scale, variant)
    reference = _file(committed, "--committed", choice) if committed else committed_result(choice)
    before = read_result(reference)  # refuse a damaged file before the work, not after it
    held = f"{reference}, made {before['provenance'].get('date', 'at an unknown time')}"
    if fresh is not None:
        fresh = _file(fresh, "--result", choice)
        _refuse_itself(reference, fresh, choice)
        if dry_run:
            console.line(f"{fresh} would be held against {held}")
            return
        now = read_result(fresh)
        never_measured = unfounded(fresh, now)
    else:
        store = open_cache(cache)
        say = console.line if dry_run else console.note
        announce(choice, store, chosen.workers, say)
        say(f"The result {'would' if dry_run else 'will'} be held against {held}")
        if dry_run:
            return
        with tempfile.TemporaryDirectory(prefix="hyprepro-check-") as folder, RunProgress(quiet=json) as progress:
            run_recipe(choice.recipe, Path(folder), store, chosen, progress, choice.operative_config)
            now = read_result(Path(folder) / RESULT)
        never_measured = []
    if not json and _is_of_one_run(before, now):
        console.note(f"{fresh or 'This result'} is of the very run that the reference was adopted from.")
    _report([*check(before, now), *never_measured], reference, before, json)


def _file(named: Path, flag: str, choice: Choice) -> Path:
    """The result.json that a flag names, itself or by its folder.

    Raises:
        UserError: There is none.
    """
    from hyprepro.reports.reading import RESULT

    path = named / RESULT if named.is_dir() else named
    if not path.exists():
        raise UserError(
            "There is no result here.",
            where=f"{flag} {named}",
            fix=f"Name the result.json of a finished run, or its folder. This makes one: {choice.command}",
        )
    return path


def _is_of_one_run(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two results tell the same date, time taken and records: then their agreement says nothing."""
    told = [
        (result.get("digest"), *map(result["provenance"].get, ("date", "wall_seconds"))) for result in (before, now)
    ]
    return told[0] == told[1] and None not in told[0]


def _report(violations: list[str], reference: Path, before: dict[str, Any], json: bool) -> None:
    """Print what was found; exit code 1 if anything was."""
    numbers, made = len(before["rows"]), before["provenance"].get("date")
    if json:
        found = {"committed": str(reference), "made": made, "numbers": numbers, "violations": violations}
        console.print_json(found)
    elif violations:
        console.line(f"{len(violations)} differences from {reference}, made {made}:", style="red")
        for violation in violations:
            console.line(f"  {violation}")
    else:
        console.line(f"Reproduced: all {numbers} numbers of {reference}, made {made}.")
    if violations:
        raise typer.Exit(1)


def _refuse_itself(reference: Path, fresh: Path, choice: Choice) -> None:
    """A file that is held against itself always agrees."""
    if reference.exists() and fresh.exists() and reference.samefile(fresh):
        raise UserError(
            "This is the reference itself, and it cannot be held against itself.",
            where=f"--result {fresh}",
            fix=f"Make a fresh one with: {choice.command}, and name the result.json that it writes.",
        )

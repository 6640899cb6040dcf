"""`hyprepro run`: make a table, from the stores to the printed numbers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import arguments, completion, console
from hyprepro.cli.progress import RunProgress, duration, note_departure
from hyprepro.experiments.choice import Choice, choose, open_cache

if TYPE_CHECKING:
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.schedule import Event
    from hyprepro.experiments.run import Work
    from hyprepro.tracking.base import Writer

    Hear = Callable[[Event], None]

OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where the result goes.",
        show_default="runs/RECIPE/SCALE, or a folder of its own",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")]
TrackOption = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Send curves, configuration and table to tensorboard, wandb or trackio too.",
        show_default=False,
        autocompletion=completion.one_of("tensorboard", "wandb", "trackio"),
    ),
]


def run(
    recipe: arguments.RecipeArgument,
    scale: arguments.ScaleOption = None,
    variant: arguments.VariantOption = None,
    seeds: arguments.SeedsOption = None,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    dry_run: DryRunOption = False,
    out: OutOption = None,
    workers: arguments.WorkersOption = None,
    executor: arguments.ExecutorOption = "local",
    address: arguments.AddressOption = None,
    job: arguments.JobOption = None,
    cache: arguments.CacheOption = None,
    device: arguments.DeviceOption = None,
    track: TrackOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Train, deploy and evaluate what a recipe names, and print its table beside the paper's.

    Finished stages are kept and reused; a run that was interrupted goes on where it was.
    """
    chosen = arguments.choose_executor(executor, address, workers, device, job)
    choice = choose(recipe, scale, variant, seeds, bind, gin)
    folder = choice.folder(out)
    if dry_run:
        _dry_run(choice, folder, open_cache(cache), chosen.workers, json)
        return
    from hyprepro.experiments.run import run_recipe
    from hyprepro.reports.report import closing

    writer = _writer(track)
    store = open_cache(cache)
    if not json:
        note_departure(choice)
        announce(choice, store, chosen.workers)
    with RunProgress(quiet=json) as progress, _tracked(writer, choice, folder, store, progress) as hear:
        result = run_recipe(choice.recipe, folder, store, chosen, hear, choice.operative_config, choice.departure)
        if writer is not None:
            writer.table((folder / "table.md").read_text(encoding="utf-8"), result)
    if json:
        console.print_json(result)
        return
    console.line((folder / "table.md").read_text(encoding="utf-8").rstrip())
    console.note(f"Written to {folder}")
    for text in closing(result):  # a long table has scrolled away
        console.note(text)


def _writer(track: str | None) -> Writer | None:
    """Where the run is followed, if anywhere (`UserError` where that cannot be)."""
    if track is None:
        return None
    from hyprepro.tracking.base import writer_of

    return writer_of(track)


@contextmanager
def _tracked(
    writer: Writer | None, choice: Choice, folder: Path, cache: ArtifactCache, progress: Hear
) -> Iterator[Hear]:
    """What hears of a run's stages: the progress bars, and the writer."""
    if writer is None:
        yield progress
        return
    from hyprepro.experiments.run import plan
    from hyprepro.tracking.base import Page, following

    recipe = choice.recipe
    stages = [planned.stage for planned in plan(recipe, cache).stages]  # what cannot be run is refused before this
    name = "-".join([recipe.name, folder.name])
    command = " ".join([choice.command, "--out", shlex.quote(str(folder))])
    page = Page(name, folder, command, choice.operative_config, recipe.described())
    with following(writer, page, stages, cache) as tracking:

        def hear(event: Event) -> None:
            progress(event)
            tracking(event)

        yield hear


def _dry_run(choice: Choice, folder: Path, cache: Any, workers: int, json: bool) -> None:
    from hyprepro.experiments.run import plan

    planned = plan(choice.recipe, cache)
    if json:
        found = {"recipe": choice.recipe.described(), "folder": str(folder), **planned.described(workers)}
        console.print_json({**found, "shipped": choice.departure.to_json()})
        return
    note_departure(choice)
    rows = [("status", "time", "stage"), *((p.status, duration(p.seconds), p.stage.label) for p in planned.stages)]
    console.columns(rows, indent=0)
    console.line()
    for text in summary(planned, workers):
        console.line(text)
    console.line(f"The result would be written to {folder}")


def summary(work: Work, workers: int, cells: int = 0) -> list[str]:
    """What is to be done, in so many cells of a sweep, and how long it will take; for people."""
    to_do, stages = len(work.to_do), len(work.stages)
    count = f"{cells} cells of {stages} stages together: {to_do} to do" if cells else f"{to_do} stages to do"
    return [
        f"{count}, {stages - to_do} finished or not needed",
        f"About {duration(work.expected_seconds(workers))} on {workers} workers",
    ]


def announce(choice: Choice, cache: ArtifactCache, workers: int, say: Callable[[str], None] = console.note) -> None:
    """Say what a run is about to do, and how long it will take."""
    from hyprepro.experiments.run import plan

    for text in summary(plan(choice.recipe, cache), workers):
        say(text)

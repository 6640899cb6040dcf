"""`hyprepro collect`: train experts and write the policy and trajectory stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hyprepro.cli import arguments, completion, console
from hyprepro.cli.progress import RunProgress, duration
from hyprepro.experiments.choice import open_cache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyprepro.collect.collection import Collection, Estimate
    from hyprepro.engine.stage import Stage


CollectionArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A shipped collection (metaworld, cheetah-vel) or a gin file.",
        autocompletion=completion.shipped("collections"),
    ),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the two stores.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")]


def collect(
    name: CollectionArgument,
    bind: arguments.BindingsOption = None,
    gin: arguments.FilesOption = None,
    out: OutOption = Path("stores"),
    dry_run: DryRunOption = False,
    workers: arguments.WorkersOption = None,
    executor: arguments.ExecutorOption = "local",
    address: arguments.AddressOption = None,
    job: arguments.JobOption = None,
    device: arguments.DeviceOption = None,
    cache: arguments.CacheOption = None,
) -> None:
    """Train experts with SAC, select them, record episodes, and write NAME.policies.h5, NAME.trajectories.h5, NAME.md.

    Every finished step is kept; an interrupted collection goes on where it was. The stores appear whole or not at all.
    """
    from hyprepro.config import files
    from hyprepro.config.registry import resolve
    from hyprepro.engine.plan import missing
    from hyprepro.engine.schedule import execute
    from hyprepro.engine.stage import explaining

    chosen = arguments.choose_executor(executor, address, workers, device, job)
    path = files.named_file("collections", name)
    resolved = resolve(path, bindings=bind or (), files_=gin or (), slot="collection")
    collection = cast("Collection", resolved.recipe)
    stages, store = collection.stages(), open_cache(cache)
    todo = missing(stages, store)
    if dry_run:
        _show_plan(todo, collection.estimate(todo), max(chosen.workers, 1))
        return
    with RunProgress() as progress:
        execute(stages, store, chosen, progress)
    with explaining(out):
        written = collection.write(store, out, path.stem)
    for file in written:
        console.note(f"Written: {file}")


def _show_plan(todo: Sequence[Stage], needs: Estimate, workers: int) -> None:
    """What is to be done, how long it will take on so many workers, and what it will leave on the disk."""
    from hyprepro.engine.plan import longest_chain

    console.columns([("time", "stage"), *((duration(needs.seconds[s.key]), s.label) for s in todo)], indent=0)
    total = max(sum(needs.seconds.values()) / workers, longest_chain(todo, needs.seconds))
    console.line(f"{len(todo)} stages to do; about {duration(total)} with {workers} worker{'s' * (workers > 1)}")
    if needs.working is not None and needs.stored is not None:
        held = f", at most {_together(needs.held, workers)} more while it is made" if needs.held else ""
        console.line(f"disk: about {needs.working / 1e6:.0f} MB of cache{held}, {needs.stored / 1e6:.1f} MB of stores")
    if needs.memory:
        mapped = _together(needs.mapped, workers)
        console.line(f"memory: at most {_together(needs.memory, workers)}, of which {mapped} are mapped files")


def _together(sizes: Mapping[str, int], workers: int) -> str:
    """What the largest stages take that may be made at once."""
    return f"{sum(sorted(sizes.values())[-workers:]) / 1e6:.0f} MB"

"""`hyprepro collect`: train experts and write the policy and trajectory stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import (
    AddressOption,
    BindingsOption,
    CacheOption,
    DeviceOption,
    ExecutorOption,
    FilesOption,
    WorkersOption,
)
from hyprepro.cli.progress import RunProgress, duration
from hyprepro.cli.recipes import choose_executor, open_cache, use_device

if TYPE_CHECKING:
    from hyprepro.collectors.collection import Collection


def _collections() -> list[str]:
    from hyprepro.config import files

    return list(files.shipped("collections"))


CollectionArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A shipped collection (metaworld) or a gin file.", autocompletion=_collections),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the two stores.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")]


def collect(
    name: CollectionArgument,
    bind: BindingsOption = None,
    gin: FilesOption = None,
    out: OutOption = Path("stores"),
    dry_run: DryRunOption = False,
    workers: WorkersOption = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    device: DeviceOption = None,
    cache: CacheOption = None,
) -> None:
    """Train experts with SAC, select them, record prompts, and write NAME.policies.h5, NAME.trajectories.h5, NAME.md.

    Every finished step is kept; an interrupted collection goes on where it was. The stores appear whole or not at all.
    """
    from hyprepro.artifacts import explain_os_error
    from hyprepro.collectors.collect import stages_of, write_stores
    from hyprepro.config import files
    from hyprepro.execution import execute, missing
    from hyprepro.registry import resolve

    use_device(device)
    chosen = choose_executor(executor, address, workers)
    path = files.named_file("collections", name)
    collection = cast("Collection", resolve(path, bindings=bind or (), files_=gin or (), root="Collection").recipe)
    stages, store = stages_of(collection), open_cache(cache)
    todo = missing(stages, store)
    if dry_run:
        console.columns([("time", "stage"), *((duration(s.cost), s.label) for s in todo)], indent=0)
        console.line(f"{len(todo)} stages to do; about {duration(sum(s.cost for s in todo) / max(chosen.workers, 1))}")
        return
    with RunProgress() as progress:
        execute(stages, store, chosen, progress)
    try:
        written = write_stores(collection, store, out, path.stem)
    except OSError as error:
        raise explain_os_error(error, out) or error from error
    for file in written:
        console.note(f"Written: {file}")

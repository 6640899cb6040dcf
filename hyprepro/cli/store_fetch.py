"""`hyprepro store fetch`: the bundled stores for a package that was installed without the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyprepro.cli import completion, console
from hyprepro.cli.arguments import JsonOption


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="metaworld, metaworld-independent, cheetah-vel.", autocompletion=completion.bundled
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="URL or folder of the files.",
            show_default="HYPREPRO_STORES, or the release's",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")] = Path("stores"),
    json: JsonOption = False,
) -> None:
    """Bring bundled stores to where recipes look for them, each file held against the digest that this version pins.

    Files that are there already stay; an interrupted download goes on within the file.
    """
    from hyprepro.hub.fetch import fetch as bring
    from hyprepro.hub.fetch import files_of

    for name in names:
        files_of(name)
    found = {path: is_new for name in names for path, is_new in bring(name, out, source).items()}
    if json:
        console.print_json({"files": {str(path): is_new for path, is_new in found.items()}})
        return
    for path, is_new in found.items():
        console.line(str(path))
        console.note(f"{path.name}: {'fetched' if is_new else 'was there'}, {path.stat().st_size / 1e6:.1f} MB")

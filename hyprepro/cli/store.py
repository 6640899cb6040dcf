"""`hyprepro store`: look into a policy or trajectory store, or check every byte of it."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from hyprepro.cli import console, exchange
from hyprepro.cli.arguments import JsonOption
from hyprepro.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Look into a store, verify it, bring in or hand on policies and episodes.")

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A policy store or a trajectory store (HDF5).")]


@app.command()
def info(path: PathArgument, json: JsonOption = False) -> None:
    """Show what a store holds and how it was made."""
    from hyprepro.stores.info import store_info

    found = store_info(path)
    if json:
        console.print_json(found)
        return
    tasks: dict[str, dict[str, Any]] = found.pop("tasks")
    console.columns([(name, _shown(value)) for name, value in found.items() if name != "layout"], indent=0)
    for task, content in tasks.items():
        console.line()
        console.line(task, style="bold")
        console.columns([(name, _shown(value)) for name, value in content.items()])


@app.command()
def verify(path: PathArgument, json: JsonOption = False) -> None:
    """Read a whole store: every weight finite, the recorded digest right. Exit code 2 if not."""
    from hyprepro.stores.info import open_any

    with open_any(path) as store:
        problems = store.verify()
        digest = store.digest
    if json:
        console.print_json({"path": str(path), "digest": digest, "problems": problems})
    if problems:
        raise UserError(
            f"The store is damaged: {problems[0]}.",
            where="\n".join([str(path), *problems[1:6]]),
            fix="Fetch it again (git checkout restores a bundled store), or collect it anew with: hyprepro collect",
        )
    if not json:
        console.line(f"{path}: sound, digest {digest}")


exchange.register(app)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value)

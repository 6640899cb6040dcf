"""`hyprepro push / pull`: stores, results and trained generators on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyprepro.cli import arguments, console

if TYPE_CHECKING:
    from hyprepro.hub.parcel import Parcel

ToOption = Annotated[
    str, typer.Option("--to", metavar="USER/NAME", help="The repository on the Hub; it is made where it is missing.")
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="Also the trained networks of this row, or of all rows by 'all'. May be repeated.",
        show_default="the result alone",
    ),
]


def push(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A result's folder, a recipe (its committed result), or stores by file or name."
        ),
    ],
    to: ToOption,
    method: MethodOption = None,
    cache: arguments.CacheOption = None,
    licence: Annotated[
        str, typer.Option("--licence", metavar="NAME", help="Under which it is published, as the Hub names it.")
    ] = "mit",
    private: Annotated[bool, typer.Option("--private", help="A new repository is yours alone to see.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the card and the files, and send nothing.")] = False,
    json: arguments.JsonOption = False,
) -> None:
    """Publish stores, a result, or the trained generators behind one on the Hugging Face Hub, with a card.

    The card is written from the files: what it is, zoo, protocol, numbers with intervals, the commands that bring and
    repeat them. Sent are HDF5, safetensors and text, by one commit. Takes a token: hf auth login, or HF_TOKEN.
    """
    from hyprepro.hub import client
    from hyprepro.hub.card import card
    from hyprepro.hub.transfer import push as send

    client.named(to, "--to")
    client.api("hyprepro push")
    if not dry_run:
        client.require_token()
    parcel = _parcel(source, method or [], cache)
    for doubt in parcel.doubts:
        console.note(doubt)
    if dry_run:
        sizes = {name: entry.size for name, entry in parcel.manifest(licence).files.items()}
        if json:
            console.print_json({"card": card(parcel, to, licence), "files": sizes, "kind": parcel.kind})
            return
        console.line(card(parcel, to, licence))
        console.note(f"{len(sizes)} files of {sum(sizes.values()) / 1e6:.1f} MB would be sent to {to}")
        return
    sent = send(parcel, to, licence, private)
    if json:
        console.print_json({"place": str(sent.place), "digest": sent.digest, "kind": parcel.kind})
        return
    console.line(f"hyprepro pull {sent.place} --digest {sent.digest}")
    console.note(f"Published: {parcel.kind} {parcel.name}, {len(parcel.files)} files")


def pull(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME", help="USER/NAME or datasets/USER/NAME on the Hub, with @REVISION to pin it."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The new folder.", show_default="NAME in the working folder"),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest", metavar="SHA256", help="What the repository's hyprepro.json must be.", show_default=False
        ),
    ] = None,
    json: arguments.JsonOption = False,
) -> None:
    """Bring what hyprepro push published on the Hugging Face Hub, every file held against its digest.

    Only HDF5, safetensors and text are taken. An interrupted download goes on with the files that are still missing.
    """
    from hyprepro.hub.transfer import pull as bring

    taken = bring(source, out, digest)
    if json:
        described = {"place": str(taken.place), "digest": taken.manifest.digest, "kind": taken.manifest.kind}
        console.print_json({**described, "folder": str(taken.folder), "files": sorted(taken.manifest.files)})
        return
    console.line(str(taken.folder))
    console.note(
        f"{taken.manifest.kind} {taken.manifest.name}: {len(taken.manifest.files)} files, all as their digests say"
    )
    console.note(f"This very revision again: hyprepro pull {taken.place} --digest {taken.manifest.digest}")


def _parcel(source: str, methods: list[str], cache: Path | None) -> Parcel:
    """What an argument names."""
    from hyprepro.errors import UserError
    from hyprepro.experiments.choice import choose, committed_result
    from hyprepro.hub.parcel import is_store, result_parcel, store_parcel

    if is_store(source):
        if methods:
            raise UserError("Stores have no rows.", where=f"--method {methods[0]}", fix="leave out --method")
        return store_parcel(Path(source))
    path = arguments.result_file(source) or committed_result(choose(source))
    return result_parcel(path, methods, cache)

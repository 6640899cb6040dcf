"""Sending a parcel with its card, and taking one: every file held against its digest before any of it appears."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hyprepro.engine.stage import explaining, make_folder
from hyprepro.errors import UserError
from hyprepro.hub import client
from hyprepro.hub.card import card
from hyprepro.hub.manifest import FILE, STORE, Manifest, read_manifest
from hyprepro.hub.parcel import CARD, Parcel, refuse_unfounded
from hyprepro.reports.reading import RESULT, read_result
from hyprepro.stores.bundled import Pinned
from hyprepro.stores.exchange.foreign import refuse_existing


@dataclass(frozen=True)
class Sent:
    """What was published, and where.

    Attributes:
        place: The repository at its new commit.
        digest: What `pull --digest` takes.
    """

    place: client.Place
    digest: str


@dataclass(frozen=True)
class Taken:
    """What has arrived.

    Attributes:
        place: The repository at the commit that it was taken from.
        manifest: What it holds.
        folder: Where it lies now.
    """

    place: client.Place
    manifest: Manifest
    folder: Path


def push(parcel: Parcel, name: str, licence: str = "mit", private: bool = False) -> Sent:
    """Publish a parcel with its card in one commit.

    Args:
        parcel: What to publish.
        name: "USER/NAME".
        licence: Its identifier, as the Hub has it.
        private: A new repository is seen by its owner alone.

    Raises:
        UserError: No token, or the Hub refuses or cannot be reached; nothing is then to be seen there.
    """
    manifest = parcel.manifest(licence)
    files: dict[str, Path | bytes] = {
        CARD: card(parcel, name, licence).encode(),
        FILE: manifest.content,
        **parcel.files,
    }
    place = client.send(name, parcel.repository, files, f"hyprepro push: {parcel.kind} {parcel.name}", private)
    return Sent(place, manifest.digest)


def pull(source: str, out: Path | None = None, digest: str | None = None) -> Taken:
    """Bring a published parcel into a new folder, which appears once every file of it is as it should be.

    Args:
        source: `[datasets/]USER/NAME[@REVISION]`; the commit that it means now is what is taken.
        out: The new folder; None: NAME in the working folder.
        digest: Of its `hyprepro.json`, to be held against; at least eight digits. None: taken as it is.

    Raises:
        UserError: It is not there, of another schema, not what its digests say, or the connection broke; nothing is
            then left in the folder, and what has arrived stays in the Hub's own cache.
    """
    out = out or Path(client.named(source)[1].rpartition("/")[2])
    refuse_existing(out)
    _refuse_odd(digest)
    place = client.locate(source)
    manifest = _manifest(place, digest)
    staging = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with explaining(out):
            make_folder(staging)
            for name, entry in manifest.files.items():
                target = staging / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(_brought(place, name, entry), target)
            (staging / FILE).write_bytes(manifest.content)
            _refuse_unsound(manifest, staging)
            os.replace(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Taken(place, manifest, out)


def _refuse_odd(digest: str | None) -> None:
    if digest is not None and not (8 <= len(digest) <= 64 and set(digest) <= set("0123456789abcdef")):
        raise UserError(
            "This is no digest.", where=f"--digest {digest}", fix="copy it from the card: 64 hexadecimal digits"
        )


def _manifest(place: client.Place, digest: str | None) -> Manifest:
    """What a repository holds, held against the digest that was named; one in the cache may be damaged."""
    for anew in (False, True):
        manifest = read_manifest(client.bring(place, FILE, anew).read_bytes(), f"{place}: {FILE}")
        if digest is None or manifest.digest.startswith(digest):
            return manifest
    raise UserError(
        "What lies there is not what was named: the digest does not match.",
        where=f"{place}: {FILE}\n{manifest.digest}, not {digest}",
        fix="name the revision that the digest belongs to, USER/NAME@REVISION, or ask its owner",
    )


def _brought(place: client.Place, name: str, entry: Pinned) -> Path:
    """A file of a repository that is as the manifest says; one in the cache may be damaged."""
    for anew in (False, True):
        path = client.bring(place, name, anew)
        found = Pinned.of(path)
        if found == entry:
            return path
    raise UserError(
        "A file is not what the repository says of it: the digest does not match.",
        where=f"{place}: {name}\n{found.sha256} ({found.size:,} bytes), not {entry.sha256} ({entry.size:,} bytes)",
        fix="take another revision, or ask its owner to publish it again",
    )


def _refuse_unsound(manifest: Manifest, folder: Path) -> None:
    """Refuse stores that cannot be opened, and a result whose numbers are not those of its records (`UserError`)."""
    if manifest.kind != STORE:
        refuse_unfounded(folder / RESULT, read_result(folder / RESULT))
        return
    from hyprepro.stores.info import open_any

    for name in manifest.files:
        if name.endswith(".h5"):
            open_any(folder / name).close()

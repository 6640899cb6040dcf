"""Bringing the bundled stores to an installed package: from a URL or a folder, resumed, each held against its digest.

The transfer is `huggingface_hub`'s: it goes on within a file, tries again where a connection breaks, and shows how far
it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hyprepro.engine.cache import lock
from hyprepro.engine.stage import explaining, make_folder
from hyprepro.errors import UserError, refuse_unknown
from hyprepro.hub import client
from hyprepro.stores.bundled import SOURCE_VARIABLE, Pinned, bundled, source_of_stores

_NAME_ONE = f"say --from URL or --from FOLDER, or export {SOURCE_VARIABLE}; a checkout's folder stores/ is one"


def files_of(name: str) -> Mapping[str, Pinned]:
    """The files of a bundled store.

    Raises:
        UserError: There is no such store, with the closest name.
    """
    stores = bundled().stores
    refuse_unknown(name, stores, f"There is no bundled store named {name!r}.", f"hyprepro store fetch {name}")
    return stores[name]


def fetch(name: str, folder: Path, source: str | None = None) -> dict[Path, bool]:
    """Bring the files of a bundled store into a folder; those that are there already stay.

    Args:
        name: The store.
        folder: Where they go.
        source: The URL or folder that they lie in; None: as the environment or this release says.

    Returns:
        The files, and whether each has been brought now.

    Raises:
        UserError: No such store or source, a file that is not what it must be, or a connection that broke; what had
            arrived of a file is then kept beside it, under a hidden name, for the same command to go on.
    """
    files = files_of(name)
    place = source_of_stores(source)
    missing = {file: pinned for file, pinned in files.items() if not _is_there(folder / file, pinned)}
    if missing and not place:
        raise UserError("This release does not say where its stores lie.", where=f"store {name}", fix=_NAME_ONE)
    with explaining(folder):
        if missing:
            make_folder(folder)
        for file, pinned in missing.items():
            _bring(place, file, pinned, folder / file)
    return {folder / file: file in missing for file in files}


def _is_there(path: Path, pinned: Pinned) -> bool:
    """Whether a file is there as it must be.

    Raises:
        UserError: There is another one of its name.
    """
    if not path.exists():
        return False
    if path.is_file() and Pinned.of(path) == pinned:
        return True
    raise UserError(
        "Something else has the name of a bundled store.",
        where=str(path),
        fix="move it away, or name another folder: --out DIR, which recipes are told by a binding",
    )


def _bring(place: str, file: str, pinned: Pinned, target: Path) -> None:
    """Bring one file; it appears under its name once it is as it must be."""
    part = target.with_name(f".{file}.{pinned.sha256[:16]}.part")
    with part.open("ab") as sink:
        try:
            lock(sink, part, "name a folder on a local disk: --out DIR")
        except BlockingIOError:
            raise UserError(
                "Another process is fetching this store.", where=str(target), fix="wait for it to finish"
            ) from None
        with _kept_if_begun(part):
            begun = sink.tell()
            _transfer(place, file, pinned, sink)
            if begun and Pinned.of(part) != pinned:  # what an earlier attempt left may have been of another source
                _empty(sink)
                _transfer(place, file, pinned, sink)
            found = Pinned.of(part)
            if found == pinned:
                os.replace(part, target)  # still under the lock
                return
            part.unlink()
    raise UserError(
        "A store is not the one of this release: the digest does not match.",
        where=f"{place}: {file}\n{found.sha256} ({found.size:,} bytes), not {pinned.sha256} ({pinned.size:,} bytes)",
        fix=f"name another source, or install the version that these stores belong to. {_NAME_ONE}",
    )


@contextmanager
def _kept_if_begun(part: Path) -> Iterator[None]:
    """Leave a part of a file for the next attempt, unless there is nothing in it."""
    try:
        yield
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def _transfer(place: str, file: str, pinned: Pinned, sink: BinaryIO) -> None:
    """Append what is missing of a file."""
    if not place.startswith(("http://", "https://")):
        _copy(Path(place).expanduser() / file, sink)
        return
    client.api("hyprepro store fetch")
    from huggingface_hub.file_download import http_get

    url, have = f"{place.rstrip('/')}/{file}", sink.tell()
    if have > pinned.size:
        _empty(sink)
        have = 0
    with client.reaching(url, who="The server"):
        try:
            http_get(url, sink, resume_size=have, expected_size=pinned.size, displayed_filename=file)
        finally:
            sink.flush()


def _copy(path: Path, sink: BinaryIO) -> None:
    if not path.is_file():
        raise UserError("The store does not lie in this folder.", where=str(path), fix=_NAME_ONE)
    _empty(sink)
    with path.open("rb") as file:
        shutil.copyfileobj(file, sink)
    sink.flush()


def _empty(sink: BinaryIO) -> None:
    sink.seek(0)
    sink.truncate()

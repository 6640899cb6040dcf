"""The stores that belong to a release and are too large for the wheel: their files, each with its size and SHA-256.

`bundled.json` names them, and `source`, the URL or folder where they lie; `hyprepro store fetch` brings them. A test
holds it against the repository's `stores/`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hyprepro.engine.cache import file_digest

SOURCE_VARIABLE = "HYPREPRO_STORES"
FOLDER = Path("stores")
"""Where recipes look for them, from the working folder."""


class Pinned(NamedTuple):
    """What a file must be.

    Attributes:
        sha256: Of its bytes.
        size: Their number.
    """

    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Pinned:
        """A file as it lies on the disk."""
        return cls(file_digest(path), path.stat().st_size)


class Bundled(NamedTuple):
    """The bundled stores.

    Attributes:
        source: The URL or the folder that they are fetched from; empty where this release names none.
        stores: By name the files of each.
    """

    source: str
    stores: Mapping[str, Mapping[str, Pinned]]


@cache
def bundled() -> Bundled:
    """What this version of the package pins."""
    data = json.loads(Path(__file__).with_name("bundled.json").read_text(encoding="utf-8"))
    stores = {
        name: {file: Pinned(entry["sha256"], entry["bytes"]) for file, entry in files.items()}
        for name, files in data["stores"].items()
    }
    return Bundled(data["source"], stores)


def source_of_stores(named: str | None) -> str:
    """Where bundled stores come from: as named, else as the environment says, else this release's; empty: nowhere."""
    return named or os.environ.get(SOURCE_VARIABLE, "") or bundled().source

"""`python -m tests.campaign.toy_program FOLDER`: a chain of stages by two workers, and a result written beside them."""

from __future__ import annotations

import sys
from pathlib import Path

from hyprepro.cli import console
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import execute
from hyprepro.engine.stage import write_atomically
from hyprepro.errors import UserError
from tests.engine.toy_stages import Chain, Join


def main(folder: Path) -> None:
    parts = tuple(Chain(name=name, steps=40, every=5, pause=0.01) for name in "ab")
    cache = ArtifactCache(folder / "cache")
    last = Join(parts=parts)
    execute([last], cache, 2)
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "result.txt", last.load(cache.path_of(last)).encode())


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except UserError as error:
        console.show_user_error(error)
        sys.exit(2)

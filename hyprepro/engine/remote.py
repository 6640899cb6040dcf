"""What a machine other than the command's does with a stage that it is given, whichever way the stage came to it.

What all such machines need:

- the same environment: a stage's key is compared with the one that the machine's own code and libraries give, and
  nothing is computed under a foreign key. A module of the user's own, which lies beside a recipe, is found where the
  command found it: its folder must be there under the same path;
- the cache, and the stores, under the same path, on a shared file system whose `flock` holds between machines and
  whose renames are atomic (NFS version 4, CephFS, Lustre with `-o flock`). A machine looks for a file that the command
  wrote, and refuses to compute where it is missing.

When a machine dies, its stages are given to others, which go on from the last checkpoint. On one machine the kernel
frees a dead process's lock at once. The lock of a machine that died is freed by the file server when its lease ends
(NFS: about 90 seconds); until then the stage's next attempt waits. A machine that is given up but still computes keeps
its lock, so nothing is written twice.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import Outcome, attempt, give_memory_back
from hyprepro.engine.stage import MANIFEST, Stage
from hyprepro.errors import UserError

ATTEMPTS = 4
"""How often a stage is begun whose process or machine dies."""
VISIBLE_SECONDS = 60.0


@dataclass(frozen=True)
class Order:
    """A stage for another machine, and where the command is.

    Attributes:
        pickled: The stage.
        root: The cache's folder.
        token: A file in it that the command wrote.
        folder: The command's, for relative paths of stores.
        path: Where the command finds modules; those of the user's are found there elsewhere, too.
        executor: The command's `--executor`, which is also the name of the extra that it takes.
    """

    pickled: bytes
    root: str
    token: str
    folder: str
    path: list[str]
    executor: str

    @classmethod
    def of(cls, stage: Stage, token: Path, root: Path, executor: str) -> Order:
        """The order for a stage, from here."""
        return cls(pickle.dumps(stage), str(root), str(token), os.getcwd(), sys.path, executor)


def serve(order: Order) -> Outcome:
    """Make one stage, here."""
    with suppress(OSError):
        os.chdir(order.folder)
    sys.path += [place for place in order.path if place not in sys.path]
    cache, host = ArtifactCache(order.root), socket.gethostname()
    try:
        stage: Stage = pickle.loads(order.pickled)
    except ModuleNotFoundError as error:
        fix = "keep your own modules in a folder that all machines share under the same path, or install them on each"
        return "user", UserError(f"{host} has no module {error.name!r}.", where=f"--executor {order.executor}", fix=fix)
    if dataclasses.replace(stage).key != stage.key:
        what = f"{host} has other versions of hyprepro's code or of a library than the machine of the command."
        return "user", UserError(what, where=stage.label, fix=same_everywhere(order.executor))
    inputs = [cache.path_of(source) / MANIFEST for source in stage.inputs.values()]
    if not Path(order.token).exists() or not all(becomes_visible(path) for path in inputs):
        return "user", not_shared(cache.root, host)
    outcome = attempt(stage, cache, lambda: None)
    give_memory_back()
    return outcome


def require_artifact(stage: Stage, cache: ArtifactCache) -> None:
    """Fail if what another machine has finished does not appear here (`UserError`)."""
    if not becomes_visible(cache.path_of(stage) / MANIFEST):
        raise not_shared(cache.root, socket.gethostname())


def becomes_visible(path: Path) -> bool:
    """Whether a file that another machine has written is there; network file systems may show it late."""
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def not_shared(root: Path, host: str) -> UserError:
    """That a machine does not see the others' files."""
    return UserError(
        f"{host} does not see what the other machines write into the cache.",
        where=str(root),
        fix="name a folder that all machines share under the same path by --cache",
    )


def same_everywhere(executor: str) -> str:
    """What to do where machines differ."""
    return f"install the same versions on every machine: pip install 'hyprepro[{executor}]' -c constraints.txt"


def gave_up(stage: Stage, why: str) -> UserError:
    """That a stage's process ended as often as it was begun."""
    return UserError(
        f"The process that was computing {stage.label} ended, {ATTEMPTS} times.",
        where=why,
        fix="if memory ran out, use fewer workers or a smaller scale; the same command goes on from here",
    )

"""Finished artifacts by the key of their stage, and the locks under which processes make them.

The kernel releases a lock when its holder dies; a cache on a file system that has none is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hyprepro.component import fingerprint
from hyprepro.engine.stage import MANIFEST, METRICS, Report, Stage, folder_in_use, library_versions, write_atomically
from hyprepro.errors import UserError


class ArtifactCache:
    """The folder of all artifacts. Safe for several runs at once: whoever makes an artifact holds its lock.

    Args:
        root: The cache folder; created when first written to.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._verified: dict[tuple[str, int, int], str] = {}

    def name_of(self, stage: Stage) -> str:
        """The folder name of a stage's artifact."""
        return f"{stage.kind}-{stage.key[:16]}"

    def path_of(self, stage: Stage) -> Path:
        """The folder of a stage's finished artifact, whether it exists yet or not."""
        return self.root / self.name_of(stage)

    def work_of(self, stage: Stage) -> Path:
        """The folder in which a stage's artifact is made."""
        return self.root / f"{self.name_of(stage)}.partial"

    def is_finished(self, stage: Stage) -> bool:
        """Whether the artifact exists, belongs to this very stage, and all its files match their SHA-256."""
        return self._is_intact(self.path_of(stage), stage)

    def manifest(self, stage: Stage) -> dict[str, Any]:
        """The manifest of a finished artifact: kind, version, key, settings, inputs, files, digest, times, cost."""
        data: dict[str, Any] = json.loads((self.path_of(stage) / MANIFEST).read_text(encoding="utf-8"))
        return data

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the lock `name`; wait for another process that holds it, after calling `on_wait` once.

        The kernel releases the lock when its holder dies, so a killed run blocks nobody.

        Raises:
            UserError: The cache lies on a file system without locks.
        """
        path = self.root / "locks" / name
        fix = "keep finished stages on a local disk: --cache DIR, or export HYPREPRO_CACHE=DIR"
        with folder_in_use(path.parent), path.open("w") as file:
            try:
                try:
                    lock(file, path, fix)
                except BlockingIOError:
                    on_wait()
                    lock(file, path, fix, wait=True)
            except UserError:
                path.unlink()  # where there are no locks, nobody else has it
                raise
            yield

    def make(self, stage: Stage, on_wait: Callable[[], None] = lambda: None) -> Path:
        """The stage's finished artifact: found, continued from a checkpoint, or made from the start.

        Its inputs must be finished. Raises whatever the stage raises; the artifact then does not exist.
        """
        path, work = self.path_of(stage), self.work_of(stage)
        with self.lock(self.name_of(stage), on_wait):
            if self.is_finished(stage):  # another run made it while this one waited
                return path
            if not self._is_intact(work, stage):  # else killed between its last write and the rename
                work.mkdir(parents=True, exist_ok=True)
                _keep_only_checkpoints(work)
                started, busy = time.perf_counter(), time.process_time()
                inputs = {name: self.path_of(source) for name, source in stage.inputs.items()}
                stage.run(work, inputs, Report(work / METRICS))
                self._write_manifest(stage, work, time.perf_counter() - started, time.process_time() - busy)
            for checkpoint in work.glob("checkpoint*"):
                checkpoint.unlink()
            if path.exists():  # damaged: fails its SHA-256
                shutil.rmtree(path)
            os.replace(work, path)
        return path

    def _write_manifest(self, stage: Stage, work: Path, seconds: float, processor_seconds: float) -> None:
        files = {str(p.relative_to(work)): file_digest(p) for p in sorted(work.rglob("*")) if _is_result(p, work)}
        manifest = {
            "kind": stage.kind,
            "version": stage.version,
            "key": stage.key,
            "label": stage.label,
            "settings": stage.settings,
            "inputs": {name: source.key for name, source in stage.inputs.items()},
            "libraries": library_versions(),
            "files": files,
            "digest": fingerprint({name: value for name, value in files.items() if name != METRICS}),
            "seconds": round(seconds, 3),
            "processor_seconds": round(processor_seconds, 3),  # what other load on the machine does not change
            "cost": stage.cost,
        }
        write_atomically(work / MANIFEST, json.dumps(manifest, indent=1).encode())

    def _is_intact(self, folder: Path, stage: Stage) -> bool:
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files: Mapping[str, str] = manifest["files"]
            return manifest["key"] == stage.key and all(
                _lies_in(folder, name) and self._sha256(folder / name) == digest for name, digest in files.items()
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # a manifest of somebody else's
            return False

    def _sha256(self, path: Path) -> str:
        """SHA-256 of a file, computed once in this process for each state of the file."""
        stat = path.stat()
        state = (str(path), stat.st_size, stat.st_mtime_ns)
        if state not in self._verified:
            self._verified[state] = file_digest(path)
        return self._verified[state]


def _lies_in(folder: Path, name: str) -> bool:
    """Whether a name of a manifest is that of a plain file in its folder: a cache may be somebody else's."""
    path = folder / name
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def _is_result(path: Path, work: Path) -> bool:
    name = path.relative_to(work).parts[0]
    return path.is_file() and not name.startswith("checkpoint") and name != MANIFEST


def _keep_only_checkpoints(work: Path) -> None:
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("checkpoint") and path.name != METRICS:
            path.unlink()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(file: IO[Any], path: Path, fix: str, wait: bool = False) -> None:
    """Lock an open file for this process alone, until it is closed.

    Args:
        file: The open file.
        path: Its path, for the message.
        fix: What to do where there are no locks: which other folder to name, and how.
        wait: Wait for another process that holds the lock.

    Raises:
        BlockingIOError: Another process holds the lock; not with `wait`.
        UserError: The file system has no locks, as some network, cluster and user-space ones.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if isinstance(error, BlockingIOError) and not wait:
            raise
        raise UserError(
            f"The file system gives no lock: {error.strerror}.",
            where=f"{path} (two processes that write the same file are kept apart by flock)",
            fix=fix,
        ) from None

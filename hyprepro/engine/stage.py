"""Stages and their artifacts: what is computed once, stored under its content's key, and never half-written.

A *stage* is a frozen description of one piece of work (train the autoencoder with these settings on this store).
Its *key* is a hash of everything that can change its result: kind, version, settings, the keys of the stages it reads,
the digests of the stores it reads, the code behind it (see `source`), the versions of the libraries that compute it,
and the device. Its *artifact* is the folder of files that it writes.

    cache/autoencoder-0f3a.../         a finished artifact: its files and manifest.json
    cache/hyplatent-77b1....partial/   one in the making, or whose run died: checkpoint files and metrics.jsonl stay
    cache/locks/hyplatent-77b1...      held (flock) by the process that makes it

An artifact comes into being by one rename, so a reader sees all of it or nothing, and a run that was killed leaves at
most a `.partial` folder from which the same stage goes on. `execution.execute` runs the stages.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import glob
import importlib.metadata
import json
import math
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

from hyprepro.component import Component, fingerprint
from hyprepro.engine.source import source_digest
from hyprepro.errors import UserError

LIBRARIES = ("hyprepro", "torch", "numpy", "metaworld", "mujoco", "gymnasium")
"""Part of every key: another version of one of these may compute another result."""

DEVICE_VARIABLE = "HYPREPRO_DEVICE"
MANIFEST = "manifest.json"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class StoreFile:
    """An input file from outside the cache. It counts by its content's digest, so it may be moved.

    Attributes:
        path: Where it lies.
        digest: SHA-256 of its content.
        withheld: Tasks whose training policies are to be left alone, as if they were unseen.
        splits: The splits that are read; empty: all of the file.
        tasks: Of these tasks.
        kept: By task the rows of the training policies that are shown, and with them their episodes for training; all
            of a task that is not named.
    """

    path: str
    digest: str
    withheld: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kept: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def described(self) -> dict[str, Any]:
        """What counts in a key."""
        withheld = {"withheld": list(self.withheld)} if self.withheld else {}
        kept = {"kept": {task: list(rows) for task, rows in self.kept}} if self.kept else {}
        return {"store": self.digest, **withheld, **kept}


@dataclass(frozen=True)
class Stage(ABC):
    """One piece of work. Subclasses are frozen dataclasses.

    Fields that hold a Stage (or a tuple of Stages) are the inputs; all other fields are settings: a Component, a
    StoreFile or another dataclass that says by `described` what of it counts, None, bool, int, float, str, or tuples of
    these. `version` is raised when the same settings and code give
    another result, for instance because a data file of the package changed.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    uses_torch: ClassVar[bool] = True
    """Whether a worker must put torch into deterministic, single-threaded mode first."""

    @abstractmethod
    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write the result's files into `work`.

        Called in a fresh or once interrupted `work` folder: files named `checkpoint*` (and the metrics) are as the
        interrupted run left them, all others are gone. From a checkpoint the stage must reach the bit-identical result.

        Args:
            work: The folder to write to.
            inputs: The finished folder of every input stage by field name (`name.0`, `name.1` for a tuple of stages).
            report: Takes progress and metrics.
        """

    @abstractmethod
    def load(self, path: Path) -> Any:
        """The usable object from this stage's finished folder `path`."""

    @property
    def label(self) -> str:
        """A few words for people: what this stage makes."""
        return self.kind

    @property
    def cost(self) -> float:
        """About how many seconds on one core; the order of the work depends on it, and the plan's estimate.

        It must grow with the settings as the work does; `calibration` corrects it by what stages really took.
        """
        return 1.0

    @property
    def affinity(self) -> str:
        """Stages of equal affinity prefer the same worker (evaluations of one task share its environments)."""
        return ""

    @property
    def preparation(self) -> str:
        """What the process of this stage computes first and keeps for the next one: stages of one run in a row.

        Empty where there is nothing of that kind. Fitting policies to a task's prompts takes longer than running them
        under one protocol, and other protocols run the same policies.
        """
        return ""

    @cached_property
    def inputs(self) -> dict[str, Stage]:
        """The stages that this one reads, by field name."""
        found: dict[str, Stage] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Stage):
                found[field.name] = value
            elif isinstance(value, tuple):
                found |= {f"{field.name}.{i}": item for i, item in enumerate(value) if _is_input(value)}
        return found

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All fields that are no stages, as JSON-ready data."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _described(value, name) for name, value in values.items() if not _is_input(value)}

    @cached_property
    def key(self) -> str:
        """SHA-256 over all that can change the result, as 64 hexadecimal digits."""
        inputs = {name: stage.key for name, stage in self.inputs.items()}
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]
        code = source_digest({type(self).__module__}.union(*map(_modules_of, values)))
        return fingerprint([self.kind, self.version, self.settings, inputs, code, library_versions(), device()])


def _is_input(value: Any) -> bool:
    return isinstance(value, Stage) or (
        isinstance(value, tuple) and bool(value) and all(isinstance(item, Stage) for item in value)
    )


class _Facts(NamedTuple):
    """What keys take from a setting that is more than a plain value.

    Attributes:
        value: The setting; it is kept, so that no other one gets its identity.
        described: What it is.
        modules: The modules that define it and what it contains.
    """

    value: Any
    described: Any
    modules: frozenset[str]


_FACTS: dict[int, _Facts] = {}
_MOST_FACTS = 1000


def _facts(value: Any) -> _Facts:
    """Found once for each setting: stages share theirs, and settings are frozen."""
    facts = _FACTS.get(id(value))
    if facts is None:
        facts = _Facts(value, value.described(), frozenset(_modules([value])))
        if len(_FACTS) >= _MOST_FACTS:
            _FACTS.clear()
        _FACTS[id(value)] = facts
    return facts


def _modules_of(value: Any) -> frozenset[str]:
    """The modules that define a setting and what it contains."""
    return _facts(value).modules if hasattr(value, "described") else frozenset(_modules([value]))


def _modules(values: Iterable[Any]) -> Iterator[str]:
    """The modules that define the components among some settings."""
    for value in values:
        if isinstance(value, Component):
            yield type(value).__module__
            yield from _modules(getattr(value, name) for name in type(value).model_fields)
        elif isinstance(value, tuple | list):
            yield from _modules(value)
        elif isinstance(value, dict):
            yield from _modules(value.values())
        elif dataclasses.is_dataclass(value) and not isinstance(value, Stage):
            yield from _modules(getattr(value, field.name) for field in dataclasses.fields(value))


def _described(value: Any, name: str) -> Any:
    if hasattr(value, "described"):
        return _facts(value).described
    if isinstance(value, tuple):
        return [_described(item, name) for item in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise TypeError(f"the stage field {name} holds {value!r}: neither a setting nor a stage")


@cache
def library_versions() -> dict[str, str]:
    """The installed versions of `LIBRARIES`, without importing them and without build suffixes such as +cpu."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in LIBRARIES}


def device() -> str:
    """Where stages compute, "cpu" or "cuda": `HYPREPRO_DEVICE`. Part of every key: sums differ in their last bits."""
    return os.environ.get(DEVICE_VARIABLE, "cpu")


class Report:
    """Where a stage sends its progress: one JSON line a report in metrics.jsonl.

    Lines hold no times, so an interrupted and continued stage writes the same file as an uninterrupted one: when the
    first report after a restart is for step s, lines of an earlier attempt for steps >= s are dropped.

    Args:
        path: The metrics file, or None to discard everything.
        lines: At most about this many lines for each set of metric names, evenly spread over the steps.
    """

    def __init__(self, path: Path | None = None, lines: int = 500) -> None:
        self._path = path
        self._lines = lines
        self._written: dict[tuple[str, ...], int] = {}
        self._started = False

    def progress(self, step: int, total: int, **metrics: float) -> None:
        """Report that `step` of `total` steps are done, with any metrics as of this step."""
        if self._path is None:
            return
        if not self._started:
            self._resume_before(step)
        names = tuple(metrics)
        bucket = step * self._lines // max(total, 1)
        if self._written.get(names) == bucket and step != total:
            return
        self._written[names] = bucket
        values = {name: float(value) if math.isfinite(value) else str(float(value)) for name, value in metrics.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "total": total, **values}) + "\n")

    def _resume_before(self, step: int) -> None:
        self._started = True
        if self._path is None or not self._path.exists():
            return
        kept = [line for line in read_metrics(self._path) if line["step"] < step]
        for line in kept:
            names = tuple(name for name in line if name not in ("step", "total"))
            self._written[names] = line["step"] * self._lines // max(line["total"], 1)
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete lines of a metrics file, oldest first; a line cut off by a kill is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    found = []
    for line in lines:
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a killed run, sees the old content or the new, never a part.

    What a killed process left of an earlier attempt goes.
    """
    sweep(path.parent, f".{glob.escape(path.name)}.*.partial")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with _opened(partial) as file:
            file.write(content)
            file.flush()
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; its content, where the file system has no links, or the other name is on another."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _opened(partial: Path) -> IO[bytes]:
    """A new file, locked, so that `sweep` leaves it alone as long as this process lives."""
    while True:
        file = partial.open("wb")
        with suppress(OSError):  # where there are no locks, nobody sweeps either
            fcntl.flock(file, fcntl.LOCK_EX)
        if partial.exists():
            return file
        file.close()  # swept before it was locked


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A new folder `.writing-*.partial` within a folder, removed after the block; of a killed process, by `sweep`."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=".writing-", suffix=".partial", dir=folder))
        descriptor = os.open(staging, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if staging.exists():
            break
        os.close(descriptor)  # swept before it was locked
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(descriptor)


def sweep(folder: Path, pattern: str = ".writing-*.partial") -> None:
    """Remove what killed processes left in a folder: files and folders in the making, on which their makers hold locks.

    A pattern is only to match what is made by `staging_folder` or `write_atomically`: others hold no locks.

    The kernel releases a lock when its holder dies. What another process is making is left alone, and everything where
    there are no locks.
    """
    for left in folder.glob(pattern):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        except OSError:
            pass
        finally:
            os.close(descriptor)


@contextmanager
def explaining(folder: Path) -> Iterator[None]:
    """For the time that something is written into a folder: what the system refuses in the user's words.

    Raises:
        UserError: See `explain_os_error`; what that has no words for goes on as it is.
    """
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, folder) or error from error


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write files into a folder, which is made where it is missing, each whole or not at all; their paths.

    Raises:
        UserError: The system refuses it.
    """
    with explaining(folder):
        make_folder(folder)
        for name, content in files.items():
            write_atomically(folder / name, content)
    return [str(folder / name) for name in files]


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        UserError: It cannot be made: its place takes no folders, as /proc, or no more, or not from this user.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise UserError("No folder can be made in this place.", where=str(folder), fix="choose another one") from error
    except OSError as error:
        raise explain_os_error(error, folder) or error from error


@contextmanager
def folder_in_use(folder: Path) -> Iterator[None]:
    """A folder for the time of a block, made where it is missing; of what was made, what is still empty goes again.

    Raises:
        UserError: As `make_folder`.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        make_folder(folder)
        yield
    finally:
        with suppress(OSError):
            for each in made:
                each.rmdir()


_FAILURES = frozenset(
    (
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENAMETOOLONG,
        errno.ELOOP,
    )
)  # fmt: skip
"""What disks and network file systems answer when they are broken, away, or lack a feature."""
_NO_MEMORY = ("can't allocate memory", "std::bad_alloc", "CUDA out of memory")
"""What torch says in a RuntimeError where Python would raise a MemoryError."""


def explain_os_error(error: BaseException, folder: Path) -> UserError | None:
    """The user's side of what the system refused: a full disk, a read-only folder, memory; None for all else.

    Libraries (HDF5, safetensors, torch) wrap the system's error in classes of their own, so the text counts too.
    """
    text = str(error)
    told = re.search(r"\(os error (\d+)\)", text)  # so do libraries that are written in Rust
    code = int(told[1]) if told else getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in text:
        what, fix = "The disk is full.", "free some space and run the same command again; finished stages are kept"
    elif code == errno.ENOMEM or isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        what = "Memory ran out."
        fix = "run the same command again with fewer --workers or more memory; finished stages are kept"
    elif code == errno.EFBIG:
        what = "A file may not become so large here."
        fix = "raise the limit (ulimit -f), or choose another folder, and run the same command again"
    elif isinstance(error, OSError) and code in (errno.EMFILE, errno.ENFILE):
        what, fix = "Too many files are open.", "raise the limit (ulimit -n) and run the same command again"
    elif isinstance(error, OSError) and code in (errno.EACCES, errno.EPERM, errno.EROFS):
        what, fix = "This folder cannot be written to.", "choose another folder, or change its permissions"
    elif isinstance(error, IsADirectoryError):
        what, fix = "A folder stands where a file is needed.", "name a file"
    elif isinstance(error, FileExistsError | NotADirectoryError):
        what, fix = "A file stands where a folder is needed.", "move the file away, or choose another folder"
    elif isinstance(error, OSError) and code in _FAILURES:
        what = f"The file system failed: {error.strerror}."
        fix = "run the same command again, or choose a folder on another file system; finished stages are kept"
    else:
        return None
    return UserError(what, where=str(getattr(error, "filename", None) or folder), fix=fix)

"""Where stages run: in this process, in its workers, or on other machines (`ray`, `slurm`).

`execution.execute` decides which stage is next; an executor only runs the stages that it is given and tells what became
of them. There is no ledger beside the artifact cache, and none is needed: a stage is done exactly when its artifact
exists under its key, whole, by its SHA-256. That is on disk, is written by one rename, and outlives every process. So
whoever starts again makes only what is missing, and a stage that is run twice, at once or one after the other, finds
the artifact under the stage's lock and makes nothing.

On this machine, two processes of one thread beat one process of two threads on small networks and MuJoCo, and one
thread computes the same sums in the same order every time. Workers live as long as the run, so that a stage does not
pay for imports or environments again. A run that ends, by itself, by Ctrl-C or by an error, kills its workers and waits
for them. A worker that loses its parent to a kill -9 stops by itself as soon as it gets a moment of the processor, and
so does Python's helper process beside it; what is promised is a minute, on however busy a machine. Its artifact's lock
goes with it, and the next run continues from the checkpoint.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from hyprepro.engine import kept
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage, explain_os_error
from hyprepro.errors import UserError

ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}
LARGE_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Bytes. glibc takes blocks from here on, such as an environment's model (20 MB), from the system and returns them when
they are freed. By itself it would raise that limit to 32 MB in the course of a run and keep what lies below."""
WORKER_ENVIRONMENT = {**ONE_THREAD, **LARGE_BLOCKS, "PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
POLL_SECONDS = 0.25

Outcome = tuple[Literal["finished", "user", "error"], Any]
"""What became of a stage: ("finished", None), ("user", UserError) or ("error", traceback)."""

News = Literal["waiting", "lost", "finished"]
"""Of a stage: another run is making it; its process or machine is gone and it starts again; its artifact is there."""

Tell = Callable[[News, Stage], None]


class StageError(RuntimeError):
    """A stage failed for a reason that is no mistake of the user's; holds the worker's traceback."""


@dataclass(frozen=True)
class Vacancy:
    """A place where a stage can start now.

    Attributes:
        last: The last stage that ran there, if there was one.
        others: The affinities of the other places.
    """

    last: Stage | None = None
    others: frozenset[str] = frozenset()


class Crew(Protocol):
    """What runs stages during one call of `execute`."""

    def vacancy(self) -> Vacancy | None:
        """The place that the next `start` fills; None while all are taken."""

    def start(self, stage: Stage) -> None:
        """Begin a stage whose inputs are finished. Only to be called after a vacancy was seen."""

    def attend(self) -> None:
        """Wait a moment for something to happen and tell it.

        Raises:
            UserError: From a stage, or when what runs the stages is gone for good.
            StageError: When a stage fails otherwise.
        """


class Executor(Protocol):
    """A way to run stages, described but not yet at work."""

    @property
    def workers(self) -> int:
        """Stages that run at once, at most; 0 for this process alone."""

    def open(self, cache: ArtifactCache, tell: Tell) -> AbstractContextManager[Crew]:
        """A crew at work on stages of `cache`; leaving the context ends it, whatever it is doing."""


def local(workers: int) -> Executor:
    """The executor of this machine: so many worker processes, or this process for 0."""
    return LocalProcesses(workers) if workers else ThisProcess()


@dataclass(frozen=True)
class ThisProcess:
    """Runs one stage after the other in this process, for a debugger."""

    workers: int = 0

    @contextmanager
    def open(self, cache: ArtifactCache, tell: Tell) -> Iterator[Crew]:
        """See `Executor`."""
        with process_restored():
            yield _Alone(cache, tell)


class _Alone:
    def __init__(self, cache: ArtifactCache, tell: Tell) -> None:
        self._cache = cache
        self._tell = tell
        self._stage: Stage | None = None
        self._last: Stage | None = None

    def vacancy(self) -> Vacancy | None:
        return Vacancy(self._last) if self._stage is None else None

    def start(self, stage: Stage) -> None:
        self._stage = self._last = stage

    def attend(self) -> None:
        stage, self._stage = self._stage, None
        assert stage is not None
        check(attempt(stage, self._cache, partial(self._tell, "waiting", stage)), stage)
        self._tell("finished", stage)


@dataclass(frozen=True)
class LocalProcesses:
    """Runs stages in worker processes of this machine, started as they are needed.

    Attributes:
        workers: How many, at most.
    """

    workers: int = 2

    @contextmanager
    def open(self, cache: ArtifactCache, tell: Tell) -> Iterator[Crew]:
        """See `Executor`."""
        pool = _Pool(self.workers, cache, tell)
        try:
            yield pool
        finally:
            pool.close()


def check(outcome: Outcome, stage: Stage) -> None:
    """Raise what a failed stage's outcome says."""
    kind, payload = outcome
    if kind == "user":
        raise payload
    if kind == "error":
        raise StageError(f"{stage.label} ({stage.kind}) failed:\n{payload}")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    stage: Stage | None = None
    last: Stage | None = None


class _Pool:
    """Worker processes that live for one run."""

    def __init__(self, size: int, cache: ArtifactCache, tell: Tell) -> None:
        self._size = size
        self._cache = cache
        self._tell = tell
        self._workers: list[_Worker] = []

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()  # safe at any moment, by the design of the cache
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def vacancy(self) -> Vacancy | None:
        idle = self._idle()
        if idle is None and len(self._workers) == self._size:
            return None
        others = frozenset(each.last.affinity for each in self._workers if each is not idle and each.last)
        return Vacancy(idle.last if idle else None, others)

    def start(self, stage: Stage) -> None:
        worker = self._idle()
        if worker is None:
            worker = _start_worker(self._cache.root)
            self._workers.append(worker)
        worker.stage = worker.last = stage
        try:
            worker.pipe.send(stage)
        except ConnectionError:
            worker.process.join()
            raise _killed(worker.process.exitcode, stage) from None

    def attend(self) -> None:
        busy = [worker for worker in self._workers if worker.stage is not None]
        wait([worker.pipe for worker in busy], timeout=POLL_SECONDS)
        for worker in busy:
            self._listen(worker)

    def _idle(self) -> _Worker | None:
        return next((worker for worker in self._workers if worker.stage is None), None)

    def _listen(self, worker: _Worker) -> None:
        stage = worker.stage
        assert stage is not None
        while worker.pipe.poll():
            try:
                outcome = worker.pipe.recv()
            except (EOFError, ConnectionError):  # reset, if it died before it had read its stage
                worker.process.join()
                raise _killed(worker.process.exitcode, stage) from None
            if outcome[0] == "waiting":
                self._tell("waiting", stage)
                continue
            check(outcome, stage)
            worker.stage = None
            self._tell("finished", stage)
            return


def _killed(exit_code: int | None, stage: Stage) -> UserError:
    name = signal.Signals(-exit_code).name if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
    return UserError(
        f"The process that was computing {stage.label} ended ({name}).",
        where=stage.kind,
        fix="if memory ran out, use one worker or a smaller scale; the same command goes on from where it was",
    )


def _start_worker(root: Path) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, root), daemon=True)
    with variables(WORKER_ENVIRONMENT):
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """Some environment variables, for what is started in the meantime."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, root: Path) -> None:
    """A worker's life: stages come in, outcomes go out, until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cache = ArtifactCache(root)
    while True:
        try:
            stage = pipe.recv()
        except (EOFError, ConnectionError):
            return
        outcome = attempt(stage, cache, lambda: pipe.send(("waiting", None)))
        give_memory_back()
        pipe.send(outcome)


def give_memory_back() -> None:
    """Return to the system what a finished stage has freed; glibc alone keeps the smaller blocks for itself.

    In a worker that lives for a whole run they add up to hundreds of megabytes. Where there is no `malloc_trim`, only
    cycles are collected.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def attempt(stage: Stage, cache: ArtifactCache, on_wait: Callable[[], None]) -> Outcome:
    """Make one stage, in the process and thread that this is called in; raises nothing."""
    try:
        kept.make_room(stage)
        _settle(stage)
        cache.make(stage, on_wait)
    except UserError as error:
        return "user", error
    except Exception as error:
        explained = explain_os_error(error, cache.work_of(stage))
        return ("user", explained) if explained else ("error", traceback.format_exc())
    return "finished", None


def _settle(stage: Stage) -> None:
    """Put all global random state where it does not depend on what this process did before."""
    seed = int(stage.key[:8], 16)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- the global generator is exactly what must be settled
    if stage.uses_torch:
        import torch

        torch.manual_seed(seed)
        settle_torch()


def settle_torch() -> None:
    """Let torch compute the same sums in the same order every time."""
    import torch

    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms also imports torch's compiler, 70 MB


@contextmanager
def process_restored() -> Iterator[None]:
    """Undo what `_settle` and `settle_torch` do to a process that is not ours: a notebook has random numbers too."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 -- as in _settle
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    drawn = torch.get_rng_state() if torch else None
    strictness = torch.get_deterministic_debug_mode() if torch else 0
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if torch is None:
            torch = sys.modules.get("torch")
        if torch is not None:
            if threads is not None:
                torch.set_num_threads(threads)
                torch.set_rng_state(drawn)
            torch.set_deterministic_debug_mode(strictness)

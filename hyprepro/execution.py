"""Running stages: what is missing from the cache is made, several at once, by worker processes of one thread each.

Two processes of one thread beat one process of two threads on small networks and MuJoCo, and one thread computes the
same sums in the same order every time. Workers live as long as the run, so that a stage does not pay for imports or
environments again. A worker that loses its parent stops at once; its artifact's lock goes with it, and the next run
continues from the checkpoint.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hyprepro.artifacts import METRICS, ArtifactCache, Stage, explain_os_error
from hyprepro.errors import UserError

ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}
WORKER_ENVIRONMENT = {**ONE_THREAD, "PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Event:
    """What happened to a stage. `finished` of `total` counts the stages of this run that had to be made."""

    kind: Literal["waiting", "started", "progress", "finished"]
    stage: Stage
    finished: int
    total: int
    step: int = 0
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


class StageError(RuntimeError):
    """A stage failed for a reason that is no mistake of the user's; holds the worker's traceback."""


def missing(targets: Sequence[Stage], cache: ArtifactCache) -> list[Stage]:
    """The stages that must be made so that all targets exist, every stage after its inputs.

    A target that is finished asks for nothing, even if what it was made from is gone.
    """
    order: dict[str, Stage] = {}
    seen: set[str] = set()

    def visit(stage: Stage) -> None:
        if stage.key in seen:
            return
        seen.add(stage.key)
        if not cache.is_finished(stage):
            for source in stage.inputs.values():
                visit(source)
            order[stage.key] = stage

    for target in targets:
        visit(target)
    return list(order.values())


def execute(
    stages: Sequence[Stage], cache: ArtifactCache, workers: int = 2, on_event: OnEvent = lambda event: None
) -> dict[str, Path]:
    """Make what is missing and return the finished folder of every requested stage by its key.

    Args:
        stages: The wanted stages; their inputs are made as needed.
        cache: Where artifacts are.
        workers: Worker processes; 0 runs everything in this process, for a debugger.
        on_event: Called in this process whenever something happens to a stage.

    Raises:
        UserError: From a stage, or when the disk is full, the cache cannot be written, or a worker was killed.
        StageError: When a stage fails otherwise.
    """
    todo = missing(stages, cache)
    if todo:
        try:
            cache.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, cache.root) or error from error
        schedule = _Schedule(todo, on_event)
        if workers == 0:
            _run_here(schedule, cache)
        else:
            with _Pool(min(workers, len(todo)), cache) as pool:
                pool.run(schedule)
    return {stage.key: cache.path_of(stage) for stage in stages}


class _Schedule:
    """Which stage may run next: the head of the longest remaining chain of work, then by affinity, then as planned."""

    def __init__(self, todo: Sequence[Stage], on_event: OnEvent) -> None:
        self._waiting = {stage.key: stage for stage in todo}
        self._done: set[str] = set()
        self._total = len(todo)
        self._on_event = on_event
        self._order = {stage.key: index for index, stage in enumerate(todo)}
        self._chain = {stage.key: 0.0 for stage in todo}
        for stage in reversed(todo):  # users of a stage come after it
            self._chain[stage.key] += stage.cost
            for source in stage.inputs.values():
                if source.key in self._chain:
                    self._chain[source.key] = max(self._chain[source.key], self._chain[stage.key])

    @property
    def is_done(self) -> bool:
        return len(self._done) == self._total

    def take(self, affinity: str, others: set[str]) -> Stage | None:
        """The best ready stage for a worker whose last stage had `affinity`, or None when nothing is ready."""

        def rank(stage: Stage) -> tuple[float, int, int]:
            strangeness = 0 if stage.affinity == affinity else 2 if stage.affinity in others else 1
            return (-self._chain[stage.key], strangeness, self._order[stage.key])

        blocking = self._order.keys() - self._done
        ready = [s for s in self._waiting.values() if not any(i.key in blocking for i in s.inputs.values())]
        best = min(ready, key=rank, default=None)
        if best is not None:
            del self._waiting[best.key]
            self.tell("started", best)
        return best

    def finish(self, stage: Stage) -> None:
        self._done.add(stage.key)
        self.tell("finished", stage)

    def tell(self, kind: Literal["waiting", "started", "progress", "finished"], stage: Stage, **details: Any) -> None:
        self._on_event(Event(kind, stage, len(self._done), self._total, **details))


def _run_here(schedule: _Schedule, cache: ArtifactCache) -> None:
    with _single_threaded_torch():
        while (stage := schedule.take("", set())) is not None:
            outcome, payload = _attempt(stage, cache, partial(schedule.tell, "waiting", stage))
            if outcome != "finished":
                _raise(outcome, payload, stage)
            schedule.finish(stage)


def _raise(outcome: str, payload: Any, stage: Stage) -> None:
    if outcome == "user":
        raise payload
    raise StageError(f"{stage.label} ({stage.kind}) failed:\n{payload}")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    stage: Stage | None = None
    affinity: str = ""
    shown: str = ""


class _Pool:
    """Worker processes that live for one run; leaving the context ends them, whatever they are doing."""

    def __init__(self, size: int, cache: ArtifactCache) -> None:
        self._size = size
        self._cache = cache
        self._workers: list[_Worker] = []

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()  # safe at any moment, by the design of the cache
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def run(self, schedule: _Schedule) -> None:
        while not schedule.is_done:
            self._assign(schedule)
            busy = [worker for worker in self._workers if worker.stage is not None]
            wait([worker.pipe for worker in busy], timeout=POLL_SECONDS)
            for worker in busy:
                self._listen(worker, schedule)
                self._show_progress(worker, schedule)

    def _assign(self, schedule: _Schedule) -> None:
        idle = [worker for worker in self._workers if worker.stage is None]
        while idle or len(self._workers) < self._size:
            worker = idle.pop(0) if idle else None
            others = {w.affinity for w in self._workers if w is not worker}
            stage = schedule.take(worker.affinity if worker else "", others)
            if stage is None:
                return
            if worker is None:
                worker = _start_worker(self._cache.root)
                self._workers.append(worker)
            worker.stage, worker.affinity, worker.shown = stage, stage.affinity, ""
            try:
                worker.pipe.send(stage)
            except BrokenPipeError:
                worker.process.join()
                raise _killed(worker.process.exitcode, stage) from None

    def _listen(self, worker: _Worker, schedule: _Schedule) -> None:
        stage = worker.stage
        assert stage is not None
        while worker.pipe.poll():
            try:
                outcome, payload = worker.pipe.recv()
            except EOFError:
                worker.process.join()
                raise _killed(worker.process.exitcode, stage) from None
            if outcome == "waiting":
                schedule.tell("waiting", stage)
            elif outcome == "finished":
                worker.stage = None
                schedule.finish(stage)
                return
            else:
                _raise(outcome, payload, stage)

    def _show_progress(self, worker: _Worker, schedule: _Schedule) -> None:
        if worker.stage is None:
            return
        line = _last_line(self._cache.work_of(worker.stage) / METRICS)
        if line and line != worker.shown:
            worker.shown = line
            data = json.loads(line)
            step, steps = data.pop("step"), data.pop("total")
            schedule.tell(
                "progress", worker.stage, step=step, steps=steps, metrics={k: float(v) for k, v in data.items()}
            )


def _killed(exit_code: int | None, stage: Stage) -> UserError:
    name = signal.Signals(-exit_code).name if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
    return UserError(
        f"The process that was computing {stage.label} ended ({name}).",
        where=stage.kind,
        fix="if memory ran out, use one worker or a smaller scale; the same command goes on from where it was",
    )


def _last_line(path: Path) -> str:
    """The last complete line of a file that another process appends to; empty when there is none yet."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 8192))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return ""
    return lines[-1].decode() if lines and lines[-1].startswith(b"{") else ""


def _start_worker(root: Path) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, root), daemon=True)
    with _environment(WORKER_ENVIRONMENT):
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
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
        except EOFError:
            return
        pipe.send(_attempt(stage, cache, lambda: pipe.send(("waiting", None))))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _attempt(stage: Stage, cache: ArtifactCache, on_wait: Callable[[], None]) -> tuple[str, Any]:
    """Make one stage: ("finished", None), ("user", UserError) or ("error", traceback)."""
    try:
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
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Undo what `_settle` does to torch in a process that is not ours."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    strict = torch.are_deterministic_algorithms_enabled() if torch else False
    try:
        yield
    finally:
        if torch is None:
            torch = sys.modules.get("torch")
        if torch is not None:
            if threads is not None:
                torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)

"""Running stages: what is missing from the cache is made, the longest chains of work first, by an executor.

This module knows which stage may be next and what the caller is told; `executors` knows how and where a stage runs.
Progress is read from the metrics file that a stage writes into the cache, so it needs no channel of its own, wherever
the stage runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import Executor, News, StageError, Vacancy, local
from hyprepro.engine.plan import missing
from hyprepro.engine.stage import METRICS, Stage, folder_in_use

__all__ = ["Event", "OnEvent", "StageError", "execute", "missing"]

Kind = Literal["waiting", "started", "progress", "lost", "finished"]


@dataclass(frozen=True)
class Event:
    """What happened to a stage. `finished` of `total` counts the stages of this run that had to be made."""

    kind: Kind
    stage: Stage
    finished: int
    total: int
    step: int = 0
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


def execute(
    stages: Sequence[Stage],
    cache: ArtifactCache,
    workers: int | Executor = 2,
    on_event: OnEvent = lambda event: None,
) -> dict[str, Path]:
    """Make what is missing and return the finished folder of every requested stage by its key.

    Args:
        stages: The wanted stages; their inputs are made as needed.
        cache: Where artifacts are.
        workers: Worker processes of this machine; 0 runs everything in this process, for a debugger. Or an executor.
        on_event: Called in this process whenever something happens to a stage.

    Raises:
        UserError: From a stage, or when the disk is full, the cache cannot be written, or a worker was killed.
        StageError: When a stage fails otherwise.
    """
    todo = missing(stages, cache)
    if todo:
        executor = local(workers) if isinstance(workers, int) else workers
        with folder_in_use(cache.root):
            _run(_Schedule(todo, on_event), executor, cache)
    return {stage.key: cache.path_of(stage) for stage in stages}


def _run(schedule: _Schedule, executor: Executor, cache: ArtifactCache) -> None:
    progress = _Progress(schedule, cache)
    with executor.open(cache, schedule.hear) as crew:
        while not schedule.is_done:
            while (vacancy := crew.vacancy()) and (stage := schedule.take(vacancy)):
                crew.start(stage)
            crew.attend()
            progress.show()


class _Schedule:
    """Which stage may run next.

    One that the last stage at the place has prepared for; else the head of the longest remaining chain of work, then by
    affinity, then as planned.
    """

    def __init__(self, todo: Sequence[Stage], on_event: OnEvent) -> None:
        self._waiting = {stage.key: stage for stage in todo}
        self.running: dict[str, Stage] = {}
        self._done: set[str] = set()
        self._total = len(todo)
        self._on_event = on_event
        self._order = {stage.key: index for index, stage in enumerate(todo)}
        self._prepared = {stage.key: stage.preparation for stage in todo}
        self._chain = {stage.key: 0.0 for stage in todo}
        for stage in reversed(todo):  # users of a stage come after it
            self._chain[stage.key] += stage.cost
            for source in stage.inputs.values():
                if source.key in self._chain:
                    self._chain[source.key] = max(self._chain[source.key], self._chain[stage.key])

    @property
    def is_done(self) -> bool:
        return len(self._done) == self._total

    def take(self, vacancy: Vacancy) -> Stage | None:
        """The best ready stage for a place, or None when nothing is ready."""
        last = vacancy.last
        prepared, affinity = (self._prepared.get(last.key, ""), last.affinity) if last else ("", "")

        def rank(stage: Stage) -> tuple[bool, float, int, int]:
            is_prepared = bool(prepared) and self._prepared[stage.key] == prepared
            strangeness = 0 if stage.affinity == affinity else 2 if stage.affinity in vacancy.others else 1
            return (not is_prepared, -self._chain[stage.key], strangeness, self._order[stage.key])

        blocking = self._order.keys() - self._done
        ready = [s for s in self._waiting.values() if not any(i.key in blocking for i in s.inputs.values())]
        best = min(ready, key=rank, default=None)
        if best is not None:
            self.running[best.key] = self._waiting.pop(best.key)
            self.tell("started", best)
        return best

    def hear(self, news: News, stage: Stage) -> None:
        """Take what a crew tells about a stage."""
        if news == "finished":
            del self.running[stage.key]
            self._done.add(stage.key)
        self.tell(news, stage)

    def tell(self, kind: Kind, stage: Stage, **details: Any) -> None:
        """Pass on what happened to a stage."""
        self._on_event(Event(kind, stage, len(self._done), self._total, **details))


class _Progress:
    """Tells what is new in the metrics files of the running stages."""

    def __init__(self, schedule: _Schedule, cache: ArtifactCache) -> None:
        self._schedule = schedule
        self._cache = cache
        self._shown: dict[str, str] = {}

    def show(self) -> None:
        for stage in self._schedule.running.values():
            line = _last_line(self._cache.work_of(stage) / METRICS)
            if line and line != self._shown.get(stage.key):
                self._shown[stage.key] = line
                data = json.loads(line)
                step, steps = data.pop("step"), data.pop("total")
                metrics = {name: float(value) for name, value in data.items()}
                self._schedule.tell("progress", stage, step=step, steps=steps, metrics=metrics)


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

"""Small stages that worker processes can import: `python -m tests.engine.toy_stages CACHE LOG` runs a graph of them."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import Executor
from hyprepro.engine.schedule import execute
from hyprepro.engine.stage import Report, Stage, write_atomically
from hyprepro.errors import UserError


@dataclass(frozen=True)
class Toy(Stage):
    """Base: writes the text of `content` to result.txt and, if asked to, a line to a log for every call of run."""

    kind: ClassVar[str] = "toy"
    uses_torch: ClassVar[bool] = False
    name: str = "a"

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        return self.name

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        if "TOY_LOG" in os.environ:
            with Path(os.environ["TOY_LOG"]).open("a") as log:
                log.write(f"{self.name}\n")
        (work / "result.txt").write_text(self.content(work, inputs, report))

    def load(self, path: Path) -> str:
        return (path / "result.txt").read_text()

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Chain(Toy):
    """A slow chain of hashes that keeps a checkpoint, like a training run."""

    kind: ClassVar[str] = "chain"
    source: Stage | None = None
    steps: int = 100
    every: int = 10
    pause: float = 0.0

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        start, state = 0, self.source.load(inputs["source"]) if self.source else self.name
        checkpoint = work / "checkpoint.txt"
        if checkpoint.exists():
            number, state = checkpoint.read_text().split()
            start = int(number)
        for step in range(start + 1, self.steps + 1):
            time.sleep(self.pause)
            state = hashlib.sha256(state.encode()).hexdigest()
            report.progress(step, self.steps, loss=1.0 / step)
            if step % self.every == 0:
                write_atomically(checkpoint, f"{step} {state}".encode())
        return state


@dataclass(frozen=True)
class Join(Toy):
    """Reads many stages."""

    kind: ClassVar[str] = "join"
    parts: tuple[Stage, ...] = ()

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        return "+".join(part.load(inputs[f"parts.{i}"])[:8] for i, part in enumerate(self.parts))


@dataclass(frozen=True)
class Faulty(Toy):
    """Fails in a chosen way, once its half-written result exists."""

    kind: ClassVar[str] = "faulty"
    way: str = "user"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        (work / "half.txt").write_text("half")
        if self.way == "user":
            raise UserError("The prompt is too short.", where="store.h5", fix="use another")
        if self.way == "bug":
            raise ZeroDivisionError("a bug")
        if self.way == "full disk":
            Path("/dev/full").write_text("x" * 100)
        if self.way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Pid(Toy):
    """Tells which process ran it; `work_on` is its affinity."""

    kind: ClassVar[str] = "pid"
    work_on: str = ""

    @property
    def affinity(self) -> str:
        return self.work_on

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        time.sleep(0.05)
        return str(os.getpid())


@dataclass(frozen=True)
class Prepared(Toy):
    """One of several that prepare the same; it costs `seconds`."""

    kind: ClassVar[str] = "prepared"
    what: str = ""
    seconds: float = 1.0

    @property
    def preparation(self) -> str:
        return self.what

    @property
    def cost(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Traced(Chain):
    """A chain that notes in a folder on which Ray node, and in which process, every attempt at it ran."""

    kind: ClassVar[str] = "traced"
    traces: str = ""

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        import ray

        node = ray.get_runtime_context().get_node_id()
        resumed = (work / "checkpoint.txt").exists()
        with (Path(self.traces) / self.name).open("a") as file:
            file.write(f"{node} {os.getpid()} {'resumed' if resumed else 'fresh'}\n")
        return super().content(work, inputs, report)


@dataclass(frozen=True)
class Memory(Toy):
    """Tells how many megabytes its process holds, then fills some more with blocks and frees all but every 200th."""

    kind: ClassVar[str] = "memory"
    megabytes: int = 0
    after: Stage | None = None

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        blocks = [bytearray(b"1") * 50_000 for _ in range(20 * self.megabytes)]
        KEPT.extend(blocks[::200])
        return str(pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000)


KEPT: list[bytearray] = []


@dataclass(frozen=True)
class TorchState(Toy):
    """Writes down how torch was set up for it, and a few draws of the global generators."""

    kind: ClassVar[str] = "torch-state"
    uses_torch: ClassVar[bool] = True

    def content(self, work: Path, inputs: dict[str, Path], report: Report) -> str:
        import random

        import numpy as np
        import torch

        draws = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002 -- shows that it is settled
        return f"{torch.get_num_threads()} {torch.are_deterministic_algorithms_enabled()} {draws}"


def graph(pause: float = 0.004) -> list[Stage]:
    """Two rounds of chains that meet in joins: about two seconds of pauses for two workers."""
    first = tuple(Chain(name=f"first-{i}", steps=120, pause=pause) for i in range(3))
    second = tuple(Chain(name=f"second-{i}", steps=100, pause=pause, source=source) for i, source in enumerate(first))
    return [Join(name="all", parts=second), Join(name="ends", parts=(first[0], second[-1]))]


def main(arguments: list[Any]) -> None:
    cache, log, *address = arguments
    os.environ["TOY_LOG"] = log
    workers: int | Executor = 2
    if address:
        from hyprepro.engine.ray import RayCluster

        workers = RayCluster(*address)
    execute(graph(), ArtifactCache(cache), workers)


if __name__ == "__main__":
    main(sys.argv[1:])

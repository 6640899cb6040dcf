"""What a store or a result must say about what made it: library versions, hardware, memory, wall time."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

SAMPLE_SECONDS = 1.0


def hardware() -> dict[str, Any]:
    """CPU model, cores that this process may use, and memory in GB (0 where the system does not tell)."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        memory = 0.0
    return {"cpu": _cpu_model(), "cores": usable_cores(), "memory_gb": round(memory, 1)}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class PeakMemory:
    """Context manager that samples the memory of this process and its workers once a second.

    `megabytes` is the largest sum seen, in MB; 0 where /proc is missing. Pages that processes share count once
    (proportional set size).
    """

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.megabytes = max(self.megabytes, sum(_megabytes(pid) for pid in set(_family(os.getpid()))))
            if self._stop.wait(SAMPLE_SECONDS):
                return


def _family(pid: int) -> Iterator[int]:
    """A process and all below it; a child whose thread ends meanwhile passes to another one and may come twice."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:  # the thread or process ended meanwhile
            continue
        for child in below:
            yield from _family(int(child))


def _megabytes(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


PACKAGES = ("metaworld", "mujoco", "gymnasium", "torch", "numpy", "hyprepro")
"""Packages whose version can change a number."""

IDENTITY = ("metaworld", "mujoco")
"""Packages whose versions are part of the task itself: numbers from different ones must not be compared silently."""


def versions() -> dict[str, str]:
    """Installed versions of `PACKAGES`, of Python, and the platform as system-machine (no host name, no path)."""
    found = {name: _version(name) for name in PACKAGES}
    return {**found, "python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}


def identity_gaps(recorded: dict[str, str], current: dict[str, str]) -> list[tuple[str, str, str]]:
    """`IDENTITY` packages whose versions differ, as (package, recorded, current); a missing entry is a difference."""
    pairs = [(name, recorded.get(name, "unknown"), current.get(name, "unknown")) for name in IDENTITY]
    return [(name, old, new) for name, old, new in pairs if old != new or old == "unknown"]


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"

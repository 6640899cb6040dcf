"""Processes of a command: started, found wherever they went, killed; found by a mark in their environment (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "HYPREPRO_CAMPAIGN"
ORPHANS_GO_WITHIN = 60.0
"""Seconds of the clock, as `engine.executors` promises."""


class Started:
    """A command at work.

    Args:
        command: The words.
        folder: Where what it prints is kept, in `said`.
        environment: Variables beside those of this process.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        self._said = (folder / f"said-{self.mark}").open("w+", encoding="utf-8")
        self._said_path = Path(self._said.name)
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env={**os.environ, **(environment or {}), MARK: self.mark},
            start_new_session=True,
        )

    def all(self) -> list[int]:
        """All living processes of it, this one's child first; zombies are none."""
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and self._is_ours(path)]
        return sorted(found, key=lambda pid: pid != self.process.pid)

    def _is_ours(self, path: Path) -> bool:
        try:
            marked = f"{MARK}={self.mark}".encode() in (path / "environ").read_bytes().split(b"\0")
            return marked and (path / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def workers(self) -> list[int]:
        """Its processes without the first."""
        return [pid for pid in self.all() if pid != self.process.pid]

    def end(self, seconds: float) -> int | None:
        """Its exit code; None if it has not ended within so many seconds, and was killed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in self.all():
                kill(pid)
            self.process.wait()
            return None

    def orphans(self) -> list[int]:
        """What is still there a minute after the end of its first process; these are then killed."""
        deadline = time.monotonic() + ORPHANS_GO_WITHIN
        while (left := self.all()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in left:
            kill(pid)
        return left

    def said(self) -> str:
        """What it wrote to standard error; to be asked once, at its end."""
        self._said.seek(0)
        text = self._said.read()
        self._said.close()
        self._said_path.unlink()
        return text


def kill(pid: int) -> None:
    """Kill -9, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

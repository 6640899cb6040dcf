"""What a collector keeps of a run that may be killed: a small file, replaced whole, beside mapped files.

The small file (weights, optimisers, counters, randomness) says how much of the mapped files counts. What they hold
beyond that is written again, identically, by the run that goes on. So a checkpoint costs what is new since.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

SECONDS_BETWEEN_CHECKPOINTS = 20.0
LARGEST_SHARE = 0.05
"""Writing checkpoints takes at most about this share of the time, however slow the disk is."""

PREFIX = "checkpoint-"
"""Mapped files of this prefix outlive a kill."""

_FILE = "checkpoint.pt"
_CHUNK = 2**24

Mapped = np.memmap[tuple[int, ...], np.dtype[np.float32]]


class Flushes(Protocol):
    """Something whose memory lies in files."""

    def flush(self) -> None:
        """Bring what was written to the disk."""


class Checkpoints:
    """The checkpoint of a run, and when the next one is due. When that is never changes a result.

    Args:
        work: The stage's folder.
        files: Names of the mapped files without which the checkpoint says nothing.

    Attributes:
        is_new: The run begins anew, with new mapped files; else it goes on from the checkpoint.
    """

    def __init__(self, work: Path, files: Sequence[str] = ()) -> None:
        self._work = work
        self.is_new = not all((work / name).exists() for name in (_FILE, *files))
        if self.is_new:  # or a second kill would leave it beside new, empty files
            (work / _FILE).unlink(missing_ok=True)
        self._next = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() >= self._next

    def save(self, state: dict[str, Any], *mapped: Flushes) -> None:
        """Bring mapped files to the disk, then tensors, numbers and strings that say how much of them counts."""
        started = time.monotonic()
        for each in mapped:
            each.flush()
        save_checkpoint(self._work, state)
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN_CHECKPOINTS, (now - started) / LARGEST_SHARE)

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None if the run begins anew."""
        return None if self.is_new else load_checkpoint(self._work)


def save_checkpoint(work: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and strings to a stage's folder, so that a kill leaves the file before or the new one."""
    partial, content = work / "checkpoint.partial", io.BytesIO()
    torch.save(state, content)  # not to the file: of a full disk it would only say that its own writer is confused
    try:
        with partial.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(work / _FILE)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(work: Path) -> dict[str, Any] | None:
    """What was saved last, without unpickling anything else; None if nothing was."""
    if not (work / _FILE).exists():
        return None
    state: dict[str, Any] = torch.load(work / _FILE, weights_only=True)
    return state


def open_mapped(path: Path, shape: tuple[int, ...], is_new: bool) -> Mapped:
    """A float32 npy file as memory; a new one is zero and takes its place on the disk at once.

    Raises:
        OSError: The disk is full: now, since a write to a mapped file that finds no room kills the process.
        ValueError: The file has another shape.
    """
    mapped: Mapped = np.lib.format.open_memmap(path, mode="w+" if is_new else "r+", dtype=np.float32, shape=shape)
    if mapped.shape != shape:
        raise ValueError(f"{path} has the shape {mapped.shape}, not {shape}")
    if is_new:
        try:
            _take_place(path)
        except OSError as error:
            path.unlink()
            error.filename = str(path)
            raise
    return mapped


def _take_place(path: Path) -> None:
    """Give a sparse file all its blocks."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        head = file.read(4096)
        file.seek(0)
        file.write(head)
        while size - file.tell() > 0:
            file.write(bytes(min(_CHUNK, size - file.tell())))
        os.fsync(file.fileno())

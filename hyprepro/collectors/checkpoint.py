"""The one checkpoint file of a collector: replaced whole, so that a kill leaves the one before or the new one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

_FILE = "checkpoint.pt"


def has_checkpoint(work: Path) -> bool:
    """Whether a stage's folder holds a checkpoint."""
    return (work / _FILE).exists()


def save_checkpoint(work: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and strings to a stage's folder."""
    partial = work / "checkpoint.partial"
    torch.save(state, partial)
    partial.replace(work / _FILE)


def load_checkpoint(work: Path) -> dict[str, Any] | None:
    """What was saved last, without unpickling anything else; None if nothing was."""
    if not has_checkpoint(work):
        return None
    state: dict[str, Any] = torch.load(work / _FILE, weights_only=True)
    return state


def publish(checkpoint: Path, result: Path) -> None:
    """Give a large checkpoint file its name as a result too: a kill before the artifact is whole costs nothing."""
    try:
        os.link(checkpoint, result)
    except OSError:  # a file system without hard links
        shutil.copyfile(checkpoint, result)

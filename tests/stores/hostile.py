"""Files that try to run code while they are read, and other people's files in miniature."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

MAA_WIDTHS = {"param": 22664, "traj": 1020, "task": 117}


class Creates:
    """A pickle of this creates a file when it is loaded without restrictions."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.victim),)


def saved(content: Any) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def bare_pickle(victim: Path) -> bytes:
    """A plain pickle with a payload."""
    return pickle.dumps(Creates(victim))


def assert_it_would_work(victim: Path) -> None:
    """The payload is real: an unrestricted reader falls for it."""
    pickle.loads(bare_pickle(victim))
    assert victim.exists()
    victim.rmdir()


def maa_content(rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A dictionary as Make-An-Agent published it."""
    generator = torch.Generator().manual_seed(seed)
    dtypes = {"param": torch.float32, "traj": torch.float64, "task": torch.float64}
    return {
        name: 0.1 * torch.randn(rows, width, generator=generator, dtype=torch.float32).to(dtypes[name])
        for name, width in MAA_WIDTHS.items()
    }


def rezip(source: bytes, replaced: dict[str, bytes]) -> bytes:
    """The zip with some members replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, replaced.get(name, old.read(name)))
    return out.getvalue()

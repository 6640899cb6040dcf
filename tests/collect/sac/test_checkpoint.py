"""Checkpoints: when they are due, what they need to be whole, and mapped files that have their place on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.checkpoint import Checkpoints, load_checkpoint, open_mapped, save_checkpoint


class Slow:
    """A disk that takes so many seconds by the clock that the test winds."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.now = seconds, 0.0
        monkeypatch.setattr(checkpoint.time, "monotonic", lambda: self.now)

    def flush(self) -> None:
        self.now += self.seconds


@pytest.mark.parametrize("seconds", [0.0, 0.3, 4.0, 60.0])
def test_they_take_at_most_their_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    disk = Slow(seconds, monkeypatch)
    checkpoints, saved = Checkpoints(tmp_path), []
    while len(saved) < 4:
        if checkpoints.due:
            checkpoints.save({}, disk)
            saved.append(disk.now)
        disk.now += 0.25
    between = np.diff(saved)
    assert (seconds <= checkpoint.LARGEST_SHARE * between).all()
    assert (between >= checkpoint.SECONDS_BETWEEN_CHECKPOINTS).all()
    assert between.max() <= max(checkpoint.SECONDS_BETWEEN_CHECKPOINTS, 21 * seconds) + seconds + 0.5, "and no fewer"


def test_a_checkpoint_without_its_mapped_files_is_forgotten(tmp_path: Path) -> None:
    """Else a second kill, after new files were made, would leave the old numbers beside zeros."""
    save_checkpoint(tmp_path, {"added": 7})
    first = Checkpoints(tmp_path, ["checkpoint-replay.npy"])
    assert first.is_new
    assert first.load() is None
    open_mapped(tmp_path / "checkpoint-replay.npy", (4, 2), first.is_new)
    second = Checkpoints(tmp_path, ["checkpoint-replay.npy"])
    assert second.is_new
    second.save({"added": 3})
    assert Checkpoints(tmp_path, ["checkpoint-replay.npy"]).load() == {"added": 3}


@pytest.mark.parametrize("has_fallocate", [True, False])
def test_a_new_file_is_zero_and_has_its_place_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_fallocate: bool
) -> None:
    if not has_fallocate:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    path = tmp_path / "checkpoint-x.npy"
    mapped = open_mapped(path, (300, 1_000), is_new=True)
    assert not mapped.any()
    mapped[7] = 1.5
    mapped.flush()
    assert path.stat().st_blocks * 512 >= mapped.nbytes
    again = open_mapped(path, (300, 1_000), is_new=False)
    np.testing.assert_array_equal(again, np.load(path))
    assert again[7].tolist() == [1.5] * 1_000
    with pytest.raises(ValueError, match="shape"):
        open_mapped(path, (1_000, 300), is_new=False)


def test_a_full_disk_is_an_error_at_once_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space") as caught:
        open_mapped(tmp_path / "checkpoint-x.npy", (3, 4), is_new=True)
    assert caught.value.filename == str(tmp_path / "checkpoint-x.npy")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"added": 1, "weights": torch.ones(2)})
    (tmp_path / "checkpoint.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, {"added": 2, "weights": torch.ones(100_000)})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found["added"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert found["weights"].tolist() == [1.0, 1.0]

"""Offline episodes as arrays, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.stores.episodes import Episodes, read_buffer, read_episodes
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter
from tests.cheetah_stores import CheetahStores


def store(
    path: Path,
    lengths: tuple[int, ...] = (4,),
    sizes: tuple[int, int] = (17, 6),
    reward: float = -1.0,
    split: str = "train",
) -> StoreFiles:
    """A store of velocity-1.200 with one episode of each length."""
    with TrajectoryStoreWriter(path, {"route": "synthetic"}, "", *sizes) as writer:
        for steps in lengths:
            arrays = (np.zeros((steps + 1, sizes[0])), np.zeros((steps, sizes[1])), np.full(steps, reward))
            writer.append("velocity-1.200", *arrays, -1, 0, -1, split)
    return StoreFiles(StoreFile("none.h5", "digest"), StoreFile(str(path), "digest"))


def test_episodes_are_read_as_they_were_stored(cheetah_stores: CheetahStores) -> None:
    files = cheetah_stores.domain.data()
    slow, fast = read_episodes(files, ["velocity-0.375", "velocity-3.000"], "train")
    with files.open_trajectories() as opened:
        (stored,) = opened.episodes("velocity-0.375", "train")
    assert (len(slow), slow.horizon) == (1, 200)
    assert np.array_equal(slow.observations[0], stored.observations)
    assert np.array_equal(slow.rewards[0], stored.rewards)
    assert not np.array_equal(slow.rewards, fast.rewards)


def test_returns_to_go() -> None:
    episodes = Episodes(
        np.zeros((1, 4, 17), np.float32), np.zeros((1, 3, 6), np.float32), np.array([[1, 2, 4]], np.float32)
    )
    assert episodes.to_go().tolist() == [[7, 6, 4]]
    assert episodes.to_go(0.5).tolist() == [[3, 4, 4]]


def test_an_empty_buffer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"velocity-1\.200 has no expert episodes.*empty"):
        read_episodes(store(tmp_path / "store.h5"), ["velocity-1.200"], "validation")
    with pytest.raises(UserError, match=r"velocity-1\.200 has no episodes that a method may adapt from.*empty"):
        read_buffer(store(tmp_path / "other.h5", split="validation"), "velocity-1.200")


def test_a_withheld_training_velocity_lends_its_training_episodes(cheetah_stores: CheetahStores) -> None:
    files = cheetah_stores.domain.data()
    for task, split in (("velocity-1.200", "test"), ("velocity-1.500", "train")):
        (episodes,) = read_episodes(files, [task], split)
        assert np.array_equal(read_buffer(files, task).actions, episodes.actions)


def test_a_velocity_that_the_store_lacks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"velocity-0\.600"):
        read_episodes(store(tmp_path / "store.h5"), ["velocity-0.600"], "train")


def test_a_return_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="return that is not finite"):
        read_episodes(store(tmp_path / "store.h5", reward=-3e38), ["velocity-1.200"], "train")


def test_episodes_of_unequal_length(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="from 3 to 4 steps"):
        read_episodes(store(tmp_path / "store.h5", lengths=(4, 3)), ["velocity-1.200"], "train")

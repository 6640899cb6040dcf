from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.stores import hdf5, trajectory_store
from hyprepro.stores.trajectory_store import Episode, TrajectoryStore, TrajectoryStoreWriter
from tests.conftest import TINY_PROMPTS, TinyStores


def arrays(steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ((steps + 1, 39), (steps, 4), (steps,))
    observations, actions, rewards = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return observations, actions, rewards


@pytest.fixture
def copy(tiny_stores: TinyStores, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_stores.trajectories, tmp_path / "trajectories.h5"))


def test_episodes_of_different_lengths_are_read_back(tmp_path: Path) -> None:
    lengths, path = (1, 70, 500, 63), tmp_path / "t.h5"
    with TrajectoryStoreWriter(path, {"route": "test"}, "abc") as writer:
        for number, steps in enumerate(lengths):
            split = "validation" if number == 2 else "train"
            index = writer.append("reach", *arrays(steps, number), steps - 2, 10**10 + number, number - 1, split)
            assert index == number
            writer.append("door-open", *arrays(5, number), -1, 0, -1, "test")
    with TrajectoryStore.open(path) as store:
        assert (store.observation_size, store.action_size, store.policies_digest) == (39, 4, "abc")
        assert [e.id for e in store.episodes("reach", "train")] == [0, 1, 3]
        for number, (steps, episode) in enumerate(zip(lengths, store.episodes("reach"), strict=True)):
            found = (episode.observations, episode.actions, episode.rewards)
            for got, wanted in zip(found, arrays(steps, number), strict=True):
                np.testing.assert_array_equal(got, wanted)
            assert isinstance(episode, Episode)
            assert (episode.goal_seed, episode.policy_row, episode.success_step) == (
                10**10 + number,
                number - 1,
                steps - 2,
            )
        assert store.verify() == []


@pytest.mark.parametrize("rows_at_once", [1, 40, 10_000])
def test_some_episodes_are_those_that_were_written_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(trajectory_store, "ROWS_AT_ONCE", rows_at_once)
    lengths = (3, 30, 1, 17, 60, 2)
    with TrajectoryStoreWriter(tmp_path / "t.h5", {}) as writer:
        for number, steps in enumerate(lengths):
            writer.append("reach", *arrays(steps, number), -1, number, -1, "train", terminated=number == 3)
    with TrajectoryStore.open(tmp_path / "t.h5") as store:
        for ids in ([0, 1, 2, 3, 4, 5], [5, 0, 1, 1, 2, 4, 3], [3], []):
            found = list(store.some("reach", ids))
            assert [(each.id, each.goal_seed, each.terminated) for each in found] == [(i, i, i == 3) for i in ids]
            for index, each in zip(ids, found, strict=True):
                given = arrays(lengths[index], index)
                for got, wanted in zip((each.observations, each.actions, each.rewards), given, strict=True):
                    np.testing.assert_array_equal(got, wanted)
        with pytest.raises(UserError, match="Episode 6 of 6"):
            list(store.some("reach", [1, 6]))


def test_the_file_uses_minaris_names_and_marks_each_episodes_end(tiny_stores: TinyStores) -> None:
    with h5py.File(tiny_stores.trajectories) as file:
        group = file["trajectories/reach"]
        assert set(group) == {"observations", "actions", "rewards", "terminations", "truncations", "episodes"}
        steps = group["episodes/total_steps"][:]
        ends = np.flatnonzero(group["truncations"][:])
        assert group["terminations"][:].sum() == 0
    np.testing.assert_array_equal(ends, np.cumsum(steps) - 1)


def test_counts_by_split(tiny_stores: TinyStores) -> None:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        assert {split: store.count("reach", split) for split in TINY_PROMPTS} == TINY_PROMPTS
        assert store.count("reach") == sum(TINY_PROMPTS.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": arrays(9)[0]}, "do not fit together"),
        ({"actions": arrays(10)[1][:, :3]}, "do not fit together"),
        ({"rewards": np.full(10, np.nan)}, "not finite"),
        ({"observations": np.full((11, 39), np.inf)}, "not finite"),
        ({"success_step": 10}, "lies outside"),
        ({"success_step": -2}, "lies outside"),
        ({"split": "valid"}, "Unknown split"),
        ({"task": "Reach"}, "task name"),
    ],
)
def test_the_writer_refuses(tmp_path: Path, change: dict[str, object], message: str) -> None:
    observations, actions, rewards = arrays(10)
    good = {
        "task": "reach",
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "success_step": 8,
        "goal_seed": 1,
        "policy_row": 0,
        "split": "train",
    }
    with TrajectoryStoreWriter(tmp_path / "t.h5", {}) as writer:
        writer.append(**good)  # type: ignore[arg-type]
        with pytest.raises(UserError, match=message):
            writer.append(**{**good, **change})  # type: ignore[arg-type]
    with TrajectoryStore.open(tmp_path / "t.h5") as store:
        assert store.count("reach") == 1
        assert store.verify() == []


def test_smooth_episodes_compress_well(tmp_path: Path) -> None:
    """Frames with a constant goal, zero padding and the previous frame, as Meta-World gives them."""
    rng, path, raw = np.random.default_rng(0), tmp_path / "t.h5", 0
    with TrajectoryStoreWriter(path, {}) as writer:
        for number in range(20):
            frame = np.zeros((101, 18), np.float32)
            frame[:, :7] = np.cumsum(rng.normal(0, 0.01, (101, 7)), axis=0)
            previous = np.concatenate([frame[:1], frame[:-1]])
            goal = np.tile(rng.normal(size=3), (101, 1))
            observations = np.concatenate([frame, previous, goal], axis=1).astype(np.float32)
            writer.append("reach", observations, *arrays(100, number)[1:], 90, number, -1, "train")
            raw += observations.nbytes
    assert path.stat().st_size < 0.5 * raw


def test_reading_takes_the_same_memory_for_a_larger_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "BLOCK_BYTES", 2**15)
    monkeypatch.setattr(trajectory_store, "ROWS_AT_ONCE", 60)
    peaks = []
    for count in (20, 200):
        path = tmp_path / f"{count}.h5"
        with TrajectoryStoreWriter(path, {}) as writer:
            for number in range(count):
                writer.append("reach", *arrays(60, number), 50, number, -1, "train")
        with TrajectoryStore.open(path) as store:
            tracemalloc.start()
            assert store.verify() == []
            assert sum(len(episode.actions) for episode in store.episodes("reach")) == 60 * count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    one_episode = 61 * 39 * 4
    assert peaks[1] - peaks[0] < 5 * one_episode


def edited(name: str, value: object, index: int = 0) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        file[f"trajectories/reach/{name}"][index] = value

    return edit


def shortened(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        data = file[f"trajectories/reach/{name}"]
        data.resize(data.shape[0] - 1, axis=0)

    return edit


BAD: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "newer schema": (lambda f: f.attrs.modify("schema", np.int64(7)), "newer hyprepro: schema 7"),
    "no spaces": (lambda f: f.attrs.__delitem__("spaces"), "lacks the attribute 'spaces'"),
    "zero steps": (edited("episodes/total_steps", 0), "impossible step counts"),
    "many steps": (edited("episodes/total_steps", 2**31 - 1), "impossible step counts"),
    "late success": (edited("episodes/success_step", 66), "impossible step counts"),
    "unknown split": (edited("episodes/split", 3), "Unknown split code 3"),
    "short rewards": (shortened("rewards"), "'rewards' has .* rows"),
    "short observations": (shortened("observations"), "'observations' has .* rows"),
    "unequal table": (shortened("episodes/seed"), "differ in length"),
    "no table": (lambda f: f.__delitem__("trajectories/reach/episodes"), "lacks a member"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_store_is_refused_when_opened(copy: Path, case: str) -> None:
    edit, message = BAD[case]
    with h5py.File(copy, "r+") as file:
        edit(file)
    with pytest.raises(UserError, match=message) as caught:
        TrajectoryStore.open(copy)
    assert str(copy) in caught.value.where


def test_a_policy_store_is_refused(tiny_stores: TinyStores) -> None:
    with pytest.raises(UserError, match="is a policy store, not a trajectory store"):
        TrajectoryStore.open(tiny_stores.policies)


def test_a_nan_is_found_when_read_and_when_verified(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        edited("observations", np.nan, 70)(file)
    with TrajectoryStore.open(copy) as store:
        store.episode("reach", 0)
        with pytest.raises(UserError, match="not finite"):
            store.episode("reach", 1)
        assert store.verify()[0] == "reach/observations: 39 values are not finite"


def test_an_episode_that_does_not_exist_is_a_user_error(tiny_stores: TinyStores) -> None:
    with TrajectoryStore.open(tiny_stores.trajectories) as store, pytest.raises(UserError, match="Episode 21 of 21"):
        store.episode("reach", 21)

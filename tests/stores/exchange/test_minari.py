from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.catalogue import task_spec
from hyprepro.domains.metaworld import maa
from hyprepro.errors import UserError
from hyprepro.stores.exchange import minari
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.stores import hostile

library = pytest.importorskip("minari")


def test_minari_loads_what_was_recorded(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        counts = minari.export_minari(store, tmp_path / "hyprepro")
        assert counts == {"hyprepro/door-open-v0": 21, "hyprepro/reach-v0": 21}
        assert set(library.list_local_datasets()) == set(counts)
        data = library.load_dataset("hyprepro/reach-v0")
        assert (data.total_episodes, data.total_steps) == (21, 21 * 66)
        assert data.observation_space.shape == (39,)
        assert data.action_space.high.tolist() == [1.0] * 4
        for mine, theirs in zip(store.episodes("reach"), data.iterate_episodes(), strict=True):
            np.testing.assert_array_equal(theirs.observations, mine.observations)
            np.testing.assert_array_equal(theirs.actions, mine.actions)
            np.testing.assert_array_equal(theirs.rewards, mine.rewards)
            assert theirs.truncations.tolist() == [False] * 65 + [True]
            assert not theirs.terminations.any()
        options = [found["options"] for found in data.storage.get_episode_metadata(range(21))]
        assert [int(o["goal_seed"]) for o in options] == store.table("reach")["seed"].tolist()
        assert [str(o["split"]) for o in options] == store.table("reach")["split"].tolist()


def test_one_split_only(tiny_stores: TinyStores, tmp_path: Path) -> None:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        assert minari.export_minari(store, tmp_path / "mine", "test") == {"mine/door-open-v0": 5, "mine/reach-v0": 5}


def test_an_existing_folder_is_kept(tiny_stores: TinyStores, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with TrajectoryStore.open(tiny_stores.trajectories) as store, pytest.raises(UserError, match="exists already"):
        minari.export_minari(store, tmp_path / "mine")
    assert [p.name for p in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize("place", ["write_episode", "metadata"])
def test_a_full_disk_leaves_nothing(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "metadata":
        monkeypatch.setattr(library.dataset.minari_storage.MinariStorage, "update_metadata", full)
    else:
        monkeypatch.setattr(minari, "_write_episode", full)
    with (
        TrajectoryStore.open(tiny_stores.trajectories) as store,
        pytest.raises(UserError, match=r"disk is full|could not be written"),
    ):
        minari.export_minari(store, tmp_path / "mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.sim
def test_minari_recovers_the_environment_of_a_task(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        minari.export_minari(store, tmp_path / "hyprepro", "test", lambda task: task_spec(task, (39, 4)))
    data = library.load_dataset("hyprepro/reach-v0")
    for eval_env in (False, True):
        env = data.recover_environment(eval_env=eval_env)
        observation, _ = env.reset(seed=1)
        assert observation.shape == data.observation_space.shape
        assert np.any(observation[-3:])  # the goal is observed
        assert env.action_space == data.action_space


@pytest.mark.sim
def test_minari_finds_velocities_and_recovers_theirs(
    cheetah_stores: CheetahStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names have dots, which Minari does not know: one such dataset, and it lists none below the root."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with TrajectoryStore.open(cheetah_stores.trajectories) as store:
        counts = minari.export_minari(store, tmp_path / "cheetah", "test", lambda task: task_spec(task, (17, 6)))
    assert set(library.list_local_datasets()) == set(counts)
    assert "cheetah/velocity-1_200-v0" in counts
    env = library.load_dataset("cheetah/velocity-1_200-v0").recover_environment()
    assert env.reset(seed=1)[1]["velocity"] == 1.2
    assert env.observation_space.shape == (17,)


def test_a_task_of_the_users_own_is_exported_without_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with TrajectoryStoreWriter(tmp_path / "t.h5", {}, versions={"mujoco": "unknown"}) as writer:
        writer.append("my-task", np.zeros((4, 39)), np.zeros((3, 4)), np.zeros(3), -1, 0, -1, "train")
    with TrajectoryStore.open(tmp_path / "t.h5") as store:
        minari.export_minari(store, tmp_path / "mine")
    data = library.load_dataset("mine/my-task-v0")
    assert (data.env_spec, data.total_steps) == (None, 3)
    assert data.storage.metadata["requirements"] == []


@pytest.mark.parametrize("name", ["m", "_", "my data", "a.b", "data"])
def test_a_namespace_that_hides_the_datasets_of_its_root_is_refused(
    tiny_stores: TinyStores, tmp_path: Path, name: str
) -> None:
    with (
        TrajectoryStore.open(tiny_stores.trajectories) as store,
        pytest.raises(UserError, match=r"namespace|'data'") as refusal,
    ):
        minari.export_minari(store, tmp_path / name)
    assert "minari/metaworld" in refusal.value.fix
    assert not list(tmp_path.iterdir())


def test_prompts_are_not_handed_on_as_episodes(tmp_path: Path) -> None:
    (tmp_path / "reach.pt").write_bytes(hostile.saved(hostile.maa_content(2)))
    maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    with TrajectoryStore.open(tmp_path / "t.h5") as store, pytest.raises(UserError, match="prompts only"):
        minari.export_minari(store, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()

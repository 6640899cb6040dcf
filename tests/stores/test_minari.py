from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.stores import maa, minari
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.conftest import TinyStores
from tests.stores import hostile


def test_minari_loads_what_was_recorded(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("minari")
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


def test_an_existing_folder_is_kept_and_a_bad_name_refused(tiny_stores: TinyStores, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        with pytest.raises(UserError, match="exists already"):
            minari.export_minari(store, tmp_path / "mine")
        with pytest.raises(UserError, match="namespace"):
            minari.export_minari(store, tmp_path / "my data")
    assert [p.name for p in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize("place", ["_write_episode", "_box"])
def test_a_full_disk_leaves_nothing(
    tiny_stores: TinyStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(minari, place, full)
    with (
        TrajectoryStore.open(tiny_stores.trajectories) as store,
        pytest.raises(UserError, match=r"disk is full|could not be written"),
    ):
        minari.export_minari(store, tmp_path / "mine")
    assert not list(tmp_path.iterdir())


def test_prompts_are_not_handed_on_as_episodes(tmp_path: Path) -> None:
    (tmp_path / "reach.pt").write_bytes(hostile.saved(hostile.maa_content(2)))
    maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    with TrajectoryStore.open(tmp_path / "t.h5") as store, pytest.raises(UserError, match="prompts only"):
        minari.export_minari(store, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np


def test_info_names_tasks_counts_and_digest(hyprepro, tiny_stores) -> None:
    shown = hyprepro("store", "info", tiny_stores.policies).stdout
    assert "door-open" in shown
    assert '"train": 6' in shown
    found = hyprepro("store", "info", tiny_stores.trajectories, "--json").json
    assert found["tasks"]["reach"]["counts"] == {"train": 12, "validation": 4, "test": 5}


def test_verify_passes_a_sound_store(hyprepro, tiny_stores) -> None:
    assert "sound" in hyprepro("store", "verify", tiny_stores.policies).stdout
    assert hyprepro("store", "verify", tiny_stores.policies, "--json").json["problems"] == []


def test_verify_finds_a_changed_weight(hyprepro, tiny_stores, tmp_path: Path) -> None:
    path = Path(shutil.copy(tiny_stores.policies, tmp_path / "changed.h5"))
    with h5py.File(path, "r+") as file:
        params = file["policies/reach/params"]
        params[0, 0] = np.nan
    outcome = hyprepro("store", "verify", path).assert_one_panel()
    assert "damaged" in outcome.words
    assert "reach" in outcome.words


def test_a_store_that_is_missing_or_no_store(hyprepro, tmp_path: Path) -> None:
    hyprepro("store", "info", tmp_path / "none.h5").assert_one_panel()
    (tmp_path / "text.h5").write_text("no HDF5")
    hyprepro("store", "verify", tmp_path / "text.h5").assert_one_panel()

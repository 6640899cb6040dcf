from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores import hdf5
from hyprepro.stores.info import open_any, store_info
from hyprepro.stores.policy_store import PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter
from tests.conftest import TINY_PROMPTS, TinyStores


def test_info_of_a_policy_store(tmp_path: Path) -> None:
    layout, path = PolicyLayout.mlp(3, 4, 2, ("relu", "relu")), tmp_path / "p.h5"
    with PolicyStoreWriter(path, layout, {"route": "sac"}) as writer:
        params = np.zeros((4, layout.size))
        writer.append("reach", params, [3, 3, 1, 1], [10, 20, 30, 40], [1.0, 1.0, 0.5, 0.9], 20, [1, 2, 3, 4], "train")
        writer.append("reach", params[:1], 3, 50, 1.0, 50, 10.0, "test")
    info = store_info(path)
    assert info["tasks"]["reach"] == {
        "counts": {"train": 4, "test": 1},
        "seeds": [1, 3],
        "steps": [10, 50],
        "success": {"mean": 0.88, "min": 0.5, "p10": 0.66, "median": 1.0, "share_perfect": 0.6},
        "histogram": [*[0] * 10, 1, *[0] * 7, 1, 3],
        "episodes": [20, 50],
        "return_mean": 4.0,
        "return_min": 1.0,
        "return_max": 10.0,
        "return_last": 10.0,
    }
    assert (info["kind"], info["schema"], info["route"]) == ("policy", 1, {"route": "sac"})
    assert info["bytes"] == path.stat().st_size
    json.dumps(info, allow_nan=False)


def test_info_of_a_trajectory_store(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    with TrajectoryStoreWriter(path, {}, "d1") as writer:
        for number, success in enumerate([5, -1, 7]):
            steps = 10 + number
            arrays = np.zeros((steps + 1, 39)), np.zeros((steps, 4)), np.zeros(steps)
            writer.append("reach", *arrays, success, number, number // 2, "train")
    info = store_info(path)
    assert info["policies_digest"] == "d1"
    expected = {"steps": [10, 12], "success_rate": 0.6667, "success_step": [5, 7], "policies": 2}
    assert info["tasks"] == {"reach": {"counts": {"train": 3}, **expected}}


def test_info_of_the_tiny_stores(tiny_stores: TinyStores) -> None:
    assert store_info(tiny_stores.policies)["tasks"]["reach"]["counts"] == {"train": 6, "test": 2}
    assert store_info(tiny_stores.trajectories)["tasks"]["door-open"]["counts"] == TINY_PROMPTS
    with open_any(tiny_stores.trajectories) as store:
        assert store.kind == "trajectory"


def test_an_unknown_kind_and_a_missing_file_are_user_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        hdf5.write_text(file, "kind", "weights")
    with pytest.raises(UserError, match="Unknown kind of store: 'weights'"):
        store_info(path)
    with pytest.raises(UserError, match="no policy store"):
        store_info(tmp_path / "y.h5")
    (tmp_path / "z.h5").write_bytes(b"text")
    with pytest.raises(UserError, match="cannot be opened"):
        store_info(tmp_path / "z.h5")


def test_a_task_without_success_has_returns_only(tmp_path: Path) -> None:
    layout, path = PolicyLayout.mlp(3, 4, 2, ("relu", "relu")), tmp_path / "p.h5"
    with PolicyStoreWriter(path, layout, {}) as writer:
        writer.append("velocity-0.600", np.zeros((2, layout.size)), 0, 0, np.nan, 10, [-20.0, -10.0], "train")
    info = store_info(path)
    found = info["tasks"]["velocity-0.600"]
    assert found["success"] is None
    assert "unrated" not in found
    assert (found["return_mean"], found["return_min"], found["return_max"], found["return_last"]) == (
        -15,
        -20,
        -10,
        -10,
    )
    json.dumps(info, allow_nan=False)


def test_rates_over_no_episode_are_unknown(tmp_path: Path) -> None:
    layout, path = PolicyLayout.mlp(3, 4, 2, ("relu", "relu")), tmp_path / "p.h5"
    with PolicyStoreWriter(path, layout, {}) as writer:
        writer.append(
            "reach", np.zeros((3, layout.size)), [-1, -1, 4], [-1, -1, 7], [0, 0, 0.8], [0, 0, 20], 5, "train"
        )
        writer.append("door-open", np.zeros((2, layout.size)), -1, -1, 0, 0, 0, "train")
    tasks = store_info(path)["tasks"]
    assert (tasks["reach"]["seeds"], tasks["reach"]["steps"], tasks["reach"]["unrated"]) == ([4], [7, 7], 2)
    assert tasks["reach"]["success"]["min"] == 0.8
    assert tasks["door-open"] == {
        "counts": {"train": 2},
        "seeds": [],
        "steps": [],
        "episodes": [0, 0],
        "unrated": 2,
        "success": None,
        "return_mean": None,
    }

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.metaworld import maa
from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores import diversity
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.conftest import TinyStores
from tests.stores import hostile


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a.astype(np.float64) - b) ** 2).mean()))


def test_distances_are_those_of_the_definition(tiny_stores: TinyStores) -> None:
    with PolicyStore.open(tiny_stores.policies) as store, TrajectoryStore.open(tiny_stores.trajectories) as episodes:
        found = {one.task: one for one in diversity.diversity(store, episodes, states=20)}
        assert list(found) == ["door-open", "reach", "all"]
        params = {task: store.read(task, range(8)) for task in store.tasks}
        runs = store.meta("reach")["seed"]
        states = diversity.common_observations(episodes, list(store.tasks), 20)
    every = np.concatenate(list(params.values())).astype(np.float64)
    scale = np.sqrt((every**2).mean())
    rows = params["reach"]
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    within = [rms(rows[i], rows[j]) for i, j in pairs if runs[i] == runs[j]]
    between = [rms(rows[i], rows[j]) for i, j in pairs if runs[i] != runs[j]]
    other = [rms(a, b) for a in rows for b in params["door-open"]]
    reach = found["reach"]
    assert (reach.policies, reach.runs, found["all"].runs) == (8, 2, 4)
    np.testing.assert_allclose(reach.weights.within_run, np.mean(within) / scale, rtol=1e-6)
    np.testing.assert_allclose(reach.weights.between_runs, np.mean(between) / scale, rtol=1e-6)
    np.testing.assert_allclose(reach.weights.to_other_tasks, np.mean(other) / scale, rtol=1e-6)
    assert reach.weights.to_other_tasks > reach.weights.between_runs

    import torch

    actions = StackedPolicies(METAWORLD_LAYOUT, rows).means(torch.from_numpy(states)).numpy()
    expected = np.mean([((actions[i] - actions[j]) ** 2).mean() for i, j in pairs if runs[i] == runs[j]])
    assert reach.behaviour is not None
    np.testing.assert_allclose(reach.behaviour.within_run, expected, rtol=1e-4)

    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(reach.components[2], values[:2].sum() / values.sum(), rtol=1e-5)


def test_copies_are_at_distance_zero_and_unrelated_policies_at_the_root_of_two(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    copies = np.repeat(rng.normal(size=(1, METAWORLD_LAYOUT.size)), 3, axis=0)
    unrelated = rng.normal(size=(3, METAWORLD_LAYOUT.size))
    with PolicyStoreWriter(tmp_path / "p.h5", METAWORLD_LAYOUT, {}) as writer:
        writer.append("reach", copies, 0, 0, 1.0, 20, 0.0, "train")
        writer.append("door-open", unrelated, [0, 1, 2], 0, 1.0, 20, 0.0, "train")
    with PolicyStore.open(tmp_path / "p.h5") as store:
        door, reach, _ = diversity.diversity(store)
    assert reach.weights.within_run == pytest.approx(0, abs=1e-6)
    assert reach.weights.between_runs is None
    assert door.weights.within_run is None
    assert door.weights.between_runs == pytest.approx(np.sqrt(2), rel=0.02)
    assert door.behaviour is None
    assert reach.components[1] == 1.0


def test_unknown_runs_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "reach.pt").write_bytes(hostile.saved(hostile.maa_content(4)))
    maa.import_maa(maa.plan([tmp_path / "reach.pt"], [], None), tmp_path / "p.h5", tmp_path / "t.h5")
    with PolicyStore.open(tmp_path / "p.h5") as store, TrajectoryStore.open(tmp_path / "t.h5") as prompts:
        reach = diversity.diversity(store, prompts)[0]
    assert (reach.runs, reach.weights, reach.policies) == (0, diversity.Distances(None, None, None), 4)


def test_an_empty_store_or_other_tasks_are_one_error(tiny_stores: TinyStores, tmp_path: Path) -> None:
    with PolicyStoreWriter(tmp_path / "p.h5", METAWORLD_LAYOUT, {}):
        pass
    with PolicyStore.open(tmp_path / "p.h5") as store, pytest.raises(UserError, match="no policy"):
        diversity.diversity(store)
    with (
        TrajectoryStore.open(tiny_stores.trajectories) as episodes,
        pytest.raises(UserError, match="no episode of the policies' tasks"),
    ):
        diversity.common_observations(episodes, ["window-open"], 10)

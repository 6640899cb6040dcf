"""Which policy stands for a training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.engine.stage import StoreFile
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.training_data import run_ends, training_policies, training_runs

LAYOUT = PolicyLayout.mlp(3, 2, 1, ("relu", "relu"))
SEEDS = [0, 0, 1, 0, -1, -1, 1, 2, 2]
STEPS = [100, 300, 50, 200, 10, 20, 500, 900, 800]
SPLITS = ["train"] * 6 + ["test"] * 3


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    path = tmp_path / "p.h5"
    with PolicyStoreWriter(path, LAYOUT, {}) as writer:
        for row, (seed, step, split) in enumerate(zip(SEEDS, STEPS, SPLITS, strict=True)):
            writer.append("b", np.full((1, LAYOUT.size), row), seed, step, 1.0, 1, 0.0, split)
        writer.append("a", np.full((1, LAYOUT.size), 9), 0, 1, 1.0, 1, 0.0, "train")
    return PolicyStore.open(path)


def test_the_last_training_checkpoint_stands_for_its_run(store: PolicyStore) -> None:
    with store:
        assert run_ends(store, "b", np.arange(9)).tolist() == [1, 1, 2, 1, 4, 5, 2, 7, 7]
        assert run_ends(store, "b", np.array([6])).tolist() == [2], "a run's test checkpoints go with the training ones"


def test_every_training_policy_has_one(store: PolicyStore) -> None:
    with store:
        file = StoreFile(str(store.path), store.digest)
        standing, of = training_runs(file)
        rows = store.rows("b", "train")
        wanted = np.concatenate([[9.0], run_ends(store, "b", rows).astype(float)])
        assert standing[of][:, 0].tolist() == wanted.tolist()
        assert len(standing[of]) == len(training_policies(file)[0])

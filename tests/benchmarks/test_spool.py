"""A spool gives the store's rows, whatever the order, and nothing half-done on a full disk."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from benchmarks.store import PolicySpool
from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter

SMALL = PolicyLayout.mlp(5, 8, 2, ("relu", "relu"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with PolicyStoreWriter(tmp_path / "a.h5", SMALL, {"name": "random"}) as writer:
        for task, split, count in (("reach", "train", 70), ("reach", "test", 3), ("door-open", "train", 5)):
            writer.append(task, rng.normal(size=(count, SMALL.size)), 0, 0, 1.0, 20, 0.0, split)
    return tmp_path / "a.h5"


def test_it_gives_the_rows_of_the_store_in_any_order(path: Path, tmp_path: Path) -> None:
    with PolicyStore.open(path) as store, PolicySpool(store, split="train", folder=tmp_path) as spool:
        assert len(spool) == 75
        wanted = np.concatenate([store.read("door-open", range(5)), store.read("reach", range(70))])
        rows = np.random.default_rng(1).permutation(75)
        assert np.array_equal(spool.read(rows), wanted[rows])
        assert np.array_equal(spool.read([74, 0, 74]), wanted[[74, 0, 74]])
        with pytest.raises(IndexError, match="75"):
            spool.read([75])
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_full_disk_is_a_user_error_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * SMALL.size * 4, old[1]))
        with PolicyStore.open(path) as store, pytest.raises(UserError, match="disk is full"):
            PolicySpool(store, folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]

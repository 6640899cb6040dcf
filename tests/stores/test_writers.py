"""Two writers of one store: the second is refused, and the first's file is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter

SMALL = PolicyLayout.mlp(3, 4, 2, ("relu", "relu"))


def small_writer(path: Path) -> PolicyStoreWriter:
    return PolicyStoreWriter(path, SMALL, {"route": "test"})


def append(writer: PolicyStoreWriter, count: int) -> None:
    writer.append("reach", np.ones((count, SMALL.size)), 1, 1000, 1.0, 20, 900.0, "train")


def test_a_second_writer_of_a_store_is_refused_and_the_first_finishes(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    with small_writer(path) as first:
        append(first, 2)
        with pytest.raises(UserError, match="Another process is writing this store"):
            small_writer(path)
        append(first, 1)
    with PolicyStore.open(path) as store:
        assert store.verify() == []
        assert store.count("reach") == 3
    with small_writer(path) as writer:  # and then it is free
        append(writer, 1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_that_writes_a_store_keeps_others_out_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    script = f"""
import sys
from pathlib import Path
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
writer = PolicyStoreWriter(Path({str(path)!r}), METAWORLD_LAYOUT, {{}}, versions={{}})
print("open", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(UserError, match="Another process"):
            small_writer(path)
        other.kill()
    with small_writer(path) as writer:
        append(writer, 1)
    with PolicyStore.open(path) as store:
        assert store.verify() == []

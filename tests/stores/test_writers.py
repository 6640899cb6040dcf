"""Writing that fails: two writers of one store, and a disk that takes no more."""

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


def test_a_write_that_really_fails_is_one_user_error(tmp_path: Path) -> None:
    """The system refuses files above ever larger limits, as a full disk would; HDF5 must not crash the process."""
    script = f"""
import resource, numpy as np
from pathlib import Path
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
params = np.random.default_rng(0).normal(size=(8, METAWORLD_LAYOUT.size))
for limit in range(1_000, 750_000, 50_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with PolicyStoreWriter(Path({str(tmp_path)!r}) / "p.h5", METAWORLD_LAYOUT, {{}}, versions={{}}) as writer:
            writer.append("reach", params, 0, 0, 1.0, 20, 1.0, "train")
            writer.append("reach", params, 0, 0, 1.0, 20, 1.0, "test")
        print("written")
    except UserError as error:
        print("refused:", error.what)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    refused = lines.count("refused: The store could not be written.")
    assert (done.returncode, len(lines)) == (0, 15), done.stderr
    assert lines[refused:] == ["written"] * (15 - refused)
    assert 5 <= refused < 15
    assert [p.name for p in tmp_path.iterdir()] == ["p.h5"]

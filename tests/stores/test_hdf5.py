from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores import hdf5
from hyprepro.stores.info import open_any
from hyprepro.stores.policy_store import PolicyStoreWriter


def test_blocks_cover_every_row_once_in_whole_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "BLOCK_BYTES", 1000)
    rows = np.arange(1003, dtype=np.float32)[:, None] * np.ones(5, np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", data=rows, chunks=(7, 5))
        parts = list(hdf5.blocks(data, "x.h5"))
    assert all(low % 7 == 0 and part.nbytes <= 1000 for low, part in parts)
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), rows)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_the_digest_does_not_depend_on_how_rows_were_cut(cuts: list[int]) -> None:
    rows = np.arange(sum(cuts) * 3, dtype=np.int32).reshape(-1, 3)
    whole, parts = hdf5.ContentDigest(), hdf5.ContentDigest()
    whole.update("x", rows)
    for part in np.split(rows, np.cumsum(cuts)[:-1]):
        parts.update("x", part)
    assert whole.hexdigest({}) == parts.hexdigest({})


def test_the_digest_is_over_little_endian_bytes_and_knows_dtype_name_and_shape() -> None:
    def digest(name: str, rows: np.ndarray) -> str:
        content = hdf5.ContentDigest()
        content.update(name, rows)
        return content.hexdigest({"schema": 1})

    rows = np.arange(6, dtype="<i4")
    assert digest("x", rows) == digest("x", rows.astype(">i4"))
    others = [
        digest("y", rows),
        digest("x", rows.astype("<i8")),
        digest("x", rows.reshape(2, 3)),
        digest("x", rows[:5]),
    ]
    assert len({digest("x", rows), *others}) == 5


def test_text_that_is_too_long_is_refused_on_both_sides(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        with pytest.raises(UserError, match="at most"):
            hdf5.write_text(file, "route", "x" * (hdf5.MAX_TEXT + 1))
        file.attrs.create("long", np.bytes_("x" * (hdf5.MAX_TEXT + 1)))
        with pytest.raises(UserError, match="not text of at most"):
            hdf5.read_text(file, "long", "x.h5")
        hdf5.write_text(file, "empty", "")
        assert hdf5.read_text(file, "empty", "x.h5") == ""
        hdf5.write_json(file, "units", {"a": "µm", "b": [1, 2.5, None]})
        assert hdf5.read_json(file, "units", "x.h5") == {"a": "µm", "b": [1, 2.5, None]}


def test_datasets_with_huge_chunks_unknown_filters_or_virtual_sources_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("huge", shape=(8,), maxshape=(None,), dtype="u1", chunks=(2**27,))
        file.create_dataset("rows", shape=(2**40,), dtype="u1", chunks=(1024,))
        file.create_dataset("filter", shape=(8,), dtype="u1", chunks=(8,), compression="lzf")
        layout = h5py.VirtualLayout(shape=(8,), dtype="u1")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(8,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("good", data=np.arange(8, dtype="u1"), compression="gzip")
        reasons = {"huge": "64 MiB", "rows": "claims", "filter": "unknown filter", "virtual": "outside the file"}
        for name, reason in reasons.items():
            with pytest.raises(UserError, match=reason):
                hdf5.dataset(file, name, ("uint8",), (), "x.h5")
        assert hdf5.dataset(file, "good", ("uint8",), (), "x.h5").shape == (8,)


def test_a_store_is_read_whoever_has_locked_it(tmp_path: Path) -> None:
    with small_store(tmp_path / "x.h5").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with hdf5.open_store(tmp_path / "x.h5", "policy", 1) as file:
            assert file.attrs["schema"] == 1


def test_where_the_environment_asks_for_locks_the_lock_is_named(tmp_path: Path) -> None:
    program = "import sys; from hyprepro.cli import main; main()"
    command = [sys.executable, "-c", program, "store", "info", str(small_store(tmp_path / "x.h5"))]
    with (tmp_path / "x.h5").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for asked, code in (("TRUE", 2), ("FALSE", 0)):
            environment = {**os.environ, "HDF5_USE_FILE_LOCKING": asked}  # HDF5 reads it once
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stderr
            assert ("HDF5_USE_FILE_LOCKING=FALSE" in done.stderr) == (code == 2)
            assert "fetch it again" not in done.stderr


def test_a_store_that_another_process_writes_is_not_called_damaged(tmp_path: Path) -> None:
    path = small_store(tmp_path / "x.h5")
    program = f"import h5py, sys; file = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(UserError, match="another process") as caught:
            open_any(path)
        other.communicate(b"")
    assert "fetch it again" not in caught.value.fix
    with hdf5.open_store(path, "policy", 1):
        pass  # now it is closed


def small_store(path: Path) -> Path:
    with PolicyStoreWriter(path, PolicyLayout.mlp(3, 4, 2, ("relu", "relu")), {"route": "test"}):
        pass
    return path


def test_rows_that_the_file_does_not_hold_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("chunks", (10**7, 5), "f4", chunks=(1024, 5), compression="gzip")
        file.create_dataset("contiguous", (10**7,), "f4")
        file.create_dataset("zeros", data=np.zeros((10**6, 5), np.float32), chunks=(10_000, 5), compression="gzip")
        file.create_dataset("few", (1000,), "f4")
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((8,))
        made.set_deflate(9)
        made.set_deflate(9)
        space = h5py.h5s.create_simple((8,))
        h5py.h5d.create(file.id, b"twice", h5py.h5t.IEEE_F32LE, space, made)
        for name, tail, reason in (
            ("chunks", (5,), "claims 200000000 bytes, of which the file holds 0"),
            ("contiguous", (), "claims 40000000 bytes"),
            ("twice", (), "one filter several times"),
        ):
            with pytest.raises(UserError, match=reason):
                hdf5.dataset(file, name, ("float32",), tail, "x.h5")
        assert hdf5.dataset(file, "zeros", ("float32",), (5,), "x.h5").shape == (10**6, 5)
        assert hdf5.dataset(file, "few", ("float32",), (), "x.h5").shape == (1000,)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), SystemError("x"), ValueError("x"), OSError("x")])
def test_whatever_h5py_raises_on_a_file_is_a_damaged_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    path = small_store(tmp_path / "x.h5")
    for place in ("_check_header", "task_groups"):
        with monkeypatch.context() as patched:
            patched.setattr(hdf5, place, fails)
            with pytest.raises(UserError, match="damaged"):
                open_any(path)

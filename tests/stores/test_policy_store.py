from __future__ import annotations

import errno
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout
from hyprepro.stores import atomic, hdf5
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from tests.conftest import TinyStores, build_tiny_stores

SMALL = PolicyLayout.mlp(3, 4, 2, ("relu", "relu"))


def small_writer(path: Path, dtype: str = "float16") -> PolicyStoreWriter:
    return PolicyStoreWriter(path, SMALL, {"route": "test"}, dtype)  # type: ignore[arg-type]


def small_params(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, SMALL.size)).astype(np.float32)


def append(writer: PolicyStoreWriter, params: np.ndarray, task: str = "reach", split: str = "train") -> None:
    writer.append(task, params, 1, 1000, 1.0, 20, 900.0, split)


@pytest.fixture
def copy(tiny_stores: TinyStores, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_stores.policies, tmp_path / "policies.h5"))


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path, params = tmp_path / "p.h5", small_params(9)
    with small_writer(path, "float32") as writer:
        writer.append("reach", params[:6], np.arange(6), 100 * np.arange(6), np.linspace(0, 1, 6), 20, 5.5, "train")
        writer.append("reach", params[6:], 7, 2**40, 1.0, 25, -1.0, "test")
        append(writer, params[:1], "door-open")
    with PolicyStore.open(path) as store:
        assert store.tasks == ("door-open", "reach")
        assert store.layout == SMALL
        assert store.route == {"route": "test"}
        assert (store.count("reach"), store.count("reach", "train"), store.count("door-open", "test")) == (9, 6, 0)
        np.testing.assert_array_equal(store.read("reach", range(9)), params)
        meta = store.meta("reach")
        np.testing.assert_array_equal(meta["seed"], [0, 1, 2, 3, 4, 5, 7, 7, 7])
        assert meta["step"][-1] == 2**40
        assert meta["split"].tolist() == ["train"] * 6 + ["test"] * 3
        np.testing.assert_allclose(meta["success"][:6], np.linspace(0, 1, 6), rtol=1e-6)
        assert store.verify() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 7), max_size=12))
def test_rows_come_in_the_order_asked_for(tiny_stores: TinyStores, rows: list[int]) -> None:
    with PolicyStore.open(tiny_stores.policies) as store:
        every = store.read("reach", range(8))
        np.testing.assert_array_equal(store.read("reach", rows), every[rows] if rows else np.empty((0, 22664)))


def test_float16_rounds_to_nearest(tmp_path: Path) -> None:
    params = small_params(5)
    with small_writer(tmp_path / "p.h5") as writer:
        append(writer, params)
    with PolicyStore.open(tmp_path / "p.h5") as store:
        np.testing.assert_array_equal(store.read("reach", range(5)), params.astype(np.float16).astype(np.float32))


def test_float16_overflow_is_refused_and_float32_takes_it(tmp_path: Path) -> None:
    params = small_params(1)
    params[0, 0] = 70_000.0
    with pytest.raises(UserError, match="too large for float16"), small_writer(tmp_path / "half.h5") as writer:
        append(writer, params)
    with small_writer(tmp_path / "single.h5", "float32") as writer:
        append(writer, params)
    assert [p.name for p in tmp_path.iterdir()] == ["single.h5"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_writer_refuses_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    params = small_params(2)
    params[1, 3] = value
    with pytest.raises(UserError, match="not finite"), small_writer(tmp_path / "p.h5") as writer:
        append(writer, params)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [1.01, -0.1, np.inf])
def test_the_writer_refuses_an_impossible_success_rate(tmp_path: Path, rate: float) -> None:
    with pytest.raises(UserError, match="success rate"), small_writer(tmp_path / "p.h5") as writer:
        writer.append("reach", small_params(1), 0, 0, rate, 20, 0.0, "train")


def test_an_environment_without_success_stores_nan_and_the_store_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    with small_writer(path) as writer:
        writer.append("velocity-0.600", small_params(2), 0, 0, np.nan, 5, [-20.0, -30.0], "train")
    with PolicyStore.open(path) as store:
        assert np.isnan(store.meta("velocity-0.600")["success"]).all()
        assert store.verify() == []


def test_the_writer_refuses_another_layout_split_or_name(tmp_path: Path) -> None:
    with small_writer(tmp_path / "p.h5") as writer:
        with pytest.raises(UserError, match="Expected policies of"):
            append(writer, np.zeros((2, 5)))
        with pytest.raises(UserError, match="split"):
            append(writer, small_params(1), split="trian")
        with pytest.raises(UserError, match="task name"):
            append(writer, small_params(1), task="../reach")
        append(writer, small_params(1))


def test_an_interrupted_writer_leaves_the_earlier_store_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    with small_writer(path) as writer:
        append(writer, small_params(1))
    before = path.read_bytes()

    def interrupted() -> None:
        with small_writer(path) as writer:
            append(writer, small_params(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writers_remains_do_not_disturb_the_next(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    (tmp_path / "p.h5.partial").write_bytes(b"half a store")
    with small_writer(path) as writer:
        append(writer, small_params(1))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["extend", "fsync"])
def test_a_full_disk_is_one_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "p.h5"
    with small_writer(path) as writer:
        append(writer, small_params(2))
    before = path.read_bytes()
    monkeypatch.setattr(*{"extend": (atomic, "extend"), "fsync": (atomic.os, "fsync")}[place], full)
    with pytest.raises(UserError, match="disk is full"), small_writer(path) as writer:
        append(writer, small_params(1))
    assert path.read_bytes() == before
    with PolicyStore.open(path) as store:
        assert store.verify() == []
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_folder_is_one_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be written"):
        small_writer(tmp_path / "missing" / "p.h5")


def test_equal_content_gives_equal_bytes_and_digests(tiny_stores: TinyStores, tmp_path: Path) -> None:
    again = build_tiny_stores(tmp_path)
    assert again.policies.read_bytes() == tiny_stores.policies.read_bytes()
    assert again.trajectories.read_bytes() == tiny_stores.trajectories.read_bytes()


def test_the_digest_is_over_content_not_over_file_bytes(tmp_path: Path) -> None:
    params, digests = small_params(8), []
    for blocks in ([8], [3, 5], [1] * 8):
        path = tmp_path / f"{len(blocks)}.h5"
        with small_writer(path) as writer:
            for part in np.split(params, np.cumsum(blocks)[:-1]):
                append(writer, part)
        with PolicyStore.open(path) as store:
            digests.append(store.digest)
    assert len(set(digests)) == 1


@pytest.mark.parametrize("change", ["params", "seed", "route", "task"])
def test_the_digest_depends_on(tmp_path: Path, change: str) -> None:
    digests = []
    for changed in (False, True):
        params, path = small_params(3), tmp_path / f"{changed}.h5"
        params[2, -1] += changed and change == "params"
        route = {"route": "other" if changed and change == "route" else "one"}
        with PolicyStoreWriter(path, SMALL, route, "float32") as writer:
            seed = int(changed and change == "seed")
            task = "reach-wall" if changed and change == "task" else "reach"
            writer.append(task, params, seed, 0, 1.0, 20, 0.0, "train")
        with PolicyStore.open(path) as store:
            digests.append(store.digest)
    assert digests[0] != digests[1]


def test_reading_and_verifying_take_the_same_memory_for_a_larger_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "BLOCK_BYTES", 2**15)
    peaks = []
    for count in (1_000, 8_000):
        path = tmp_path / f"{count}.h5"
        with small_writer(path) as writer:
            for block in range(count // 500):
                append(writer, small_params(500, block))
        with PolicyStore.open(path) as store:
            tracemalloc.start()
            assert store.verify() == []
            store.read("reach", [0, count // 2, count - 1])
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    stored = 7_000 * SMALL.size * 2
    tables = 7_000 * 8 * 8  # per-row tables, not parameters
    assert peaks[1] - peaks[0] < tables < stored


def damage(path: Path, edit: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        edit(file)


def set_text(name: str, text: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file.attrs[name]
        hdf5.write_text(file, name, text)

    return edit


def replace(name: str, data: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = data

    return edit


def link(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = h5py.ExternalLink("/etc/passwd", "/")

    return edit


def external(file: h5py.File) -> None:
    del file["policies/reach/params"]
    shape = (8, METAWORLD_LAYOUT.size)
    file.create_dataset("policies/reach/params", shape, "f2", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


BAD: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "newer schema": (lambda f: f.attrs.modify("schema", np.int64(2)), "newer hyprepro: schema 2"),
    "older schema": (lambda f: f.attrs.modify("schema", np.int64(0)), "older hyprepro"),
    "no schema": (lambda f: f.attrs.__delitem__("schema"), "does not state its schema"),
    "many schemas": (lambda f: f.attrs.create("schema", np.ones(1000, int)), "does not state its schema"),
    "many kinds": (lambda f: f.attrs.create("kind", np.array([b"policy"] * 9)), "not text"),
    "no kind": (lambda f: f.attrs.__delitem__("kind"), "lacks the attribute 'kind'"),
    "no digest": (lambda f: f.attrs.__delitem__("digest"), "lacks the attribute 'digest'"),
    "wrong kind": (set_text("kind", "trajectory"), "is a trajectory store, not a policy store"),
    "layout is not JSON": (set_text("layout", "{'a': 1}"), "not valid JSON"),
    "layout is NaN": (set_text("layout", '{"layers": NaN}'), "not valid JSON"),
    "layout too deep": (set_text("layout", "[" * 50_000), "not valid JSON"),
    "layout is a list": (set_text("layout", "[]"), "must be a JSON object"),
    "layout malformed": (set_text("layout", '{"layers": []}'), "layout"),
    "attribute of another type": (lambda f: f.attrs.create("route", [1, 2, 3]), "not text"),
    "other splits": (set_text("splits", '{"test": 0}'), "splits"),
    "odd task name": (lambda f: f.move("policies/reach", "policies/re..ach"), "unusual name"),
    "no params": (lambda f: f.__delitem__("policies/reach/params"), "lacks a member"),
    "a soft link": (lambda f: f.__setitem__("policies/extra", h5py.SoftLink("/policies/reach")), "link to elsewhere"),
    "an external link": (link("policies/reach/params"), "link to elsewhere"),
    "external storage": (external, "stored outside the file"),
    "a group for params": (replace("policies/reach/params", h5py.Empty("f2")), "Expected the shape"),
    "other width": (
        replace("policies/reach/params", np.zeros((8, 5), "f2")),
        r"Expected the shape \[rows, 22664\]",
    ),
    "float64": (replace("policies/reach/params", np.zeros((8, 22664))), "Expected float16 or float32, found float64"),
    "objects": (replace("policies/reach/seed", ["a"] * 8), "Expected int32"),
    "unequal columns": (replace("policies/reach/seed", np.zeros(7, np.int32)), "8 policies but 7 entries"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_store_is_refused_when_opened(copy: Path, case: str) -> None:
    edit, message = BAD[case]
    damage(copy, edit)
    with pytest.raises(UserError, match=message) as caught:
        PolicyStore.open(copy)
    assert str(copy) in caught.value.where or "layout" in case


def test_a_missing_store_names_the_nearest_file(copy: Path) -> None:
    with pytest.raises(UserError, match="no policy store") as caught:
        PolicyStore.open(copy.with_name("polices.h5"))
    assert caught.value.closest == "policies.h5"


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_a_truncated_store_is_refused(copy: Path, keep: float) -> None:
    data = copy.read_bytes()
    copy.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=r"truncated|cannot be opened"):
        PolicyStore.open(copy)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    path.write_bytes(b"\x80\x04\x95 a pickle, perhaps" * 100)
    with pytest.raises(UserError, match="cannot be opened"):
        PolicyStore.open(path)


def test_another_layout_than_expected_is_refused_and_other_activations_are_not(tmp_path: Path) -> None:
    with small_writer(tmp_path / "small.h5") as writer:
        append(writer, small_params(1))
    with pytest.raises(UserError, match="another layout") as caught:
        PolicyStore.open(tmp_path / "small.h5", METAWORLD_LAYOUT)
    assert "22664" in caught.value.what
    elu = PolicyLayout.mlp(3, 4, 2, ("elu", "relu"))
    with PolicyStore.open(tmp_path / "small.h5", elu) as store:
        assert store.layout.activations == ("relu", "relu")


def test_a_nan_is_found_when_read_and_when_verified(copy: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["policies/reach/params"][5, 100] = np.nan

    damage(copy, edit)
    with PolicyStore.open(copy) as store:
        store.read("reach", [0, 4])
        with pytest.raises(UserError, match="not finite") as caught:
            store.read("reach", [4, 5])
        assert "row 5" in caught.value.where
        problems = store.verify()
    assert problems[0] == "reach/params: 1 values are not finite"
    assert "digest" in problems[1]


def test_a_changed_value_does_not_match_the_digest(copy: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["policies/reach/success"][0] = 1.0

    damage(copy, edit)
    with PolicyStore.open(copy) as store:
        assert any("does not match the digest" in problem for problem in store.verify())


def test_a_damaged_chunk_is_found(copy: Path) -> None:
    with h5py.File(copy, "r") as file:
        chunk = file["policies/reach/params"].id.get_chunk_info(1)
    data = bytearray(copy.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    data[middle : middle + 64] = bytes(64)
    copy.write_bytes(bytes(data))
    with PolicyStore.open(copy) as store:
        store.read("reach", [0, 1])
        with pytest.raises(UserError, match="damaged"):
            store.read("reach", [5])
        assert any("damaged" in problem for problem in store.verify())


def test_rows_and_tasks_that_do_not_exist_are_user_errors(tiny_stores: TinyStores) -> None:
    with PolicyStore.open(tiny_stores.policies) as store:
        for row in (-1, 8):
            with pytest.raises(UserError, match="of 8 policies"):
                store.read("reach", [0, row])
        with pytest.raises(UserError, match="no task 'raech'") as caught:
            store.read("raech", [0])
        assert caught.value.closest == "reach"

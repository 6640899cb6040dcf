"""Prompts from demonstrations of a user's own: objects, files, and files that are not what they say."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.stores.demonstrations import Demonstration, prompts_of
from hyprepro.stores.exchange.minari import export_minari
from hyprepro.stores.prompts import Prompts, read_prompts
from hyprepro.stores.trajectory_store import Episode, TrajectoryStore
from tests.conftest import TINY_STEPS, TINY_SUCCESS_STEP, TinyStores
from tests.stores.hostile import Creates, assert_it_would_work


@pytest.fixture(scope="module")
def episode(tiny_stores: TinyStores) -> Episode:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        return store.episode("reach", int(store.ids("reach", "test")[0]))


@pytest.fixture(scope="module")
def stored(tiny_stores: TinyStores) -> Prompts:
    """The prompts that the store itself cuts."""
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        return read_prompts(store, "reach", "test")


def arrays(episode: Episode, **changed: Any) -> dict[str, Any]:
    whole = {"observations": episode.observations, "actions": episode.actions, "success": episode.success_step}
    return {**whole, **changed}


def flags(steps: int = TINY_STEPS, first: int = TINY_SUCCESS_STEP) -> NDArray[np.bool_]:
    return np.arange(steps) >= first


def saved(path: Path, **named: Any) -> Path:
    np.savez(path, **named)
    return path


def assert_first(prompts: Prompts, stored: Prompts) -> None:
    """One prompt, and it is the store's first."""
    np.testing.assert_array_equal(prompts.tau, stored.tau[:1])
    np.testing.assert_array_equal(prompts.tau_hat, stored.tau_hat[:1])


FORMS: dict[str, Callable[[Episode], object]] = {
    "step": lambda e: Demonstration(e.observations, e.actions, e.success_step),
    "flags": lambda e: Demonstration(e.observations, e.actions, flags()),
    "flags with the reset's": lambda e: Demonstration(e.observations, e.actions, np.r_[False, flags()]),
    "flags as numbers": lambda e: Demonstration(e.observations, e.actions, flags().astype(float)),
    "lists": lambda e: Demonstration(e.observations.tolist(), e.actions.tolist(), flags().tolist()),
    "no last observation": lambda e: Demonstration(e.observations[:-1], e.actions, e.success_step),
    "float64": lambda e: Demonstration(e.observations.astype(float), e.actions.astype(float), e.success_step),
    "mapping": arrays,
    "stored episode": lambda e: e,
    "list": lambda e: [Demonstration(e.observations, e.actions, e.success_step)],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_episode_gives_the_stored_prompt(form: str, episode: Episode, stored: Prompts) -> None:
    assert_first(prompts_of(FORMS[form](episode), "reach"), stored)


def test_several_at_once_stay_in_order(episode: Episode, stored: Prompts, tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", **arrays(episode))
    found = prompts_of([stored.subset([2, 1]), str(path)])
    np.testing.assert_array_equal(found.tau, stored.tau[[2, 1, 0]])
    assert (found.task, found.policy_rows[2]) == ("reach", -1)


def test_a_trajectory_store_gives_its_test_prompts(tiny_stores: TinyStores, stored: Prompts) -> None:
    np.testing.assert_array_equal(prompts_of(tiny_stores.trajectories, "reach", limit=3).tau, stored.tau[:3])
    with pytest.raises(UserError) as caught:
        prompts_of(tiny_stores.trajectories, "raech")
    assert caught.value.closest == "reach"
    with pytest.raises(UserError, match="2 tasks"):
        prompts_of(tiny_stores.trajectories)


def test_minari_datasets_by_object_folder_and_id(
    tiny_stores: TinyStores, stored: Prompts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        export_minari(store, tmp_path / "mine", "test")
    dataset = library.load_dataset("mine/reach-v0")
    folder = tmp_path / "mine" / "reach-v0"
    for source in (dataset, str(folder), folder / "data", folder / "data" / "main_data.hdf5", "mine/reach-v0"):
        np.testing.assert_array_equal(prompts_of(source).tau, stored.tau)
    assert len(prompts_of(dataset.filter_episodes(lambda episode: episode.id in (1, 3)))) == 2
    with pytest.raises(UserError, match="does not say where it succeeds") as caught:
        prompts_of(dataset[0])
    assert "Demonstration(" in caught.value.fix
    with pytest.raises(UserError) as caught:
        prompts_of("mine/raech-v0")
    assert caught.value.closest == "mine/reach-v0"


def minari_file(folder: Path, episode: Episode, **changed: Any) -> Path:
    """A dataset as minari's collector writes it: the success is an info, with that of the reset."""
    (folder / "data").mkdir(parents=True)
    parts = {"observations": episode.observations, "actions": episode.actions, "infos/success": np.r_[False, flags()]}
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for name, value in {**parts, **changed}.items():
            if value is not None:
                file[f"episode_0/{name}"] = value
    return folder


def test_a_minari_episode_tells_its_success_as_an_info(episode: Episode, stored: Prompts, tmp_path: Path) -> None:
    assert_first(prompts_of(minari_file(tmp_path / "set", episode)), stored)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"infos/success": None}, "where it succeeds"),
        ({"infos/success": np.zeros(TINY_STEPS, dtype=bool)}, "never succeeds"),
        ({"observations": np.zeros((67, 17), dtype=np.float32)}, "shape"),
        ({"observations": None, "observations/state": np.zeros((67, 39))}, "not a dataset"),
        ({"actions": h5py.SoftLink("/episode_0/observations")}, "link"),
        ({"actions": h5py.ExternalLink("/etc/passwd", "/")}, "link"),
    ],
)
def test_an_unfit_minari_dataset(changed: dict[str, Any], words: str, episode: Episode, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as caught:
        prompts_of(minari_file(tmp_path / "set", episode, **changed))
    assert "main_data.hdf5" in caught.value.where


UNFIT: dict[str, tuple[Callable[[Episode], dict[str, Any]], str]] = {
    "too short": (lambda e: arrays(e, observations=e.observations[:60], actions=e.actions[:59], success=9), "60 steps"),
    "never succeeds": (lambda e: arrays(e, success=np.zeros(TINY_STEPS)), "never succeeds"),
    "no success by number": (lambda e: arrays(e, success=-1), "never succeeds"),
    "ends with its success": (lambda e: arrays(e, success=TINY_STEPS - 1), "3 states from its success"),
    "success beyond the end": (lambda e: arrays(e, success=TINY_STEPS), "at which of 66 steps"),
    "success as a truth": (lambda e: arrays(e, success=True), "at which of 66 steps"),
    "rates as flags": (lambda e: arrays(e, success=np.full(TINY_STEPS, 0.5)), "at which of 66 steps"),
    "flags of another episode": (lambda e: arrays(e, success=flags(40, 9)), "at which of 66 steps"),
    "NaN flags": (lambda e: arrays(e, success=np.full(TINY_STEPS, np.nan)), "at which of 66 steps"),
    "other observations": (lambda e: arrays(e, observations=e.observations[:, :36]), r"\[67, 36\]; expected"),
    "other actions": (lambda e: arrays(e, actions=e.actions[:, :3]), r"\[66, 3\]; expected"),
    "actions beyond their range": (lambda e: arrays(e, actions=e.actions + 3), "outside -1 to 1"),
    "a batch": (lambda e: arrays(e, observations=e.observations[None]), r"\[1, 67, 39\]; expected"),
    "two episodes mixed": (lambda e: arrays(e, actions=e.actions[:-5]), "not of one episode"),
    "NaN": (
        lambda e: arrays(e, observations=np.where(np.arange(67)[:, None] == 5, np.nan, 0.1)[:, [0] * 39]),
        "step 5",
    ),
    "too large for float32": (lambda e: arrays(e, observations=e.observations.astype(float) + 1e300), "not finite"),
    "a hidden goal": (
        lambda e: arrays(e, observations=np.where(np.arange(39) < 36, e.observations, 0)),
        "The goal is hidden",
    ),
    "complex": (lambda e: arrays(e, actions=e.actions.astype(complex)), "complex"),
    "words": (lambda e: arrays(e, actions=np.full((66, 4), "left")), "no array"),
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("as_file", [False, True])
def test_what_cannot_be_a_prompt_is_refused_by_name(name: str, as_file: bool, episode: Episode, tmp_path: Path) -> None:
    make, words = UNFIT[name]
    content = make(episode)
    source = saved(tmp_path / "mine.npz", **content) if as_file else content
    with pytest.raises(
        UserError, match="Expected numbers" if as_file and name in ("complex", "words") else words
    ) as caught:
        prompts_of(source)
    assert caught.value.fix
    assert ("mine.npz" in caught.value.where) == as_file


@pytest.mark.parametrize("source", [None, 3, b"bytes", np.zeros((60, 39)), [], object()])
def test_what_is_no_demonstration_at_all(source: object) -> None:
    with pytest.raises(UserError) as caught:
        prompts_of(source)
    assert caught.value.fix


def test_ragged_lists_are_no_array(episode: Episode) -> None:
    with pytest.raises(UserError, match="no array of numbers"):
        prompts_of(arrays(episode, actions=[[0.0], [0.0, 1.0]]))


def test_of_two_tasks_one_is_refused(episode: Episode) -> None:
    with pytest.raises(UserError, match="several tasks: door-open, reach"):
        prompts_of([episode, replace(episode, task="door-open")])


def npy(header: dict[str, Any], data: bytes = b"") -> bytes:
    """An array file with a header of one's own."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def zipped(path: Path, episode: Episode, **members: bytes) -> Path:
    """An .npz file with some members replaced by these bytes."""
    np.savez(path, **arrays(episode))
    with zipfile.ZipFile(path) as old:
        content = {name.removesuffix(".npy"): old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in {**content, **members}.items():
            new.writestr(f"{name}.npy", data)
    return path


def test_a_pickle_in_a_file_is_never_loaded(episode: Episode, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    assert_it_would_work(victim)
    path = saved(tmp_path / "mine.npz", **arrays(episode, actions=np.array([Creates(victim)], dtype=object)))
    with pytest.raises(UserError, match="Expected numbers"):
        prompts_of(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("shape", "words"),
    [((10**12, 4), "does not fit its size"), ((66, 4, 10**9), "does not fit"), ((-66, 4), "header|Expected")],
)
def test_a_header_that_promises_more_than_there_is(
    shape: tuple[int, ...], words: str, episode: Episode, tmp_path: Path
) -> None:
    lie = npy({"descr": "<f4", "fortran_order": False, "shape": shape}, episode.actions.tobytes())
    with pytest.raises(UserError, match=words):
        prompts_of(zipped(tmp_path / "mine.npz", episode, actions=lie))


def test_a_small_file_that_unpacks_to_a_huge_array_is_not_unpacked(episode: Episode, tmp_path: Path) -> None:
    path, rows = zipped(tmp_path / "mine.npz", episode), 80_000_000
    with zipfile.ZipFile(path) as old:
        others = {name: old.read(name) for name in ("observations.npy", "success.npy")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name, data in others.items():
            new.writestr(name, data)
        with new.open("actions.npy", "w") as member:
            member.write(npy({"descr": "|i1", "fortran_order": False, "shape": (rows, 4)}))
            for _ in range(40):
                member.write(bytes(rows // 10))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="at most 1000000 steps"):
            prompts_of(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"observations,actions\n1,2\n", b"\x80\x04N."])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged, or neither") as caught:
        prompts_of(path)
    assert str(path) in caught.value.where


def test_a_truncated_file(episode: Episode, tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", **arrays(episode))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        prompts_of(path)


def test_a_damaged_member(episode: Episode, tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.npz", **arrays(episode))
    content = bytearray(path.read_bytes())
    content[content.index(b"actions.npy") + 400] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="damaged"):
        prompts_of(path)


def test_a_missing_array_is_answered_with_the_closest_name(episode: Episode, tmp_path: Path) -> None:
    content = arrays(episode)
    content["observation"] = content.pop("observations")
    with pytest.raises(UserError, match="'observations' is missing") as caught:
        prompts_of(saved(tmp_path / "mine.npz", **content))
    assert caught.value.closest == "observation"


def test_a_file_that_is_not_there_is_answered_with_the_closest_one(episode: Episode, tmp_path: Path) -> None:
    saved(tmp_path / "mine.npz", **arrays(episode))
    with pytest.raises(UserError, match="no such file") as caught:
        prompts_of(tmp_path / "mien.npz")
    assert caught.value.closest == "mine.npz"


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-this-name/mine.npz", "nul\0.npz", ""])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(UserError) as caught:
        prompts_of(name)
    assert caught.value.fix

"""Demonstrations of one's own, and the prompts cut from them: arrays, objects of other libraries, files.

A demonstration is one episode with the step at which it first succeeded. It is taken from

    arrays          `Demonstration(observations, actions, success)`, or a mapping with these names
    FILE.npz        these names; no pickle is ever loaded, and sizes are checked before anything is read
    Minari          a dataset or one of its episodes; the folder of a dataset, or the id of one below Minari's root
    hyprepro        an episode or prompts of a trajectory store, or the store's file

A Minari episode says by `infos/success` where it succeeds, or by the option `success_step`, as those do that
`export_minari` wrote. The last two kinds of files are HDF5, whose reader trusts nothing (`hdf5`).
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyprepro.errors import UserError, closest_match
from hyprepro.stores import hdf5
from hyprepro.stores.prompts import ACTION_SIZE, FRAME, OBSERVATION_SIZE, Prompts, prompt_from_episode, read_prompts
from hyprepro.stores.trajectory_store import MAX_STEPS, TrajectoryStore

NAMES = ("observations", "actions", "success")
LIMIT = 100
"""Demonstrations that are taken from one source, from the first."""

_SHAPES = f"observations [T + 1, {OBSERVATION_SIZE}], actions [T, {ACTION_SIZE}]"
_SUCCESS = "success: the number of the first step that succeeded, from 0, or a flag of every step [T]"
_MAX_BYTES = 8 * OBSERVATION_SIZE * (MAX_STEPS + 1)
_MINARI_FILE = "main_data.hdf5"
_FIX_MINARI = f"name a Minari dataset of plain arrays, {_SHAPES}, with infos/success or the option success_step"
_FIX_NPZ = f"write it by: numpy.savez(FILE, observations=..., actions=..., success=...) with {_SHAPES}, {_SUCCESS}"


class Demonstration(NamedTuple):
    """One episode of T steps.

    Attributes:
        observations: `[T + 1, O]`; `[T, O]` without the last one.
        actions: `[T, A]`, in [-1, 1]; action t was taken at observation t.
        success: The first step that succeeded, counted from 0, or the success flag of every step `[T]`.
        where: What it is, for messages.
    """

    observations: ArrayLike
    actions: ArrayLike
    success: ArrayLike
    where: str = "the demonstration"


def prompts_of(source: object, task: str = "", limit: int = LIMIT) -> Prompts:
    """The prompts cut from whatever holds demonstrations of one task (see the module), in its order.

    Args:
        source: One or a sequence of what the module lists.
        task: Their task; empty: the one that the source itself says, which may be none.
        limit: At most so many from each source.

    Raises:
        UserError: It is nothing of the kind, or an episode that cannot be a prompt.
    """
    parts = list(_parts(source, task, limit))
    if not parts:
        raise UserError("There is no demonstration here.", where=_named(source), fix="give at least one episode")
    told = sorted({part.task for part in parts} - {""})
    if len(told) > 1:
        raise UserError(
            f"These are demonstrations of several tasks: {', '.join(told)}.",
            where=_named(source),
            fix="give those of one task at a time",
        )
    return Prompts(
        task or "".join(told),
        parts[0].split,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("tau", "tau_hat", "policy_rows", "episode_ids")
        ),
    )


def _parts(source: object, task: str, limit: int) -> Iterator[Prompts]:
    """Prompts of every source within a source."""
    if isinstance(source, Prompts):
        yield source.subset(range(min(limit, len(source))))
    elif isinstance(source, str | Path):
        yield from _of_path(str(source), task, limit)
    elif isinstance(source, Mapping) or hasattr(source, "actions"):
        yield _cut([_of_object(source)], str(getattr(source, "task", "") or task))
    elif hasattr(source, "iterate_episodes"):
        yield _cut(_of_minari(source, limit), task)
    elif isinstance(source, Iterable) and not isinstance(source, bytes | np.ndarray):
        for each in source:
            yield from _parts(each, task, limit)
    else:
        raise UserError(
            f"This is no demonstration, but of the type {type(source).__name__}.",
            fix=f"hyprepro.Demonstration(observations, actions, success), with {_SHAPES}, {_SUCCESS}",
        )


def _cut(demonstrations: Iterable[Demonstration], task: str) -> Prompts:
    pairs = [_prompt(each) for each in demonstrations]
    if not pairs:
        raise UserError("There is no episode in this source.", fix="give at least one episode")
    none = np.full(len(pairs), -1, dtype=np.int64)
    return Prompts(task, "test", np.stack([tau for tau, _ in pairs]), np.stack([hat for _, hat in pairs]), none, none)


def _prompt(demonstration: Demonstration) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    where = demonstration.where
    observations = _rows(demonstration.observations, "observations", OBSERVATION_SIZE, where)
    actions = _rows(demonstration.actions, "actions", ACTION_SIZE, where)
    if len(observations) - len(actions) not in (0, 1):
        raise UserError(
            f"{len(observations)} observations and {len(actions)} actions are not of one episode.",
            where=where,
            fix=f"give {_SHAPES}: action t was taken at observation t",
        )
    largest = float(np.abs(actions).max(initial=0.0))
    if largest > 1.0 + 1e-6:
        raise UserError(
            f"An action of {largest:g} lies outside -1 to 1.",
            where=where,
            fix="give the actions as the environment takes them: numpy.clip(actions, -1, 1)",
        )
    if len(observations) and not observations[:, 2 * FRAME :].any():
        raise UserError(
            "The goal is hidden: the last numbers of all observations are 0.",
            where=where,
            fix="record it where the goal is observed (Meta-World's MT1 shows it, ML1 hides it)",
        )
    step = _first_success(demonstration.success, len(actions), where)
    try:
        return prompt_from_episode(observations, actions, step)
    except UserError as error:
        raise UserError(error.what, where=where, fix=error.fix) from None


def _array(value: ArrayLike, name: str, where: str) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{name} are no array of numbers: {error}.", where=where, fix=f"give {_SHAPES}, {_SUCCESS}"
        ) from None
    if array.dtype.kind not in "fiub" or array.size > OBSERVATION_SIZE * (MAX_STEPS + 1):
        raise UserError(
            f"{name} are no array of at most {MAX_STEPS} steps of numbers: {array.dtype} {list(array.shape)}.",
            where=where,
            fix=f"give {_SHAPES}, {_SUCCESS}",
        )
    return array


def _rows(value: ArrayLike, name: str, size: int, where: str) -> NDArray[np.float32]:
    """An array `[rows, size]` of finite numbers."""
    array = _array(value, name, where)
    if array.ndim != 2 or array.shape[1] != size:
        raise UserError(
            f"{name} have the shape {list(array.shape)}; expected [steps, {size}].", where=where, fix=f"give {_SHAPES}"
        )
    with np.errstate(over="ignore"):
        rows = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise UserError(
            f"{name} have a value that is not finite at step {bad[0]}.",
            where=where,
            fix="leave this episode out; its simulation has diverged, or it was not recorded whole",
        )
    return rows


def _first_success(value: ArrayLike, steps: int, where: str) -> int:
    """The first step with success, -1 if there is none, of a number or of flags."""
    array = _array(value, "success", where)
    if array.ndim == 0 and array.dtype.kind in "iu" and -1 <= int(array) < steps:
        return int(array)
    flags = array[1:] if array.shape == (steps + 1,) else array  # with the flag of the reset
    if flags.shape != (steps,) or not np.isin(flags, (0, 1)).all():
        raise UserError(
            f"success does not say at which of {steps} steps the episode first succeeded.", where=where, fix=_SUCCESS
        )
    return int(flags.argmax()) if flags.any() else -1


def _named(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else ""


# Objects


def _of_object(source: Any) -> Demonstration:
    """A mapping, a `Demonstration`, an episode of a store or of Minari: its success is a value or an info."""
    where = "the demonstration"
    if isinstance(source, Mapping):
        _require(source, where, f"give {_SHAPES}, {_SUCCESS}")
        observations, actions, success = (source[name] for name in NAMES)
        return Demonstration(observations, actions, success, where)
    if isinstance(source, Demonstration):
        return source
    where = f"episode {getattr(source, 'id', '')}".strip()
    success = getattr(source, "success_step", None)
    return _told(source.observations, source.actions, success, getattr(source, "infos", None), where)


def _of_minari(dataset: Any, limit: int) -> Iterator[Demonstration]:
    """The episodes of a `minari.MinariDataset`."""
    indices = list(dataset.episode_indices)[:limit]
    for number, episode, about in zip(
        indices, dataset.iterate_episodes(indices), dataset.storage.get_episode_metadata(indices), strict=True
    ):
        success = about.get("options", {}).get("success_step")
        yield _told(episode.observations, episode.actions, success, episode.infos, f"episode {number}")


def _told(observations: Any, actions: Any, success: Any, infos: Any, where: str) -> Demonstration:
    if success is None and isinstance(infos, Mapping):
        success = infos.get("success")
    if success is None:
        raise UserError(
            "The episode does not say where it succeeds.",
            where=where,
            fix="say it: hyprepro.Demonstration(episode.observations, episode.actions, success=STEP)",
        )
    return Demonstration(observations, actions, success, where)


# Files


def _of_path(source: str, task: str, limit: int) -> Iterator[Prompts]:
    try:
        path = Path(source).expanduser()
        if path.name == _MINARI_FILE or not path.is_file():
            yield _cut(_minari_episodes(_minari_file(source, path), limit), task)
        elif _starts_as_hdf5(path):
            yield _stored(path, task, limit)
        else:
            yield _cut([_npz(path)], task)
    except (OSError, RuntimeError) as error:  # a name that is too long, a home that nobody has, no permission
        raise UserError(
            "This cannot be read.", where=f"{source[:200]}: {error}", fix="check the path and its permissions"
        ) from None


def _starts_as_hdf5(path: Path) -> bool:
    """By the file's first bytes; h5py's own test wants a lock, which some file systems do not give."""
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _stored(path: Path, task: str, limit: int) -> Prompts:
    """The prompts of a trajectory store's task: of the test episodes, or of whatever it has."""
    with TrajectoryStore.open(path) as store:
        name = store.task(task)
        splits = [split for split in reversed(hdf5.SPLITS) if store.count(name, split)]
        return read_prompts(store, name, splits[0] if splits else "test", limit)


def _npz(path: Path) -> Demonstration:
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            _require(members, where, _FIX_NPZ)
            arrays = []
            for name in NAMES:
                with archive.open(members[name]) as file:
                    arrays.append(_npy(file, members[name].file_size, f"{where}:{name}"))
    except UserError:
        raise
    except Exception as error:  # zipfile and the decompressors below it raise many kinds
        raise UserError(
            "The file is damaged, or neither an .npz file of numpy.savez nor HDF5.",
            where=f"{where}: {error}",
            fix=_FIX_NPZ,
        ) from None
    observations, actions, success = arrays
    return Demonstration(observations, actions, success, where)


def _npy(file: IO[bytes], size: int, where: str) -> NDArray[Any]:
    """One array of plain numbers whose header says what the member's size says."""
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = read_header[np.lib.format.read_magic(file)](file)
    except Exception as error:  # numpy evaluates the header as a literal, which fails in many ways
        raise UserError("The array's header cannot be read.", where=f"{where}: {error}"[:200], fix=_FIX_NPZ) from None
    count = math.prod(shape)
    if dtype.hasobject or dtype.kind not in "fiub" or min(shape, default=0) < 0 or size > _MAX_BYTES:
        raise UserError(
            f"Expected numbers, of at most {MAX_STEPS} steps; found {dtype} {list(shape)}."[:300],
            where=where,
            fix=_FIX_NPZ,
        )
    if size != file.tell() + count * dtype.itemsize:
        raise UserError("The array's header does not fit its size: the file is damaged.", where=where, fix=_FIX_NPZ)
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _require(found: Mapping[str, Any], where: str, fix: str) -> None:
    for name in NAMES:
        if name not in found:
            raise UserError(f"{name!r} is missing.", where=where, closest=closest_match(name, map(str, found)), fix=fix)


def _minari_file(source: str, path: Path) -> Path:
    """The HDF5 file of a dataset, which is given by its folder or by its id below Minari's root."""
    root = Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")
    folder = path.parent if path.name == _MINARI_FILE else path
    places = [place / part / _MINARI_FILE for place in (folder, root / source) for part in ("data", "")]
    for place in places:
        if place.is_file():
            return place
    near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near += [str(p.parents[1].relative_to(root)) for p in root.glob(f"**/data/{_MINARI_FILE}")] if root.is_dir() else []
    raise UserError(
        "There is no such file, and no Minari dataset of this name.",
        where=f"{source}, and below {root}",
        closest=closest_match(source if source in near else path.name, near) or closest_match(source, near),
        fix="name an .npz file, a trajectory store, or a Minari dataset by its folder or its id",
    )


def _minari_episodes(path: Path, limit: int) -> Iterator[Demonstration]:
    with hdf5.open_unlocked(path, "Minari dataset") as file:
        with hdf5.reading(str(path)):
            numbers = sorted(int(found[1]) for name in file if (found := re.fullmatch(r"episode_(\d{1,9})", name)))
        for number in numbers[:limit]:
            where = f"{path}, episode {number}"
            try:
                group = hdf5.hard_member(file, f"episode_{number}", h5py.Group, str(path))
                observations = _minari_array(group, "observations", (OBSERVATION_SIZE,), str(path))
                actions = _minari_array(group, "actions", (ACTION_SIZE,), str(path))
                success = _minari_success(group, str(path))
            except UserError as error:
                raise UserError(error.what, where=error.where, fix=_FIX_MINARI) from None
            yield Demonstration(observations, actions, success, where)


_NUMBERS = ("float32", "float64", "float16", "bool", "uint8", "int8", "int32", "int64")


def _minari_array(group: h5py.Group, name: str, tail: tuple[int, ...], where: str) -> NDArray[Any]:
    data = hdf5.dataset(group, name, _NUMBERS, tail, where)
    if data.shape[0] > MAX_STEPS + 1:
        raise UserError(
            f"An episode of {data.shape[0]} steps; at most {MAX_STEPS} are read.",
            where=where,
            fix="cut the episode: a prompt is its first steps and where it ends",
        )
    return hdf5.read_rows(data, 0, data.shape[0], where)


def _minari_success(group: h5py.Group, where: str) -> ArrayLike:
    option = "options/success_step"
    with hdf5.reading(where):
        if option in group.attrs:
            stored = group.attrs.get_id(option)
            if stored.dtype.kind in "iu" and stored.shape == ():
                return int(group.attrs[option])
        has_infos = "infos" in group
    if not has_infos:
        raise UserError(
            "The episode does not say where it succeeds.",
            where=f"{where}:{group.name}",
            fix="store infos/success, one flag a step, or the option success_step",
        )
    return _minari_array(hdf5.hard_member(group, "infos", h5py.Group, where), "success", (), where)

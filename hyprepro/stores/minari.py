"""Episodes written as Minari datasets, in the HDF5 layout of minari 0.5.4, which need not be installed to write them.

One dataset a task, because a Minari dataset has one environment:

    DIR/NAME/<task>-v0/data/main_data.hdf5   /episode_<i>: observations [T + 1, O], actions [T, A], rewards,
                                             terminations, truncations [T]; attributes id, total_steps and options/*
                            metadata.json    spaces, counts, versions

`MINARI_DATASETS_PATH=DIR` and `minari.load_dataset("NAME/<task>-v0")` open one. What our stores know beyond Minari is
in each episode's options: goal_seed, policy_row, success_step, split. Goal seeds are no seeds of `env.reset`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.errors import UserError
from hyprepro.stores.atomic import AtomicFile
from hyprepro.stores.foreign import refuse_existing
from hyprepro.stores.prompts_only import refuse_prompts_only
from hyprepro.stores.trajectory_store import Episode, TrajectoryStore

FORMAT = "0.5.4"
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def export_minari(store: TrajectoryStore, out: Path, split: str | None = None) -> dict[str, int]:
    """Write a store's episodes below `out`; the folder appears complete or not at all.

    Args:
        store: Recorded episodes.
        out: DIR/NAME: a Minari root and the namespace of the datasets.
        split: Only the episodes of one split.

    Returns:
        Number of episodes by dataset id, such as `NAME/reach-v0`.

    Raises:
        UserError: `out` exists or cannot be a namespace, the store holds prompts only or no such episode, a full disk.
    """
    refuse_prompts_only(store)
    if not _NAMESPACE.fullmatch(out.name):
        raise UserError(
            "A Minari namespace has letters, digits, hyphens and underscores.",
            where=str(out),
            fix="--out DIR/NAME with such a NAME",
        )
    refuse_existing(out)
    counts = {task: store.count(task, split) for task in store.tasks if store.count(task, split)}
    if not counts:
        raise UserError(
            f"The store has no {split or ''} episode to export.",
            where=store.where,
            fix=f"leave out --split; what the store has: hyprepro store info {store.where}",
        )
    with _whole_folder(out) as work:
        for task in counts:
            _write_dataset(store, task, split, work / f"{task}-v0" / "data", f"{out.name}/{task}-v0")
    return {f"{out.name}/{task}-v0": count for task, count in counts.items()}


def _write_dataset(store: TrajectoryStore, task: str, split: str | None, folder: Path, dataset_id: str) -> None:
    folder.mkdir(parents=True)
    main = AtomicFile(folder / "main_data.hdf5")
    steps = 0
    try:
        with main.guard():
            for number, episode in enumerate(store.episodes(task, split)):
                _write_episode(main.file, number, episode)
                steps += len(episode.actions)
        main.commit()
    except BaseException:
        main.discard()
        raise
    size = (folder / "main_data.hdf5").stat().st_size
    metadata = {
        "dataset_id": dataset_id,
        "minari_version": FORMAT,
        "data_format": "hdf5",
        "total_episodes": store.count(task, split),
        "total_steps": steps,
        "dataset_size": round(size / 1e6, 1),
        "observation_space": _box(store.observation_size, float("inf")),
        "action_space": _box(store.action_size, 1.0),
        "jpeg_encoding": True,
        "requirements": [f"{name}=={store.versions.get(name, 'unknown')}" for name in ("metaworld", "mujoco")],
        "algorithm_name": str(store.route.get("summary", "")),
        "description": f"Meta-World {task}; exported from the trajectory store {store.digest}",
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))


def _write_episode(file: Any, number: int, episode: Episode) -> None:
    group = file.create_group(f"episode_{number}")
    steps = len(episode.actions)
    end = np.zeros(steps, dtype=bool)
    end[-1] = True  # recording stopped there; Meta-World has no terminal states
    arrays = {
        "observations": episode.observations,
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminations": np.zeros(steps, dtype=bool),
        "truncations": end,
    }
    for name, array in arrays.items():
        group.create_dataset(name, data=array, compression="gzip", shuffle=True, track_times=False)
    attributes = {
        "id": number,
        "total_steps": steps,
        "options/goal_seed": episode.goal_seed,
        "options/policy_row": episode.policy_row,
        "options/success_step": episode.success_step,
        "options/split": episode.split,
    }
    group.attrs.update(attributes)


def _box(size: int, bound: float) -> str:
    """A Box as minari writes it: JSON text, with Infinity."""
    space = {"type": "Box", "dtype": "float32", "shape": [size], "low": [-bound] * size, "high": [bound] * size}
    return json.dumps(space)


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, renamed to `out` at the end, removed if that is not reached."""
    work = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        yield work
        os.replace(work, out)
    except OSError as error:
        raise UserError(
            "The dataset could not be written.",
            where=f"{out}: {error.strerror or error}",
            fix="free some space, check that the folder is writable, and run the same command again",
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)

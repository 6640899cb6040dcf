"""Episodes written as Minari datasets, one a task, because a Minari dataset has one environment.

    DIR/NAME/<task>-v0/data/main_data.hdf5   /episode_<i>: observations [T + 1, O], actions [T, A], rewards,
                                             terminations, truncations [T]; attributes id, total_steps and options/*
                            metadata.json    spaces, environment, counts, versions

`MINARI_DATASETS_PATH=DIR` and `minari.load_dataset("NAME/<task>-v0")` open one, and its `recover_environment()` makes
the task's environment. What our stores know beyond Minari is in each episode's options: goal_seed, policy_row,
success_step, split. Goal seeds are no seeds of `env.reset`. The spaces are those of the stored numbers, since
metaworld's own space says of the goal, which is observed, that it is zero.

Names and metadata are written by minari itself. The episodes are not: on a full disk its writer ends the process with
a segmentation fault while HDF5 closes the file, which `AtomicFile` survives.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyprepro.errors import UserError, needing
from hyprepro.stores.atomic import AtomicFile
from hyprepro.stores.exchange.foreign import refuse_existing
from hyprepro.stores.prompts import refuse_prompts_only
from hyprepro.stores.trajectory_store import Episode, TrajectoryStore

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

Environment = Callable[[str], "EnvSpec | None"]
"""How gymnasium makes a task's environment."""

LIBRARIES = ("metaworld", "mujoco")
"""What an environment's numbers depend on; their versions are a dataset's requirements."""


def export_minari(
    store: TrajectoryStore, out: Path, split: str | None = None, environment: Environment = lambda task: None
) -> dict[str, int]:
    """Write a store's episodes below `out`; the folder appears complete or not at all.

    Args:
        store: Recorded episodes.
        out: DIR/NAME: a Minari root and the namespace of the datasets.
        split: Only the episodes of one split.
        environment: How gymnasium makes a task's environment; None for a task that has none.

    Returns:
        Number of episodes by dataset id, such as `NAME/reach-v0`; a dot of a task's name becomes an underscore.

    Raises:
        UserError: minari is missing, `out` exists or cannot be a namespace, the store holds prompts only or no such
            episode, a full disk.
    """
    refuse_prompts_only(store)
    _check_namespace(out)
    refuse_existing(out)
    tasks = {task: _dataset_id(out.name, task) for task in store.tasks if store.count(task, split)}
    if not tasks:
        raise UserError(
            f"The store has no {split or ''} episode to export.",
            where=store.where,
            fix=f"leave out --split; what the store has: hyprepro store info {store.where}",
        )
    with _whole_folder(out) as work:
        for task, dataset_id in tasks.items():
            _write_dataset(store, task, split, work / Path(dataset_id).name / "data", dataset_id, environment(task))
    return {dataset_id: store.count(task, split) for task, dataset_id in tasks.items()}


def _check_namespace(out: Path) -> None:
    """Refuse names with which minari cannot find these datasets, or no longer the others below the same root."""
    with needing("minari", "minari"):
        from minari.namespace import validate_namespace
    try:
        validate_namespace(out.name)
    except ValueError:
        raise UserError(
            "A Minari namespace has two or more letters, digits, hyphens and underscores.",
            where=str(out),
            fix="write DIR/NAME: Minari's root and a longer or simpler name in it, such as minari/metaworld",
        ) from None
    if out.name == "data":
        raise UserError(
            "Minari takes a folder with the name 'data' for the numbers of a dataset, here of its whole root.",
            where=str(out),
            fix="choose another name, such as minari/metaworld",
        )


def _dataset_id(namespace: str, task: str) -> str:
    """The id of a task's dataset. Minari knows no dots, and no task's name has an underscore."""
    return f"{namespace}/{task.replace('.', '_')}-v0"


def _write_dataset(
    store: TrajectoryStore, task: str, split: str | None, folder: Path, dataset_id: str, spec: EnvSpec | None
) -> None:
    import minari
    from gymnasium.spaces import Box
    from minari.dataset.minari_storage import MinariStorage

    folder.mkdir(parents=True)
    sizes = store.observation_size, store.action_size
    storage = MinariStorage.new(
        folder.resolve(),  # minari measures the size of relative folders at the wrong place
        Box(-np.inf, np.inf, sizes[:1], np.float32),
        Box(-1.0, 1.0, sizes[1:], np.float32),
        spec,
    )
    steps = _write_episodes(store, task, split, folder / "main_data.hdf5")
    storage.update_metadata(
        {
            "dataset_id": dataset_id,
            "minari_version": minari.__version__,
            "total_episodes": store.count(task, split),
            "total_steps": steps,
            "dataset_size": storage.get_size(),
            "requirements": [f"{name}=={store.versions[name]}" for name in LIBRARIES if _is_known(store, name)],
            "algorithm_name": str(store.route.get("summary", "")),
            "description": f"{task}; exported by hyprepro from the trajectory store {store.digest}",
        }
    )


def _is_known(store: TrajectoryStore, library: str) -> bool:
    return store.versions.get(library, "unknown") != "unknown"


def _write_episodes(store: TrajectoryStore, task: str, split: str | None, path: Path) -> int:
    """Write a task's episodes into a file that minari reads; returns the number of steps."""
    main = AtomicFile(path)
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
    return steps


def _write_episode(file: Any, number: int, episode: Episode) -> None:
    group = file.create_group(f"episode_{number}")
    steps = len(episode.actions)
    ends = np.zeros((2, steps), dtype=bool)
    ends[0 if episode.terminated else 1, -1] = True
    arrays = {
        "observations": episode.observations,
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminations": ends[0],
        "truncations": ends[1],
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

"""Which training runs stand behind a store's policies, and which of them nothing is trained on.

A run is told by its seed. One that gives a training policy is a *training run*, its further policies (split "test") and
their prompts included; from any other, an *unseen run*, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.stores.files import Runs
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore


def rows_of(store: PolicyStore, task: str, runs: Runs) -> NDArray[np.int64]:
    """Rows of a task's policies in split "test" that come from such runs `[k]`, ascending.

    A policy whose run is unknown (seed -1) counts as one of an unseen run.
    """
    meta = store.meta(task)
    trained = set(training_seeds(zip(meta["seed"].tolist(), meta["split"].tolist(), strict=True)))
    of_training = np.array([seed in trained for seed in meta["seed"].tolist()], dtype=bool)
    return np.flatnonzero((meta["split"] == "test") & (of_training == (runs == "training")))


_SOURCES: dict[Runs, str] = {"unseen": "runs that nothing is trained on", "training": "training runs"}


def prompt_ids(
    policies: PolicyStore, trajectories: TrajectoryStore, task: str, split: str, runs: Runs | None
) -> NDArray[np.int64]:
    """Ids of a task's episodes of a split `[k]`, ascending; of split "test" those that come from such runs.

    An episode whose policy is not stored counts as one of an unseen run.

    Args:
        policies: Tells which policy is of which run.
        trajectories: The episodes.
        task: The task.
        split: The split.
        runs: From which runs; None: the only ones that there are.

    Raises:
        UserError: There are none from such runs, or from both kinds and none was named.
    """
    ids = trajectories.ids(task, split)
    if split != "test" or not len(ids):
        return ids
    of_training = np.zeros(len(ids), dtype=bool)
    if task in policies.tasks:
        of_training = np.isin(trajectories.table(task)["policy_row"][ids], rows_of(policies, task, "training"))
    kinds: dict[Runs, NDArray[np.int64]] = {"training": ids[of_training], "unseen": ids[~of_training]}
    found = {kind: some for kind, some in kinds.items() if len(some)}
    if runs is None and len(found) > 1:
        counts = " and ".join(f"{len(some)} from {_SOURCES[kind]}" for kind, some in found.items())
        raise UserError(
            f"The store has two kinds of test prompts of {task}: {counts}.",
            where=trajectories.where,
            fix="-b \"Recipe.prompt_runs='unseen'\" (or 'training')",
        )
    if runs is not None and runs not in found:
        (other,), count = found, len(ids)
        raise UserError(
            f"The store has no test prompts of {task} from {_SOURCES[runs]}; its {count} are from {_SOURCES[other]}.",
            where=f"Recipe.prompt_runs = {runs!r}, {trajectories.where}",
            fix=f"-b \"Recipe.prompt_runs='{other}'\", or collect a store that has some: Selection."
            + ("prompt_policies" if runs == "training" else "test_seeds"),
        )
    return found[runs] if runs is not None else ids


def training_seeds(policies: Iterable[tuple[int, str]]) -> list[int]:
    """The seeds of training runs, ascending, from each policy's seed and split."""
    return sorted({seed for seed, split in policies if split == "train" and seed >= 0})


def untested(tasks: Mapping[str, Sequence[tuple[int, str]]]) -> list[str]:
    """The trained tasks without a policy of an unseen run, where other trained tasks have one, or no task has one.

    A store whose trained tasks and tested tasks are different ones lacks nothing.

    Args:
        tasks: The seed and the split of each policy of each task.
    """
    unseen = {task for task, policies in tasks.items() if _has_unseen(policies)}
    trained = [task for task, policies in tasks.items() if training_seeds(policies)]
    lacking = [task for task in trained if task not in unseen]
    return lacking if len(lacking) < len(trained) or not unseen else []


def _has_unseen(policies: Sequence[tuple[int, str]]) -> bool:
    trained = training_seeds(policies)
    return any(split == "test" and seed not in trained for seed, split in policies)

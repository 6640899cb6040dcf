"""Which training runs stand behind a store's policies, and which of them nothing is trained on.

A run is told by its seed. One that gives a training policy is a *training run*, its further policies (split "test") and
their prompts included; from any other, an *unseen run*, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyprepro.stores.policy_store import PolicyStore

Runs = Literal["unseen", "training"]
"""From which runs test prompts come."""


def rows_of(store: PolicyStore, task: str, runs: Runs) -> NDArray[np.int64]:
    """Rows of a task's policies in split "test" that come from such runs `[k]`, ascending.

    A policy whose run is unknown (seed -1) counts as one of an unseen run.
    """
    meta = store.meta(task)
    trained = set(training_seeds(zip(meta["seed"].tolist(), meta["split"].tolist(), strict=True)))
    of_training = np.array([seed in trained for seed in meta["seed"].tolist()], dtype=bool)
    return np.flatnonzero((meta["split"] == "test") & (of_training == (runs == "training")))


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

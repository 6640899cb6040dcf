"""Offline episodes as arrays: what MACAW and Prompt-DT are trained on and adapt from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.trajectory_store import TrajectoryStore

USES = {
    "train": "training episodes",
    "validation": "expert episodes",
    "test": "episodes that a method may adapt from",
}
"""What the splits of the trajectory store are for."""


@dataclass(frozen=True)
class Episodes:
    """Episodes of one task, of equal length T, those of early checkpoints first.

    Attributes:
        observations: `[N, T + 1, O]`.
        actions: `[N, T, A]`, in [-1, 1].
        rewards: `[N, T]`, for the episodes' own task.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def horizon(self) -> int:
        """T."""
        return int(self.actions.shape[1])

    def to_go(self, discount: float = 1.0) -> NDArray[np.float32]:
        """The discounted sum of the rewards from each step to the episode's end `[N, T]`."""
        result = np.zeros(self.rewards.shape, dtype=np.float64)
        following = np.zeros(len(self))
        for step in reversed(range(self.horizon)):
            following = self.rewards[:, step] + discount * following
            result[:, step] = following
        return result.astype(np.float32)


def read_episodes(files: StoreFiles, tasks: Iterable[str], split: str) -> list[Episodes]:
    """The episodes of one split of some tasks, in their order, from a trajectory store.

    Raises:
        UserError: No such task, no episodes of that split, episodes of unequal length, or a return that is not finite.
    """
    with files.open_trajectories() as store:
        return [_read(store, task, split) for task in tasks]


def read_buffer(files: StoreFiles, task: str) -> Episodes:
    """The episodes that a method may adapt from at a task it was not trained on.

    Those of split "test"; for a training task that was withheld, which has none, those of split "train".

    Raises:
        UserError: As `read_episodes`.
    """
    with files.open_trajectories() as store:
        is_withheld = not store.count(task, "test") and store.count(task, "train")
        return _read(store, task, "train" if is_withheld else "test")


def _read(store: TrajectoryStore, task: str, split: str) -> Episodes:
    where = f"{store.where}:/trajectories/{task}"
    found = list(store.episodes(task, split))
    if not found:
        raise UserError(
            f"{task} has no {USES[split]} (split {split!r}): the buffer is empty.",
            where=where,
            fix=f"hyprepro store info {store.path} shows how many there are",
        )
    lengths = {len(episode.actions) for episode in found}
    if len(lengths) > 1:
        raise UserError(
            f"The {split} episodes of {task} have from {min(lengths)} to {max(lengths)} steps.",
            where=where,
            fix="use a store whose episodes of a task are of one length; hyprepro collect makes one",
        )
    with np.errstate(over="ignore"):
        returns = [float(episode.rewards.sum()) for episode in found]
    if not np.isfinite(returns).all():
        raise UserError(
            f"A {split} episode of {task} has a return that is not finite.",
            where=where,
            fix=f"hyprepro store verify {store.path} lists all of them; collect or fetch the store again",
        )
    return Episodes(
        np.stack([episode.observations for episode in found]),
        np.stack([episode.actions for episode in found]),
        np.stack([episode.rewards for episode in found]),
    )

"""Offline episodes of Cheetah-Vel as arrays: what MACAW and Prompt-DT are trained on and adapt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.cheetah_vel.tasks import velocity_task
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT

if TYPE_CHECKING:
    from hyprepro.engine.stage import StoreFile
    from hyprepro.stores.trajectory_store import TrajectoryStore

USES = {
    "train": "training episodes",
    "validation": "expert episodes",
    "test": "episodes that a method may adapt from",
}
"""What the splits of the trajectory store are for."""


@dataclass(frozen=True)
class Episodes:
    """Episodes of one velocity, of equal length T, those of early checkpoints first.

    Attributes:
        observations: `[N, T + 1, O]`.
        actions: `[N, T, A]`, in [-1, 1].
        rewards: `[N, T]`, for the episodes' own velocity.
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


def read_episodes(file: StoreFile, velocities: Sequence[float], split: str) -> list[Episodes]:
    """The episodes of one split of some velocities, in their order, from a trajectory store.

    Raises:
        UserError: A store of another observation layout, no such velocity, no episodes of that split, episodes of
            unequal length, or a return that is not finite.
    """
    from hyprepro.stores.trajectory_store import TrajectoryStore

    with TrajectoryStore.open(file.path) as store:
        _check_layout(store)
        return [_read(store, velocity, split) for velocity in velocities]


def read_buffer(file: StoreFile, velocity: float) -> Episodes:
    """The episodes that a method may adapt from at a velocity it was not trained on.

    Those of split "test"; for a training velocity that was withheld, which has none, those of split "train".

    Raises:
        UserError: As `read_episodes`.
    """
    from hyprepro.stores.trajectory_store import TrajectoryStore

    with TrajectoryStore.open(file.path) as store:
        _check_layout(store)
        task = velocity_task(velocity)
        is_withheld = not store.count(task, "test") and store.count(task, "train")
        return _read(store, velocity, "train" if is_withheld else "test")


def _check_layout(store: TrajectoryStore) -> None:
    found, wanted = (
        (store.observation_size, store.action_size),
        (CHEETAH_LAYOUT.observation_size, CHEETAH_LAYOUT.action_size),
    )
    if found != wanted:
        raise UserError(
            f"The store holds {found[0]} observations and {found[1]} actions a step; Cheetah-Vel has {wanted[0]} and "
            f"{wanted[1]}.",
            where=store.where,
            fix=f"hyprepro store info {store.path} shows what it holds",
        )


def _read(store: TrajectoryStore, velocity: float, split: str) -> Episodes:
    task = velocity_task(velocity)
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
            fix="use a store whose episodes of a velocity are of one length: hyprepro collect cheetah-vel",
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

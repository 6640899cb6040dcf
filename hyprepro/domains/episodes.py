"""Rollouts: many short episodes, a few at a time, with one stacked forward pass a step for all of them.

Environment and controllers are deterministic, so an episode is run once for each pair of distinct controller and goal,
and its outcome counts for every identical controller. An episode ends at its first success, because the success flag at
any step is what counts. Nothing depends on the order of the episodes or on what ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.domains.metaworld.tasks import HORIZON, Goal

if TYPE_CHECKING:
    from hyprepro.policies.controllers import Controllers


class Episode(NamedTuple):
    """Controller `row` on `goal`."""

    row: int
    goal: Goal


class Outcome(NamedTuple):
    """Whether an episode succeeded, and after how many steps it did or was given up."""

    success: bool
    steps: int


def run_episodes(
    task: str,
    controllers: Controllers,
    episodes: Sequence[Episode],
    pool: EnvironmentPool,
    horizon: int = HORIZON,
    on_finished: Callable[[int, int], None] = lambda done, total: None,
) -> list[Outcome]:
    """The outcome of every episode, in the order given.

    Args:
        task: The Meta-World task.
        controllers: What acts. A controller whose action is not finite fails the episode there and then.
        episodes: What to run.
        pool: Where the environments come from.
        horizon: Steps after which an episode has failed.
        on_finished: Called with the number of distinct episodes done and their total.
    """
    same = controllers.representatives()
    keys = [Episode(int(same[episode.row]), episode.goal) for episode in episodes]
    outcomes = _Run(task, controllers, list(dict.fromkeys(keys)), pool, horizon).finish(on_finished)
    return [outcomes[key] for key in keys]


class _Run:
    """Distinct episodes, worked off in the pool's slots."""

    def __init__(
        self, task: str, controllers: Controllers, todo: list[Episode], pool: EnvironmentPool, horizon: int
    ) -> None:
        self._todo = todo
        self._horizon = horizon
        self._environments = pool.take(task, len(todo))
        slots = len(self._environments)
        self._session = controllers.session(slots)
        self._episodes = [Episode(0, Goal("fresh", 0))] * slots
        self._steps = [0] * slots
        self._begun = 0
        self._observations: NDArray[np.float32] = np.zeros((slots, 0), dtype=np.float32)

    def finish(self, on_finished: Callable[[int, int], None]) -> dict[Episode, Outcome]:
        outcomes: dict[Episode, Outcome] = {}
        active = [slot for slot in range(len(self._environments)) if self._begin(slot)]
        while active:
            actions = self._session.act(self._observations)
            are_finite = np.isfinite(actions)
            all_finite = bool(are_finite.all())
            ended = []
            for slot in active:
                success, finite = False, all_finite or bool(are_finite[slot].all())
                if finite:
                    self._observations[slot], success = self._environments[slot].advance(actions[slot])
                    self._steps[slot] += 1
                if success or not finite or self._steps[slot] == self._horizon:
                    outcomes[self._episodes[slot]] = Outcome(success, self._steps[slot])
                    ended.append(slot)
            for slot in ended:
                if not self._begin(slot):
                    active.remove(slot)
                on_finished(len(outcomes), len(self._todo))
        return outcomes

    def _begin(self, slot: int) -> bool:
        """Start the next episode in a slot, if one is left."""
        if self._begun == len(self._todo):
            return False
        episode = self._todo[self._begun]
        self._begun += 1
        first = self._environments[slot].reset(episode.goal)
        if self._observations.shape[1] == 0:
            self._observations = np.zeros((len(self._environments), len(first)), dtype=np.float32)
        self._observations[slot] = first
        self._episodes[slot], self._steps[slot] = episode, 0
        self._session.assign(slot, episode.row)
        return True

"""Rollouts: many episodes, a few at a time, with one stacked forward pass a step for all of them.

Simulator and controllers are deterministic, so an episode is run once for each pair of distinct controller and start,
and its outcome counts for every identical controller. Where the metric is success, an episode ends at its first
success, because the success flag at any step is what counts, and the next one begins in its slot. Where it is the
return, all are equally long, unless the environment ends one, so they begin together. Nothing depends on the order of
the episodes or on what ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.base import Domain, Simulator, Start, Step

if TYPE_CHECKING:
    from hyprepro.policies.controllers import Controllers


class Episode(NamedTuple):
    """Controller `row` from `start`."""

    row: int
    start: Start


class Outcome(NamedTuple):
    """What came of an episode.

    Attributes:
        success: Whether it succeeded; None where the domain's metric is the return.
        steps: After how many steps it did or was given up; None where every episode is whole.
        total: The undiscounted return; None where the domain's metric is success.
        held: Whether the success flag is true at the last step; None where the episode ended by its first success, or
            the metric is the return.
    """

    success: bool | None = None
    steps: int | None = None
    total: float | None = None
    held: bool | None = None


def run_episodes(
    domain: Domain,
    task: str,
    controllers: Controllers,
    episodes: Sequence[Episode],
    on_finished: Callable[[int, int], None] = lambda done, total: None,
    *,
    horizon: int | None = None,
    simulator: Callable[[int], Simulator] | None = None,
    whole: bool = False,
) -> list[Outcome]:
    """The outcome of every episode, in the order given.

    Args:
        domain: What the task is of.
        task: The task.
        controllers: What acts. An action that is not finite counts as zero where the domain says so; elsewhere it
            fails the episode there and then.
        episodes: What to run.
        on_finished: Called with the number of distinct episodes done and their total.
        horizon: Steps of an episode; None: the domain's.
        simulator: Makes a simulator of at most so many slots; None: the domain's.
        whole: Go on to the horizon after a success, to see whether it holds.
    """
    same = controllers.representatives()
    keys = [Episode(int(same[episode.row]), episode.start) for episode in episodes]
    todo = list(dict.fromkeys(keys))
    size = len(todo) if domain.metric.ends_episode else domain.episodes_at_once
    make = simulator or partial(domain.simulator, task)
    outcomes: dict[Episode, Outcome] = {}
    for first in range(0, len(todo), size or 1):
        wave = _Run(domain, make, controllers, todo[first : first + size], horizon or domain.horizon, whole)
        wave.finish(outcomes, lambda: on_finished(len(outcomes), len(todo)))
    return [outcomes[key] for key in keys]


class _Run:
    """Distinct episodes, worked off in a simulator's slots."""

    def __init__(
        self,
        domain: Domain,
        make: Callable[[int], Simulator],
        controllers: Controllers,
        todo: list[Episode],
        horizon: int,
        whole: bool,
    ) -> None:
        self._domain, self._todo, self._horizon, self._layout = domain, todo, horizon, domain.layout
        self._whole = whole
        self._simulator = make(min(domain.episodes_at_once, len(todo)))
        slots = self._simulator.slots
        self._session = controllers.session(slots)
        self._episodes = todo[:slots]
        self._steps = [0] * slots
        self._succeeded: list[int | None] = [None] * slots
        self._totals = np.zeros(slots)
        self._begun = 0
        self._observations: NDArray[np.float32] = np.zeros((slots, 0), dtype=np.float32)

    def finish(self, outcomes: dict[Episode, Outcome], on_finished: Callable[[], None]) -> None:
        """Run all episodes and add their outcomes; `on_finished` is called after each step that ended some."""
        active = [slot for slot in range(len(self._steps)) if self._begin(slot)]
        while active:
            ended = self._step(active)
            for slot, success in ended:
                outcomes[self._episodes[slot]] = self._outcome(slot, success)
                if not self._begin(slot):
                    active.remove(slot)
            if ended:
                on_finished()

    def _step(self, active: list[int]) -> list[tuple[int, bool]]:
        """One step of the active slots; those that ended by it, and whether the last one succeeded."""
        actions = self._session.act(self._observations)
        finite = np.isfinite(actions)
        able = active
        if np.count_nonzero(finite) < finite.size:
            if self._domain.idles:
                actions = np.where(finite, actions, np.float32(0.0))
            else:
                able = [slot for slot in active if finite[slot].all()]
        step = self._simulator.step(self._layout.to_environment(actions), able)
        if len(able) == len(self._steps):  # all slots: without the cost of picking rows
            self._observations[:] = step.observations
        else:
            self._observations[able] = step.observations[able]
        if step.rewards is not None:
            self._totals[able] += step.rewards[able]
            self._session.observe(step.rewards)
        return self._ended(active, able, step)

    def _ended(self, active: list[int], able: list[int], step: Step) -> list[tuple[int, bool]]:
        """The active slots that a step ended; one that could not be stepped ends too."""
        steps, horizon, ended = self._steps, self._horizon, []
        for slot in able:
            steps[slot] += 1
        succeeded = step.success.tolist() if step.success is not None and self._domain.metric.ends_episode else None
        over = None if step.ended is None else step.ended.tolist()
        for slot in active:
            success, is_able = False, able is active or slot in able
            if is_able:
                success = succeeded is not None and succeeded[slot]
                if success and self._succeeded[slot] is None:
                    self._succeeded[slot] = steps[slot]
                stops = success and not self._whole
                is_over = stops or steps[slot] == horizon or (over is not None and over[slot])
            if not is_able or is_over:
                ended.append((slot, success))
        return ended

    def _outcome(self, slot: int, success: bool) -> Outcome:
        if self._domain.metric.ends_episode:
            first = self._succeeded[slot]
            return Outcome(first is not None, first or self._steps[slot], held=success if self._whole else None)
        return Outcome(total=float(self._totals[slot]))

    def _begin(self, slot: int) -> bool:
        """Start the next episode in a slot, if one is left."""
        if self._begun == len(self._todo):
            return False
        episode = self._todo[self._begun]
        self._begun += 1
        first = self._simulator.reset(slot, episode.start)
        if self._observations.shape[1] == 0:
            self._observations = np.zeros((self._simulator.slots, len(first)), dtype=np.float32)
        self._observations[slot] = first
        self._episodes[slot], self._steps[slot], self._totals[slot] = episode, 0, 0.0
        self._succeeded[slot] = None
        self._session.assign(slot, episode.row)
        return True

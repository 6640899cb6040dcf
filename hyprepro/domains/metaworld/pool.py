"""Environments built once and reused: a process keeps a few per task and drops the task that it used longest ago.

Building a Meta-World environment takes 0.1 to 0.2 s and about 40 MB; a reset takes 10 ms unless its start is known. An
episode depends on its goal and its actions alone (`MetaWorldEnv`), so which environment of the pool runs it, and what
ran there before, has no effect. The process's own pool gives its environments up for long stages that need none.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from functools import cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.env import MetaWorldEnv, Start
from hyprepro.domains.metaworld.steppers import Stepper, StepperName
from hyprepro.domains.metaworld.tasks import SLOTS, Goal
from hyprepro.domains.rendering import Physics
from hyprepro.engine import kept


class Environment(Stepper, Protocol):
    """What an episode needs of an environment."""

    def reset(self, goal: Goal) -> NDArray[np.float64]:
        """Start an episode; returns the first observation `[obs]`."""

    def physics(self) -> Physics:
        """What it shows."""


Builder = Callable[[str, dict[Goal, Start]], Environment]
"""Makes an environment of a task that shares the starts of episodes."""


class EnvironmentPool:
    """At most `slots` environments for each of the `tasks` most recently used tasks.

    Args:
        slots: The largest number of environments of one task.
        tasks: How many tasks keep their environments, and the starts of the episodes that these ran.
        build: Makes an environment of a task; environments of one task get one and the same dictionary of starts.
    """

    def __init__(self, slots: int = SLOTS, tasks: int = 1, build: Builder = MetaWorldEnv) -> None:
        if slots < 1 or tasks < 1:
            raise ValueError(f"a pool needs at least one slot and one task, got {slots} and {tasks}")
        self.slots = slots
        self._tasks = tasks
        self._build = build
        self._kept: OrderedDict[str, tuple[list[Environment], dict[Goal, Start]]] = OrderedDict()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose environments are kept, least recently used first."""
        return tuple(self._kept)

    def take(self, task: str, count: int) -> list[Environment]:
        """`count` environments of `task` (at most `slots`), built when they are first asked for.

        Raises:
            UserError: Unknown task.
        """
        count = min(count, self.slots)
        environments, starts = self._kept.pop(task, ([], {}))
        while len(self._kept) >= self._tasks:
            self._kept.popitem(last=False)
            gc.collect()  # metaworld's environments hold themselves in cycles: 40 MB each until collected
        environments += [self._build(task, starts) for _ in range(count - len(environments))]
        self._kept[task] = environments, starts
        return environments[:count]

    def clear(self) -> None:
        """Give up all environments; the starts of their tasks' episodes stay."""
        for environments, _ in self._kept.values():
            environments.clear()
        gc.collect()


def process_pool(stepper: StepperName = "fast") -> EnvironmentPool:
    """The pool of this process whose environments are stepped so, shared by all evaluations that run in it."""
    return _process_pool(stepper)


@cache
def _process_pool(stepper: StepperName) -> EnvironmentPool:
    pool = EnvironmentPool(build=partial(MetaWorldEnv, stepper=stepper))
    kept.released_by(pool.clear)
    return pool

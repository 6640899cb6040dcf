"""A toy environment and layout: rollouts without a simulator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.env import Start
from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import PolicyLayout

TOY_LAYOUT = PolicyLayout.mlp(3, 8, 2, ("relu", "elu"))


class Walk:
    """The first action moves a point; success is its being beyond the goal's distance."""

    episodes = 0

    def __init__(self, task: str, starts: dict[Goal, Start]) -> None:
        self.task = task

    def reset(self, goal: Goal) -> NDArray[np.float64]:
        Walk.episodes += 1
        self.distance = 0.1 + (goal.seed % 7) / 3
        self.place, self.time = 0.0, 0
        return self._observation()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool]:
        self.place += float(action[0]) * 0.2
        self.time += 1
        return self._observation(), 0.0, self.place > self.distance

    def advance(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], bool]:
        observation, _, success = self.step(action)
        return observation, success

    def _observation(self) -> NDArray[np.float64]:
        return np.array([self.place, self.distance, np.sin(self.time)])


def walk_pool(slots: int) -> EnvironmentPool:
    return EnvironmentPool(slots, 1, Walk)


def toy_controllers(n: int, seed: int = 0) -> PolicyControllers:
    return PolicyControllers(TOY_LAYOUT, np.random.default_rng(seed).normal(0, 0.7, (n, TOY_LAYOUT.size)))

"""A toy domain: rollouts without a simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from hyprepro.domains.base import SUCCESS, Condition, Data, Domain, Metric, Query, Start, Step, Use
from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import PolicyLayout

TOY_LAYOUT = PolicyLayout.mlp(3, 8, 2, ("relu", "elu"))
TOY_HORIZON = 40


class Walk:
    """The first action moves a point; success is its being beyond the start's distance, the reward what is gained."""

    episodes = 0

    def __init__(self, task: str = "walk", starts: object = None) -> None:
        self.task = task

    def reset(self, start: Start) -> NDArray[np.float64]:
        Walk.episodes += 1
        self.distance = 0.1 + (start.seed % 7) / 3
        self.place, self.time = 0.0, 0
        return self._observation()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool]:
        before = self.place
        self.place += float(action[0]) * 0.2
        self.time += 1
        return self._observation(), self.place - before, self.place > self.distance

    def advance(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], bool]:
        observation, _, success = self.step(action)
        return observation, success

    def _observation(self) -> NDArray[np.float64]:
        return np.array([self.place, self.distance, np.sin(self.time)])


class Walks:
    """Walks side by side."""

    def __init__(self, slots: int, rewarded: bool) -> None:
        self.walks = [Walk() for _ in range(slots)]
        self.rewarded = rewarded

    @property
    def slots(self) -> int:
        return len(self.walks)

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        return self.walks[slot].reset(start)

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        observations, rewards = np.zeros((self.slots, 3)), np.zeros(self.slots)
        success = np.zeros(self.slots, dtype=bool)
        for slot in active:
            observations[slot], rewards[slot], success[slot] = self.walks[slot].step(actions[slot])
        return Step(observations, rewards if self.rewarded else None, None if self.rewarded else success)


class WalkDomain(Domain):
    """Walks that are scored by success."""

    label: ClassVar[str] = "walk"
    title: ClassVar[str] = "Walk"
    layout: ClassVar[PolicyLayout] = TOY_LAYOUT
    horizon: ClassVar[int] = TOY_HORIZON
    metric: ClassVar[Metric] = SUCCESS
    condition: ClassVar[Condition] = "parameter"
    episodes_at_once: ClassVar[int] = 4

    policies: str = ""
    trajectories: str = ""

    def parameter(self, task: str) -> tuple[float, ...]:
        return ()

    def query(self, data: Data, task: str, count: int, split: str) -> Query:
        return Query(task)

    def start(self, use: Use, base_seed: int, task: str, index: int) -> Start:
        return Start("fresh", index)

    def simulator(self, task: str, slots: int) -> Walks:
        return Walks(slots, rewarded=not self.metric.ends_episode)

    def environment(self, task: str) -> EnvSpec | None:
        return None


def walk_pool(slots: int) -> EnvironmentPool:
    return EnvironmentPool(slots, 1, Walk)


def toy_controllers(n: int, seed: int = 0) -> PolicyControllers:
    return PolicyControllers(TOY_LAYOUT, np.random.default_rng(seed).normal(0, 0.7, (n, TOY_LAYOUT.size)))

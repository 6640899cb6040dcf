"""A toy domain of two numbers whose episodes its environment ends: after how many steps it falls, and a weight."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.parameter import Gyms, ParameterDomain
from hyprepro.policies.layout import PolicyLayout

LAYOUT = PolicyLayout.mlp(2, 4, 1, ("relu", "relu"), bounds=((-3.0, 5.0),))
HORIZON = 12


class Falls(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """Earns what it is told to do, until it falls after a number of steps; its first number is that of its start."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-3.0, 5.0, (1,), np.float32)

    def __init__(self, steps: float, weight: float) -> None:
        self.steps, self.weight = steps, weight

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.time, self.begun = 0, float((seed or 0) % 7)
        return np.array([self.begun, 0.0]), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        reward = float(action[0]) + self.weight
        return np.array([self.begun, self.time]), reward, self.time >= self.steps, False, {}


class FallDomain(ParameterDomain):
    """Told by two numbers: after how many steps it falls, and a weight."""

    label: ClassVar[str] = "fall"
    title: ClassVar[str] = "Fall"
    layout: ClassVar[PolicyLayout] = LAYOUT
    horizon: ClassVar[int] = HORIZON
    told: ClassVar[str] = "fall"
    many: ClassVar[str] = "falls"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((1.0, 99.0), (-1.0, 1.0))
    episodes_at_once: ClassVar[int] = 3
    ends: ClassVar[bool] = True
    tests: ClassVar[tuple[int, ...]] = (1,)
    values: ClassVar[tuple[tuple[float, ...], ...]] = ((3.0, -0.5), (5.0, 0.0), (99.0, 0.25))

    policies: str = ""
    trajectories: str = ""

    @property
    def grid(self) -> tuple[tuple[float, ...], ...]:
        return self.values

    def simulator(self, task: str, slots: int) -> Gyms:
        return Gyms(lambda: Falls(*self.parameter(task)), slots)

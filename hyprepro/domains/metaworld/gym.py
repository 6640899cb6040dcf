"""Meta-World as a gymnasium environment, for libraries that want one (the reference collector, the parity tests)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.tasks import Goal


class MetaWorldGym(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """A task whose goal changes at every reset; a reset with a seed begins at the goal of that number.

    Args:
        task: The task.
        goal: The goal of the n-th episode, n from 0.
        steps: Length of an episode; its end is a truncation, never a termination.
        transform: Applied to each raw observation `[39]`.
    """

    def __init__(
        self,
        task: str,
        goal: Callable[[int], Goal],
        steps: int,
        transform: Callable[[NDArray[np.float64]], NDArray[np.float32]],
    ) -> None:
        self._env, self._goal, self._steps, self._transform = MetaWorldEnv(task), goal, steps, transform
        self._episode = self._step = 0
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (39,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin the next episode on the next goal; with a seed on the goal of that number, from which others follow.

        Nothing here is drawn: goals follow from `goal` alone. The action space is seeded by itself.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._episode = seed
        observation = self._env.reset(self._goal(self._episode))
        self._episode += 1
        self._step = 0
        return self._transform(observation), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One step; the info holds metaworld's success flag."""
        observation, reward, success = self._env.step(action)
        self._step += 1
        return self._transform(observation), reward, False, self._step >= self._steps, {"success": success}

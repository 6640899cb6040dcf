"""The target velocities of Cheetah-Vel: grid, names, test indices, training subsets, and the reward of one.

Paper says: velocities in [0, 3], 35 for training and those with indices 2, 7, 15, 23, 26 for testing, following MACAW
and Prompt-DT. We chose: their grid, linspace(0.075, 3, 40). The paper's Figure 3 shows 0.154 and 2.846 m/s, which lie
on linspace(0, 3, 40): `velocity_grid(first=0.0)`.

Apart from `cheetah`, so that settings can name velocities without loading the simulator.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from hyprepro.errors import UserError

HORIZON = 200
"""Steps of an episode."""

CONTROL_COST = 0.05
"""Weight of the squared action in the reward."""

LARGEST_VELOCITY = 3.0
"""m/s; tasks beyond it are refused."""

TEST_INDICES = (2, 7, 15, 23, 26)
"""Which of the 40 velocities are for testing (MACAW, Prompt-DT): 0.225, 0.6, 1.2, 1.8 and 2.025 m/s."""

GRID_SIZE = 40

_NAME = re.compile(r"velocity-(\d+\.\d{3})")
_EVEN = 10  # so many training velocities are spread evenly; larger subsets contain these


def velocity_grid(first: float = 0.075, last: float = 3.0, count: int = GRID_SIZE) -> tuple[float, ...]:
    """`count` equally spaced velocities in m/s, rounded to the three digits that a task's name has."""
    return tuple(round(float(v), 3) for v in np.linspace(first, last, count))


def velocity_task(velocity: float) -> str:
    """The task name of a velocity in m/s, such as `velocity-0.225`."""
    return f"velocity-{velocity:.3f}"


def task_velocity(task: str) -> float:
    """The velocity in m/s that a task name states.

    Raises:
        UserError: The name is malformed, or the velocity negative or above 3 m/s.
    """
    match = _NAME.fullmatch(task)
    if not match:
        raise UserError(f"{task!r} names no velocity.", fix="write velocity-1.200: m/s with three digits, 0 to 3")
    return check_velocity(float(match[1]))


def check_velocity(velocity: float) -> float:
    """The velocity itself if Cheetah-Vel has it.

    Raises:
        UserError: It is negative, above 3 m/s or no number.
    """
    if not 0.0 <= velocity <= LARGEST_VELOCITY:
        raise UserError(
            f"A target velocity of {velocity:g} m/s lies outside 0 to {LARGEST_VELOCITY:g}.",
            fix=f"choose one from 0 to {LARGEST_VELOCITY:g} m/s",
        )
    return velocity


def training_indices(count: int = GRID_SIZE) -> tuple[int, ...]:
    """The indices of a grid of `count` velocities that are not for testing."""
    return tuple(i for i in range(count) if i not in TEST_INDICES)


def training_subset(count: int) -> tuple[int, ...]:
    """Indices of `count` of the 35 training velocities, spread over the grid; never a test index.

    Up to ten are the nearest to equally spaced ones. Each further one goes where the others are farthest, so that every
    subset from ten on contains the smaller ones from ten on.

    Raises:
        UserError: There are not so many.
    """
    every = training_indices()
    if not 2 <= count <= len(every):
        raise UserError(
            f"{count} training velocities were asked for; there are 2 to {len(every)}.",
            fix=f"ask for 2 to {len(every)}",
        )
    ideal = np.linspace(every[0], every[-1], min(count, _EVEN))
    chosen = {min(every, key=lambda i: abs(i - place)) for place in ideal.tolist()}
    while len(chosen) < count:
        left = [i for i in every if i not in chosen]
        chosen.add(min(left, key=lambda i: sum(1.0 / (i - j) ** 2 for j in chosen)))
    return tuple(sorted(chosen))


def velocity_reward(x_velocity: Any, actions: Any, velocity: Any) -> Any:
    """-|x_velocity - v*| - 0.05 sum(a^2) of arrays or tensors: `x_velocity` and `velocity` [...], actions [..., 6]."""
    return -abs(x_velocity - velocity) - CONTROL_COST * (actions**2).sum(-1)

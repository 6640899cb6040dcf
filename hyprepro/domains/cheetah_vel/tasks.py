"""The target velocities of Cheetah-Vel: grid, test indices, and the reward of one.

Paper says: velocities in [0, 3], 35 for training and those with indices 2, 7, 15, 23, 26 for testing, following MACAW
and Prompt-DT. We chose: their grid, linspace(0.075, 3, 40). The paper's Figure 3 shows 0.154 and 2.846 m/s, which lie
on linspace(0, 3, 40): `velocity_grid(first=0.0)`.

Apart from `env`, so that settings can name velocities without loading the simulator.
"""

from __future__ import annotations

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


def velocity_grid(first: float = 0.075, last: float = 3.0, count: int = GRID_SIZE) -> tuple[float, ...]:
    """`count` equally spaced velocities in m/s, rounded to the three digits that a task's name has."""
    return tuple(round(float(v), 3) for v in np.linspace(first, last, count))


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


def velocity_reward(x_velocity: Any, actions: Any, velocity: Any) -> Any:
    """-|x_velocity - v*| - 0.05 sum(a^2) of arrays or tensors: `x_velocity` and `velocity` [...], actions [..., 6]."""
    return -abs(x_velocity - velocity) - CONTROL_COST * (actions**2).sum(-1)

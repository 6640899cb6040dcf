"""Cheetah-Vel: a half-cheetah told by one number how fast to run, and scored by its return."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hyprepro.component import component, setting
from hyprepro.domains.base import RETURN, Condition, Data, Domain, Metric, Query, Start, Step, Use
from hyprepro.domains.cheetah_vel.tasks import (
    HORIZON,
    LARGEST_VELOCITY,
    TEST_INDICES,
    check_velocity,
    task_velocity,
    training_subset,
    velocity_grid,
    velocity_reward,
    velocity_task,
)
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT, PolicyLayout

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from numpy.typing import NDArray

STARTS = {"validation": range(3_000_000, 4_000_000), "test": range(4_000_000, 5_000_000)}
"""Seeds of start noise, a range for each use; those below are for collection."""

_BLOCK = 1_000


@component
class CheetahVel(Domain):
    """HalfCheetah-v5 at a target velocity; an episode is always 200 steps long.

    Paper says: velocities in [0, 3], 35 of 40 for training. Which ones: `hyprepro.domains.cheetah_vel.tasks`.
    """

    label: ClassVar[str] = "cheetah-vel"
    title: ClassVar[str] = "Cheetah-Vel"
    layout: ClassVar[PolicyLayout] = CHEETAH_LAYOUT
    horizon: ClassVar[int] = HORIZON
    metric: ClassVar[Metric] = RETURN
    condition: ClassVar[Condition] = "parameter"
    told: ClassVar[str] = "velocity"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((0.0, LARGEST_VELOCITY),)
    episodes_at_once: ClassVar[int] = 64
    episode_seconds: ClassVar[float] = 0.15  # 0.025 s; a unit is 0.17 s: hyprepro.engine.calibration
    idles: ClassVar[bool] = True

    policies: str = setting("stores/cheetah-vel.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/cheetah-vel.trajectories.h5", "path of the trajectory store")
    first: float = setting(0.075, "Slowest velocity of the grid of 40, m/s (the paper's figure: 0).", source="MACAW")
    last: float = setting(3.0, "Fastest velocity of the grid of 40, m/s.", source="MACAW")

    @property
    def grid(self) -> tuple[float, ...]:
        """All 40 velocities, in m/s (`UserError` if its ends are none)."""
        return velocity_grid(check_velocity(self.first), check_velocity(self.last))

    def parameter(self, task: str) -> tuple[float, ...]:
        """The target velocity, in m/s."""
        return (task_velocity(task),)

    def task_name(self, parameter: tuple[float, ...]) -> str:
        """The name of a target velocity, which must be one of the grid."""
        velocity, grid = check_velocity(*parameter), self.grid
        if velocity not in grid:
            nearest = min(grid, key=lambda each: abs(each - velocity))
            raise UserError(
                f"{velocity:g} m/s is none of the 40 velocities from {grid[0]:g} to {grid[-1]:g} m/s.",
                closest=f"{nearest:g}",
                fix=f"name velocities of the grid; another grid: {self.kind}.first and .last",
            )
        return velocity_task(velocity)

    def task_at(self, parameter: tuple[float, ...]) -> str:
        """The name of any target velocity, which has three digits."""
        return velocity_task(check_velocity(*parameter))

    @property
    def tested(self) -> tuple[str, ...]:
        """The five test velocities."""
        return tuple(velocity_task(self.grid[index]) for index in TEST_INDICES)

    @property
    def sweep(self) -> tuple[str, ...]:
        """The whole grid."""
        return tuple(map(velocity_task, self.grid))

    def training_subset(self, count: int) -> tuple[str, ...]:
        """`count` of the 35 training velocities."""
        return tuple(velocity_task(self.grid[index]) for index in training_subset(count))

    def query(self, data: Data, task: str, count: int, split: str) -> Query:
        """The target velocity; a method deploys as many controllers as its own settings say."""
        return Query(task, self.parameter(task))

    def start(self, use: Use, base_seed: int, task: str, index: int) -> Start:
        """Start noise from a seed of the use's range; a task and use has a block of a thousand."""
        if not 0 <= index < _BLOCK:
            raise UserError(
                f"A velocity has {_BLOCK} starts for each use, and more are asked for.",
                where="the recipe's protocols",
                fix="score fewer policies, or each from fewer starts",
            )
        digest = hashlib.sha256(f"{base_seed}/{task}".encode()).digest()
        block = int.from_bytes(digest[:8], "big") % (len(STARTS[use]) // _BLOCK)
        return Start("fresh", STARTS[use].start + block * _BLOCK + index)

    def simulator(self, task: str, slots: int) -> Cheetahs:
        """A batch of cheetahs."""
        return Cheetahs(task_velocity(task), slots)

    def environment(self, task: str) -> EnvSpec | None:
        """The environment that this package registers with gymnasium."""
        from gymnasium.envs.registration import EnvSpec

        try:
            velocity = task_velocity(task)
        except UserError:
            return None
        return EnvSpec(
            id="hyprepro/CheetahVel-v0",
            entry_point="hyprepro.domains.cheetah_vel.env:CheetahVel",
            kwargs={"velocity": velocity},
        )


class Cheetahs:
    """Cheetahs at one target velocity, one a slot; all are stepped, active or not.

    Args:
        velocity: The target velocity, in m/s.
        slots: How many.
    """

    def __init__(self, velocity: float, slots: int) -> None:
        from hyprepro.domains.cheetah_vel.env import CheetahBatch  # lazily: it loads the simulator

        self._velocity = velocity
        self._batch = CheetahBatch(slots)

    @property
    def slots(self) -> int:
        """Number of cheetahs."""
        return self._batch.count

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode with the start noise of a seed."""
        return self._batch.reset_one(slot, start.seed)

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step of 0.05 s; actions count within [-1, 1]."""
        actions = np.clip(actions, -1.0, 1.0)
        observations, speed = self._batch.step(actions)
        rewards: NDArray[np.float64] = velocity_reward(speed, actions.astype(np.float64), self._velocity)
        return Step(observations, rewards, None)

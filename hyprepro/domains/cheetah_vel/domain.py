"""Cheetah-Vel: a half-cheetah told by one number how fast to run, and scored by its return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.component import component, setting
from hyprepro.domains.cheetah_vel.tasks import (
    CONTROL_COST,
    HORIZON,
    LARGEST_VELOCITY,
    TEST_INDICES,
    check_velocity,
    velocity_grid,
    velocity_reward,
)
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT, PolicyLayout

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from hyprepro.domains.cheetah_vel.env import Cheetahs


@component
class CheetahVel(ParameterDomain):
    """HalfCheetah-v5 at a target velocity; an episode is always 200 steps long.

    Paper says: velocities in [0, 3], 35 of 40 for training. Which ones: `hyprepro.domains.cheetah_vel.tasks`.
    """

    label: ClassVar[str] = "cheetah-vel"
    title: ClassVar[str] = "Cheetah-Vel"
    layout: ClassVar[PolicyLayout] = CHEETAH_LAYOUT
    horizon: ClassVar[int] = HORIZON
    told: ClassVar[str] = "velocity"
    many: ClassVar[str] = "velocities"
    unit: ClassVar[str] = "m/s"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((0.0, LARGEST_VELOCITY),)
    relabels: ClassVar[bool] = True
    tests: ClassVar[tuple[int, ...]] = TEST_INDICES
    score: ClassVar[str] = (
        f"the undiscounted sum over {HORIZON} steps of -|v_x - v*| - {CONTROL_COST} sum(a^2) on HalfCheetah-v5; 0 "
        "cannot be reached, for a cheetah starts at rest, and torque costs"
    )
    episode_seconds: ClassVar[float] = 0.15  # 0.025 s; a unit is 0.17 s: hyprepro.engine.plan

    policies: str = setting("stores/cheetah-vel.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/cheetah-vel.trajectories.h5", "path of the trajectory store")
    first: float = setting(0.075, "Slowest velocity of the grid of 40, m/s (the paper's figure: 0).", source="MACAW")
    last: float = setting(3.0, "Fastest velocity of the grid of 40, m/s.", source="MACAW")

    @property
    def grid(self) -> tuple[tuple[float, ...], ...]:
        """All 40 velocities, in m/s (`UserError` if its ends are none)."""
        ends = check_velocity(self.first), check_velocity(self.last)
        return tuple((velocity,) for velocity in velocity_grid(*ends))

    def check(self) -> None:
        if self.last <= self.first:
            raise UserError(
                "The grid must rise, by at least 0.001 m/s a step.",
                where="CheetahVel.first, CheetahVel.last",
                fix="bind CheetahVel.last to more than CheetahVel.first",
            )
        super().check()

    def rewards(self, signals: Any, actions: Any, parameters: Any) -> Any:
        return velocity_reward(signals, actions, parameters[..., 0])

    def simulator(self, task: str, slots: int) -> Cheetahs:
        return self.simulators([task] * slots)

    def simulators(self, tasks: Sequence[str]) -> Cheetahs:
        from hyprepro.domains.cheetah_vel.env import Cheetahs  # lazily: it loads the simulator

        return Cheetahs(np.array([self.parameter(task)[0] for task in tasks]))

    def environment(self, task: str) -> EnvSpec | None:
        from gymnasium.envs.registration import EnvSpec

        if not self.has(task):
            return None
        return EnvSpec(
            id="hyprepro/CheetahVel-v0",
            entry_point="hyprepro.domains.cheetah_vel.env:CheetahVel",
            kwargs={"velocity": self.parameter(task)[0]},
        )

"""Hopper-v5 under other gravities: a domain of one's own, in one file.

A one-legged robot that is told how strong gravity is and hops forward; it is scored by its return. Physics, reward,
observations (11) and the fall that ends an episode are gymnasium's. Here it is the dynamics that differ between tasks,
and not the reward: a step made under one gravity says nothing of what follows under another, so `relabels` is False.

    hyprepro collect examples/hopper-gravity/collect.gin --out examples/hopper-gravity/stores
    hyprepro run examples/hopper-gravity/recipe.gin
"""

from __future__ import annotations

from typing import ClassVar

from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

from hyprepro.component import component, setting
from hyprepro.domains.parameter import Gyms, ParameterDomain
from hyprepro.policies.layout import PolicyLayout

STORES = "examples/hopper-gravity/stores/hopper-gravity"


def hopper(gravity: float) -> HopperEnv:
    """Gymnasium's Hopper-v5 under a gravity in m/s^2."""
    env = HopperEnv()
    env.model.opt.gravity[2] = -gravity
    return env


@component
class HopperGravity(ParameterDomain):
    """Hopper-v5 for at most 200 steps of 0.008 s under a gravity of 4 to 16 m/s^2; it ends where the hopper falls."""

    label: ClassVar[str] = "hopper-gravity"
    title: ClassVar[str] = "Hopper-Gravity"
    layout: ClassVar[PolicyLayout] = PolicyLayout.mlp(11, 64, 3, ("relu", "relu"))
    horizon: ClassVar[int] = 200
    told: ClassVar[str] = "gravity"
    many: ClassVar[str] = "gravities"
    unit: ClassVar[str] = "m/s^2"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((4.0, 16.0),)
    relabels: ClassVar[bool] = False
    ends: ClassVar[bool] = True
    tests: ClassVar[tuple[int, ...]] = (2, 5, 8, 11)
    score: ClassVar[str] = (
        "the undiscounted sum over at most 200 steps of 1 + v_x - 0.001 sum(a^2) on Hopper-v5, fewer where it falls"
    )
    episode_seconds: ClassVar[float] = 0.05

    policies: str = setting(f"{STORES}.policies.h5", "path of the policy store")
    trajectories: str = setting(f"{STORES}.trajectories.h5", "path of the trajectory store")
    parents: str = setting(f"{STORES}-parent.policies.h5", "path of the store of the conditioned parent's policies")
    randomised: str = setting(f"{STORES}-randomised.policies.h5", "path of the store of one policy for all gravities")

    @property
    def grid(self) -> tuple[tuple[float, ...], ...]:
        """Every whole gravity in the range: 13, of which 6, 9, 12 and 15 m/s^2 are for testing."""
        return tuple((float(gravity),) for gravity in range(4, 17))

    def simulator(self, task: str, slots: int) -> Gyms:
        """Hoppers under the task's gravity."""
        (gravity,) = self.parameter(task)
        return Gyms(lambda: hopper(gravity), slots)

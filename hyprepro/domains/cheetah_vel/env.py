"""Cheetah-Vel: HalfCheetah-v5 running at a target velocity, an environment a velocity.

Physics, observations (17, the absolute x left out) and start noise are gymnasium's; the reward is that of MACAW and
Prompt-DT, -|x_velocity - v*| - 0.05 sum(a^2) with the mean forward speed over a step (0.05 s) in m/s. An episode lasts
200 steps and never terminates; its return is the undiscounted sum.

Importing this module registers `hyprepro/CheetahVel-v0`:
gymnasium.make("hyprepro.domains.cheetah_vel.env:hyprepro/CheetahVel-v0", velocity=1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from hyprepro.domains.base import Start, Step
from hyprepro.domains.cheetah_vel.tasks import HORIZON, check_velocity, velocity_reward
from hyprepro.domains.rendering import Physics

FRAME_SKIP = 5
"""Simulator steps of 0.01 s a step, as in HalfCheetah-v5."""

_NOISE = 0.1  # HalfCheetah-v5's reset_noise_scale


class CheetahVel(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """HalfCheetah-v5 with the reward of one target velocity.

    Args:
        velocity: v*, in m/s.
        render_mode: As in HalfCheetah-v5.

    `info` holds HalfCheetah-v5's `x_position` and `x_velocity`, the two parts of the reward, and `velocity`.
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, velocity: float, render_mode: str | None = None) -> None:
        self.velocity = check_velocity(float(velocity))
        self._cheetah = HalfCheetahEnv(render_mode=render_mode, reset_noise_scale=_NOISE)
        self.render_mode = render_mode
        self.observation_space = self._cheetah.observation_space
        self.action_space = self._cheetah.action_space
        self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Begin an episode with HalfCheetah's usual start noise, drawn with `seed`."""
        super().reset(seed=seed)
        self._step = 0
        observation, info = self._cheetah.reset(seed=seed, options=options)
        return observation, {**info, "velocity": self.velocity}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """One step of 0.05 s; the last of 200 truncates the episode, nothing terminates it."""
        observation, _, _, _, info = self._cheetah.step(action)  # type: ignore[no-untyped-call]
        self._step += 1
        reward = float(velocity_reward(info["x_velocity"], np.asarray(action, np.float64), self.velocity))
        parts = {
            "x_position": info["x_position"],
            "x_velocity": info["x_velocity"],
            "reward_velocity": -abs(info["x_velocity"] - self.velocity),
            "reward_control": reward + abs(info["x_velocity"] - self.velocity),
            "velocity": self.velocity,
        }
        return observation, reward, False, self._step >= HORIZON, parts

    def render(self) -> Any:
        """HalfCheetah-v5's picture."""
        return self._cheetah.render()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the renderer."""
        self._cheetah.close()  # type: ignore[no-untyped-call]


class Cheetahs:
    """Cheetahs, one a slot, bit for bit as gymnasium's would be, without its overhead; all are stepped, active or not.

    Args:
        velocities: The target of each, in m/s `[slots]`.
    """

    def __init__(self, velocities: NDArray[np.float64]) -> None:
        self._velocities = velocities
        self._model, self._start = _model()
        self._datas = [mujoco.MjData(self._model) for _ in velocities]
        self._duration = FRAME_SKIP * self._model.opt.timestep

    @property
    def slots(self) -> int:
        """Number of cheetahs."""
        return len(self._datas)

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode with the start noise of a seed."""
        rng, _ = np_random(start.seed)
        data = self._datas[slot]
        mujoco.mj_resetData(self._model, data)
        data.qpos[:] = self._start + rng.uniform(-_NOISE, _NOISE, self._model.nq)
        data.qvel[:] = _NOISE * rng.standard_normal(self._model.nv)
        mujoco.mj_forward(self._model, data)
        return np.concatenate([data.qpos[1:], data.qvel])

    def step(self, actions: NDArray[np.floating[Any]], active: Sequence[int]) -> Step:
        """One step of 0.05 s; actions count within [-1, 1], and mean forward speeds in m/s are the signals."""
        actions = np.clip(actions, -1.0, 1.0)
        before = self._positions()
        for data, action in zip(self._datas, actions, strict=True):
            data.ctrl[:] = action
            mujoco.mj_step(self._model, data, nstep=FRAME_SKIP)
        speeds = (self._positions() - before) / self._duration
        rewards: NDArray[np.float64] = velocity_reward(speeds, actions.astype(np.float64), self._velocities)
        return Step(self._observations(), rewards, None, None, speeds)

    def physics(self, slot: int) -> Physics:
        """The cheetah's; all share one model."""
        return Physics(self._model, self._datas[slot])

    def _positions(self) -> NDArray[np.float64]:
        return np.array([data.qpos[0] for data in self._datas])

    def _observations(self) -> NDArray[np.float64]:
        rows = np.empty((self.slots, self._model.nq - 1 + self._model.nv))
        for row, data in zip(rows, self._datas, strict=True):
            row[: self._model.nq - 1] = data.qpos[1:]
            row[self._model.nq - 1 :] = data.qvel
        return rows


@cache
def _model() -> tuple[mujoco.MjModel, NDArray[np.float64]]:
    """HalfCheetah-v5's model and its initial position `[9]`; one for all of this process."""
    env = HalfCheetahEnv()
    return env.model, env.init_qpos.copy()


gymnasium.register(id="hyprepro/CheetahVel-v0", entry_point="hyprepro.domains.cheetah_vel.env:CheetahVel")

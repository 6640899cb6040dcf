"""Cheetah-Vel: HalfCheetah-v5 running at a target velocity, an environment a velocity.

Physics, observations (17, the absolute x left out) and start noise are gymnasium's; the reward is that of MACAW and
Prompt-DT, -|x_velocity - v*| - 0.05 sum(a^2) with the mean forward speed over a step (0.05 s) in m/s. An episode lasts
200 steps and never terminates; its return is the undiscounted sum.

Paper says: velocities in [0, 3], 35 for training and those with indices 2, 7, 15, 23, 26 for testing, following MACAW
and Prompt-DT. We chose: their grid, linspace(0.075, 3, 40). The paper's Figure 3 shows 0.154 and 2.846 m/s, which lie
on linspace(0, 3, 40): `velocity_grid(first=0.0)`.

Importing this module registers `hyprepro/CheetahVel-v0`: gymnasium.make("hyprepro.envs.cheetah:hyprepro/CheetahVel-v0",
velocity=1.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from hyprepro.errors import UserError

HORIZON = 200
"""Steps of an episode."""

CONTROL_COST = 0.05
"""Weight of the squared action in the reward."""

LARGEST_VELOCITY = 3.0
"""m/s; tasks beyond it are refused."""

TEST_INDICES = (2, 7, 15, 23, 26)
"""Which of the 40 velocities are for testing (MACAW, Prompt-DT): 0.225, 0.6, 1.2, 1.8 and 2.025 m/s."""

FRAME_SKIP = 5
"""Simulator steps of 0.01 s a step, as in HalfCheetah-v5."""

GRID_SIZE = 40

_NAME = re.compile(r"velocity-(\d+\.\d{3})")
_NOISE = 0.1  # HalfCheetah-v5's reset_noise_scale
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
        raise UserError(f"A target velocity of {velocity:g} m/s lies outside 0 to {LARGEST_VELOCITY:g}.")
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
        raise UserError(f"{count} training velocities were asked for; there are 2 to {len(every)}.")
    ideal = np.linspace(every[0], every[-1], min(count, _EVEN))
    chosen = {min(every, key=lambda i: abs(i - place)) for place in ideal.tolist()}
    while len(chosen) < count:
        left = [i for i in every if i not in chosen]
        chosen.add(min(left, key=lambda i: sum(1.0 / (i - j) ** 2 for j in chosen)))
    return tuple(sorted(chosen))


def velocity_reward(x_velocity: Any, actions: Any, velocity: Any) -> Any:
    """-|x_velocity - v*| - 0.05 sum(a^2) of arrays or tensors: `x_velocity` and `velocity` [...], actions [..., 6]."""
    return -abs(x_velocity - velocity) - CONTROL_COST * (actions**2).sum(-1)


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
        observation, _, _, _, info = self._cheetah.step(action)
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
        return self._cheetah.render()

    def close(self) -> None:
        """Close the renderer."""
        self._cheetah.close()


class CheetahBatch:
    """`count` cheetahs stepped together, bit for bit as gymnasium's would be, without its overhead.

    Rewards are left to the caller, since one step has a reward for every target velocity (`velocity_reward`).
    """

    def __init__(self, count: int) -> None:
        self._model, self._start = _model()
        self._datas = [mujoco.MjData(self._model) for _ in range(count)]
        self._duration = FRAME_SKIP * self._model.opt.timestep
        self.count = count

    def reset(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Begin an episode in each of the first `len(seeds)` cheetahs; observations `[n, 17]`.

        The cheetahs after these are left out of the steps until the next reset.
        """
        if not 1 <= len(seeds) <= len(self._datas):
            raise ValueError(f"{len(seeds)} seeds for {len(self._datas)} cheetahs")
        self.count = len(seeds)
        for data, seed in zip(self._datas, seeds, strict=False):
            rng, _ = np_random(int(seed))
            mujoco.mj_resetData(self._model, data)
            data.qpos[:] = self._start + rng.uniform(-_NOISE, _NOISE, self._model.nq)
            data.qvel[:] = _NOISE * rng.standard_normal(self._model.nv)
            mujoco.mj_forward(self._model, data)
        return self._observations()

    def step(self, actions: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One step of each for actions `[n, 6]`: observations `[n, 17]` and mean forward speeds `[n]` in m/s."""
        before = self._positions()
        for data, action in zip(self._datas, actions[: self.count], strict=False):
            data.ctrl[:] = action
            mujoco.mj_step(self._model, data, nstep=FRAME_SKIP)
        return self._observations(), (self._positions() - before) / self._duration

    def _positions(self) -> NDArray[np.float64]:
        return np.array([data.qpos[0] for data in self._datas[: self.count]])

    def _observations(self) -> NDArray[np.float64]:
        rows = np.empty((self.count, self._model.nq - 1 + self._model.nv))
        for row, data in zip(rows, self._datas, strict=False):
            row[: self._model.nq - 1] = data.qpos[1:]
            row[self._model.nq - 1 :] = data.qvel
        return rows


@cache
def _model() -> tuple[mujoco.MjModel, NDArray[np.float64]]:
    """HalfCheetah-v5's model and its initial position `[9]`; one for all batches of this process."""
    env = HalfCheetahEnv()
    return env.model, env.init_qpos.copy()


gymnasium.register(id="hyprepro/CheetahVel-v0", entry_point="hyprepro.envs.cheetah:CheetahVel")

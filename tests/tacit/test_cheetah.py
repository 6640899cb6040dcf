"""What is assumed of HalfCheetah-v5: fails when an upgrade changes it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

from hyprepro.domains.cheetah_vel.env import FRAME_SKIP


def test_a_step_is_five_of_10_milliseconds_and_spaces_are_17_and_6() -> None:
    env = HalfCheetahEnv()
    assert env.frame_skip == FRAME_SKIP
    assert env.model.opt.timestep == pytest.approx(0.01)
    assert env.dt == pytest.approx(0.05)
    assert env.observation_space.shape == (17,)
    np.testing.assert_array_equal(env.action_space.low, -np.ones(6))
    np.testing.assert_array_equal(env.action_space.high, np.ones(6))


def test_observations_are_positions_without_x_then_velocities() -> None:
    env = HalfCheetahEnv()
    observation, _ = env.reset(seed=3)
    np.testing.assert_array_equal(observation, [*env.data.qpos[1:], *env.data.qvel])


def test_starts_are_uniform_positions_and_normal_velocities_of_a_tenth() -> None:
    env = HalfCheetahEnv()
    env.reset(seed=3)
    rng = np.random.Generator(np.random.PCG64(3))
    np.testing.assert_array_equal(env.data.qpos, env.init_qpos + rng.uniform(-0.1, 0.1, 9))
    np.testing.assert_array_equal(env.data.qvel, env.init_qvel + 0.1 * rng.standard_normal(9))
    np.testing.assert_array_equal(env.init_qvel, np.zeros(9))


def test_x_velocity_is_the_mean_forward_speed_of_a_step() -> None:
    env = HalfCheetahEnv()
    env.reset(seed=0)
    before = env.data.qpos[0]
    info = env.step(np.full(6, 0.5, dtype=np.float32))[4]
    assert info["x_velocity"] == (env.data.qpos[0] - before) / env.dt


def test_nothing_terminates_and_gymnasium_itself_limits_episodes_to_1000_steps() -> None:
    env = gymnasium.make("HalfCheetah-v5")
    assert env.spec is not None
    assert env.spec.max_episode_steps == 1000
    env.reset(seed=0)
    assert not any(env.step(np.ones(6, dtype=np.float32))[2] for _ in range(50))

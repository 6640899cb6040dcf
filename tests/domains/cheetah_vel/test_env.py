"""Cheetah-Vel: gymnasium's own checker, the reward by hand, the batch against gymnasium, the grid and its names."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from hyprepro.domains.base import Start
from hyprepro.domains.cheetah_vel.env import Cheetahs, CheetahVel
from hyprepro.domains.cheetah_vel.tasks import HORIZON, TEST_INDICES, velocity_grid
from hyprepro.errors import UserError


@pytest.mark.filterwarnings("ignore:.*The environment .*")
def test_gymnasiums_checker_is_content_with_the_registered_environment() -> None:
    env = gymnasium.make("hyprepro/CheetahVel-v0", velocity=0.6)
    assert env.spec is not None
    check_env(env.unwrapped, skip_render_check=True)


def test_the_reward_is_the_distance_to_the_velocity_and_a_control_cost() -> None:
    env, action = CheetahVel(1.2), np.linspace(-0.9, 0.8, 6, dtype=np.float32)
    env.reset(seed=1)
    x = env.unwrapped._cheetah.data.qpos[0]
    for _ in range(3):
        _, reward, terminated, truncated, info = env.step(action)
        speed = (env.unwrapped._cheetah.data.qpos[0] - x) / 0.05
        x = env.unwrapped._cheetah.data.qpos[0]
        assert reward == pytest.approx(-abs(speed - 1.2) - 0.05 * float((action.astype(np.float64) ** 2).sum()))
        assert reward == pytest.approx(info["reward_velocity"] + info["reward_control"])
        assert not terminated
        assert not truncated


def test_an_episode_ends_after_200_steps_and_never_terminates() -> None:
    env = CheetahVel(3.0)
    for _ in range(2):
        env.reset(seed=0)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(HORIZON)]
        assert ends == [(False, False)] * (HORIZON - 1) + [(False, True)]


def test_the_batch_gives_the_very_numbers_of_gymnasiums_environment() -> None:
    rng, seeds = np.random.default_rng(0), [3, 11, 7]
    cheetahs = Cheetahs(np.full(3, 0.9))
    for episode in range(2):  # a second reset leaves nothing of the first episode
        envs = [CheetahVel(0.9) for _ in seeds]
        expected = np.stack([env.reset(seed=seed + episode)[0] for env, seed in zip(envs, seeds, strict=True)])
        first = [cheetahs.reset(slot, Start("fresh", seed + episode)) for slot, seed in enumerate(seeds)]
        assert np.array_equal(first, expected)
        for _ in range(40):
            actions = rng.uniform(-1, 1, (3, 6)).astype(np.float32)
            found = cheetahs.step(actions, range(3))
            steps = [env.step(action) for env, action in zip(envs, actions, strict=True)]
            assert np.array_equal(found.observations, np.stack([step[0] for step in steps]))
            assert np.array_equal(found.signals, [step[4]["x_velocity"] for step in steps])
            assert found.rewards == pytest.approx([step[1] for step in steps], abs=1e-12)


def test_the_grid_is_macaws_and_the_papers_is_a_choice() -> None:
    grid = velocity_grid()
    assert grid == tuple(round(0.075 * (i + 1), 3) for i in range(40))
    assert [grid[i] for i in TEST_INDICES] == [0.225, 0.6, 1.2, 1.8, 2.025]
    paper = velocity_grid(first=0.0)
    assert paper[2] == 0.154  # the velocities in the paper's Figure 3
    assert paper[37] == 2.846


@pytest.mark.parametrize("velocity", [-0.1, 3.5, float("nan")])
def test_an_environment_of_an_impossible_velocity_is_refused(velocity: float) -> None:
    with pytest.raises(UserError, match="outside 0 to 3"):
        CheetahVel(velocity)

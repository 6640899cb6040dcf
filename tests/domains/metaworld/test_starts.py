from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hyprepro.domains.metaworld.env import LARGEST_NUMBER_OF_STARTS, MetaWorldEnv, Start, scripted_action
from hyprepro.domains.metaworld.tasks import TASKS, Goal

pytestmark = pytest.mark.sim


def episode(env: MetaWorldEnv, goal: Goal, steps: int = 70) -> NDArray[np.float64]:
    """Every number that an episode of the scripted expert shows."""
    observation = env.reset(goal)
    shown = [observation]
    for _ in range(steps):
        observation, reward, success = env.step(scripted_action(env.task, observation))
        shown.append(np.array([*observation, reward, success]))
    return np.concatenate(shown)


@pytest.mark.parametrize("task", TASKS)
def test_an_episode_from_a_kept_start_is_that_after_a_reset_bit_for_bit(task: str) -> None:
    starts: dict[Goal, Start] = {}
    plain, first, second = MetaWorldEnv(task), MetaWorldEnv(task, starts), MetaWorldEnv(task, starts)
    paper, fresh = Goal("paper", 720), Goal("fresh", 4_000_001)
    wanted = episode(plain, paper)
    assert np.array_equal(episode(first, paper), wanted)
    episode(second, fresh, steps=11)  # left in the middle of a movement, at another goal
    kept = starts[paper]
    assert np.array_equal(episode(second, paper), wanted)
    assert starts[paper] is kept
    assert np.array_equal(episode(first, paper), wanted)


def test_a_start_that_was_used_is_not_changed() -> None:
    starts: dict[Goal, Start] = {}
    env, goal = MetaWorldEnv("door-open", starts), Goal("paper", 720)
    episodes = [episode(env, goal, steps=20) for _ in range(3)]
    assert np.array_equal(episodes[1], episodes[0])
    assert np.array_equal(episodes[2], episodes[0])


def test_the_number_of_kept_starts_is_bounded() -> None:
    goal = Goal("paper", 720)
    env = MetaWorldEnv("reach")
    full: dict[Goal, Start] = dict.fromkeys((Goal("fresh", i) for i in range(LARGEST_NUMBER_OF_STARTS)), None)  # type: ignore[arg-type]
    bounded = MetaWorldEnv("reach", full)
    assert np.array_equal(episode(bounded, goal, steps=5), episode(env, goal, steps=5))
    assert goal not in full

"""Meta-World with goals named by a seed: determinism, independence of history, the paper's frozen goals."""

from __future__ import annotations

import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from hyprepro.domains.metaworld.env import MetaWorldEnv, scripted_action, take_start
from hyprepro.domains.metaworld.tasks import (
    SEEN_TASKS,
    TASKS,
    UNSEEN_TASKS,
    Goal,
    check_task,
)
from hyprepro.errors import UserError


def rollout(env: MetaWorldEnv, goal: Goal, steps: int = 25) -> np.ndarray:
    observations = [env.reset(goal)]
    for _ in range(steps):
        observations.append(env.step(scripted_action(env.task, observations[-1]))[0])
    return np.stack(observations)


def test_the_tasks_are_make_an_agents_split():
    assert len(SEEN_TASKS) == 10
    assert len(UNSEEN_TASKS) == 8
    assert not set(SEEN_TASKS) & set(UNSEEN_TASKS)


def test_every_task_of_metaworld_is_a_task():
    assert sorted(TASKS) == sorted(name.removesuffix("-v3") for name in ALL_V3_ENVIRONMENTS)
    assert [check_task(task) for task in TASKS] == list(TASKS)


def test_an_episode_depends_on_its_goal_alone():
    env = MetaWorldEnv("door-open")
    goal = Goal("fresh", 17)
    first = rollout(env, goal)
    rollout(env, Goal("paper", 720), 60)
    rollout(env, Goal("fresh", 18), 7)
    np.testing.assert_array_equal(rollout(env, goal), first)
    np.testing.assert_array_equal(rollout(MetaWorldEnv("door-open"), goal), first)


@pytest.mark.parametrize("task", TASKS)
def test_a_reset_that_spares_the_hand_is_metaworlds_own(task):
    """Goal, observation, simulator and the environment's own numbers, after another episode."""
    ours, plain = MetaWorldEnv(task), MetaWorldEnv(task)
    for env in (ours, plain):
        rollout(env, Goal("paper", 720), 5)
    theirs = plain._env
    theirs._freeze_rand_vec, theirs.seeded_rand_vec = False, True
    theirs.seed(17)
    theirs.reset()
    theirs._freeze_rand_vec = True
    wanted = theirs.reset()[0]
    found = ours.reset(Goal("fresh", 17))
    np.testing.assert_array_equal(found, wanted)
    mine, metaworlds = take_start(ours._env, found), take_start(theirs, wanted)
    np.testing.assert_array_equal(mine.state, metaworlds.state)
    for part in ("model", "attributes"):
        one, other = getattr(mine, part), getattr(metaworlds, part)
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_fresh_starts_differ_and_the_goal_is_observable_and_stays(task):
    env = MetaWorldEnv(task)
    starts = np.stack([env.reset(Goal("fresh", seed)) for seed in range(3)])
    assert len(np.unique(starts, axis=0)) == 3
    assert np.abs(starts[:, 36:]).max(axis=1).min() > 0
    shown = rollout(env, Goal("fresh", 2), 3)
    np.testing.assert_array_equal(shown[0], starts[2])
    np.testing.assert_array_equal(shown[:, 36:], np.tile(env._env._target_pos, (4, 1)))


def test_resetting_leaves_the_global_generator_as_it_was():
    np.random.seed(3)  # noqa: NPY002 - it is the global generator that must not move
    wanted = np.random.random()  # noqa: NPY002 - as above
    np.random.seed(3)  # noqa: NPY002 - as above
    MetaWorldEnv("reach").reset(Goal("paper", 720))
    assert np.random.random() == wanted  # noqa: NPY002 - as above


@pytest.mark.parametrize("task", ["dial-turn", "handle-press-side", "hammer", "assembly", "lever-pull", "basketball"])
def test_the_scripted_expert_succeeds(task):
    env = MetaWorldEnv(task)
    observation, solved = env.reset(Goal("fresh", 5)), False
    for _ in range(200):
        observation, reward, success = env.step(scripted_action(task, observation))
        solved |= success
        assert 0 <= reward <= 10.001
    assert solved


@pytest.mark.parametrize("task", ["door-open", "door-close"])
def test_the_scripted_expert_leaves_the_observation_as_it_was(task):
    observation = MetaWorldEnv(task).reset(Goal("fresh", 5))
    before = observation.copy()
    scripted_action(task, observation)
    np.testing.assert_array_equal(observation, before)


@pytest.mark.parametrize(
    ("wrong", "right"), [("door-opn", "door-open"), ("hamer", "hammer"), ("assembly-v3", "assembly")]
)
def test_an_unknown_task_names_the_closest(wrong, right):
    with pytest.raises(UserError, match="Unknown Meta-World task") as error:
        check_task(wrong)
    assert error.value.closest == right

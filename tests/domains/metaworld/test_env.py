"""Meta-World with goals named by a seed: determinism, independence of history, the paper's frozen goals."""

from __future__ import annotations

import numpy as np
import pytest

from hyprepro.domains.metaworld.env import MetaWorldEnv, scripted_action, take_start
from hyprepro.domains.metaworld.tasks import SEEN_TASKS, TABLE1_TASKS, TABLE3_TASKS, UNSEEN_TASKS, Goal, check_task
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
    assert set(SEEN_TASKS) - set(TABLE1_TASKS) == {"door-unlock", "reach"}
    assert set(TABLE3_TASKS) == set(UNSEEN_TASKS)


def test_an_episode_depends_on_its_goal_alone():
    env = MetaWorldEnv("door-open")
    goal = Goal("fresh", 17)
    first = rollout(env, goal)
    rollout(env, Goal("paper", 720), 60)
    rollout(env, Goal("fresh", 18), 7)
    np.testing.assert_array_equal(rollout(env, goal), first)
    np.testing.assert_array_equal(rollout(MetaWorldEnv("door-open"), goal), first)


@pytest.mark.parametrize("task", SEEN_TASKS + UNSEEN_TASKS)
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


def test_fresh_goals_differ_and_the_goal_is_observable():
    env = MetaWorldEnv("reach")
    goals = np.stack([env.reset(Goal("fresh", seed))[36:] for seed in range(5)])
    assert len(np.unique(goals, axis=0)) == 5
    assert np.abs(goals).min(axis=1).max() > 0


def test_resetting_leaves_the_global_generator_as_it_was():
    np.random.seed(3)  # noqa: NPY002 - it is the global generator that must not move
    wanted = np.random.random()  # noqa: NPY002 - as above
    np.random.seed(3)  # noqa: NPY002 - as above
    MetaWorldEnv("reach").reset(Goal("paper", 720))
    assert np.random.random() == wanted  # noqa: NPY002 - as above


@pytest.mark.parametrize("task", ["dial-turn", "handle-press-side"])
def test_the_scripted_expert_succeeds(task):
    env = MetaWorldEnv(task)
    observation, solved = env.reset(Goal("fresh", 5)), False
    for _ in range(200):
        observation, reward, success = env.step(scripted_action(task, observation))
        solved |= success
        assert 0 <= reward <= 10.001
    assert solved


def test_an_unknown_task_names_the_closest():
    with pytest.raises(UserError) as error:
        check_task("door-opn")
    assert error.value.closest == "door-open"

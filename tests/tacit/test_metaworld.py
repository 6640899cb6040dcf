"""What is assumed of metaworld: fails when an upgrade changes it."""

from __future__ import annotations

import importlib.metadata

import mujoco
import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE

from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.methods import CHECKED, methods
from hyprepro.domains.metaworld.tasks import HORIZON, SEEN_TASKS, TASKS, UNSEEN_TASKS, Goal


def test_the_pinned_versions_are_installed():
    assert importlib.metadata.version("metaworld") == "3.1.1"
    assert importlib.metadata.version("mujoco") == "3.3.0"


@pytest.mark.parametrize(
    ("task", "seed"), [*((task, 720) for task in TASKS), ("button-press", 920), ("plate-slide", 920), ("reach", 920)]
)
def test_a_paper_goal_is_that_of_metaworlds_own_goal_observable_environment(task, seed):
    theirs = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[f"{task}-v3-goal-observable"](seed=seed)
    ours = MetaWorldEnv(task)
    np.testing.assert_array_equal(ours.reset(Goal("paper", seed)), theirs.reset()[0])
    action = np.array([0.3, 0.5, -0.4, 1.0])
    for _ in range(10):
        wanted, reward, _, _, info = theirs.step(action)
        observation, ours_reward, success = ours.step(action)
        np.testing.assert_array_equal(observation, wanted)
        assert (ours_reward, success) == (reward, bool(info["success"]))


def test_every_task_exists_with_39_observations_and_a_step_of_12_5_milliseconds():
    for task in SEEN_TASKS + UNSEEN_TASKS:
        env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[f"{task}-v3-goal-observable"](seed=0)
        assert env.max_path_length == HORIZON
        assert env.reset()[0].shape == (39,)
        assert env.dt == pytest.approx(0.0125)


def test_metaworld_refuses_steps_after_the_horizon():
    env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE["reach-v3-goal-observable"](seed=0)
    env.reset()
    for _ in range(HORIZON):
        truncated = env.step(np.zeros(4))[3]
    assert truncated
    with pytest.raises(ValueError, match="reset the env"):
        env.step(np.zeros(4))


def test_the_methods_that_the_fast_stepper_stands_in_for_are_those_it_was_checked_against():
    """After a change of metaworld or gymnasium: compare the methods named here, then `nox -s stepper`."""
    found: dict[str, str] = {}
    for task in SEEN_TASKS + UNSEEN_TASKS:
        found |= methods(ALL_V3_ENVIRONMENTS[f"{task}-v3"], task)
    assert found == CHECKED


def test_mujoco_writes_every_site_anew():
    """So a site's move between two of MuJoCo's calls cannot be seen."""
    env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE["door-lock-v3-goal-observable"](seed=0)
    env.reset()
    mujoco.mj_forward(env.model, env.data)
    before = env.data.site_xpos.copy()
    env.data.site_xpos[:] = 7.0
    mujoco.mj_forward(env.model, env.data)
    np.testing.assert_array_equal(env.data.site_xpos, before)


def test_no_model_reads_the_forces_that_only_post_constraint_computes():
    for task in SEEN_TASKS + UNSEEN_TASKS:
        assert ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[f"{task}-v3-goal-observable"](seed=0).model.nsensor == 0

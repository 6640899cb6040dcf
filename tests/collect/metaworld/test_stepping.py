"""Environments in a pool of processes do what they do in this one."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from hyprepro.collect.metaworld.settings import Agent, training_goal
from hyprepro.collect.metaworld.stepping import LocalEnvironments, PooledEnvironments, environments

pytestmark = pytest.mark.sim
TASKS = ("reach", "door-open", "reach")


def test_a_pool_steps_as_this_process_does() -> None:
    goals = [training_goal(Agent(task, seed), 0) for seed, task in enumerate(TASKS)]
    rng = np.random.default_rng(0)
    with LocalEnvironments(TASKS) as here, PooledEnvironments(TASKS, 2) as there:
        for _ in range(2):
            np.testing.assert_array_equal(here.reset(goals), there.reset(goals))
            for _ in range(3):
                actions = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
                for ours, theirs in zip(here.step(actions), there.step(actions), strict=True):
                    np.testing.assert_array_equal(ours, theirs)
                    assert ours.dtype == theirs.dtype
        processes = there._processes
    assert all(process.returncode == 0 for process in processes)


def reset_in_a_pool() -> None:
    with PooledEnvironments(("reach",), 1) as envs:
        envs.reset([training_goal(Agent("reach", 0), 0)])


def test_a_stage_in_a_process_of_an_executor_may_use_a_pool() -> None:
    process = multiprocessing.get_context("spawn").Process(target=reset_in_a_pool, daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_a_lost_process_is_told() -> None:
    with PooledEnvironments(("reach",), 4) as envs:
        (process,) = envs._processes
        process.kill()
        process.wait()
        with pytest.raises(RuntimeError, match="died"):
            envs.reset([training_goal(Agent("reach", 0), 0)])


def test_updates_on_a_cpu_need_no_other_process() -> None:
    assert isinstance(environments(("reach",), "cpu"), LocalEnvironments)

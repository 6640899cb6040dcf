from __future__ import annotations

import numpy as np
import pytest

from hyprepro.domains.metaworld.env import MetaWorldEnv, Start, scripted_action
from hyprepro.domains.metaworld.pool import Environment, EnvironmentPool, process_pool
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.errors import UserError


class Idle:
    def __init__(self, task: str, starts: dict[Goal, Start]) -> None:
        self.task = task

    def reset(self, goal: Goal) -> np.ndarray:
        return np.zeros(1)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        return np.zeros(1), 0.0, False

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, bool]:
        return np.zeros(1), False


def pool_of(slots: int, tasks: int) -> tuple[EnvironmentPool, list[str]]:
    built: list[str] = []

    def build(task: str, starts: dict[Goal, Start]) -> Environment:
        built.append(task)
        return Idle(task, starts)

    return EnvironmentPool(slots, tasks, build), built


def test_builds_no_more_environments_than_asked_for_and_never_more_than_slots() -> None:
    pool, built = pool_of(slots=3, tasks=1)
    assert len(pool.take("reach", 2)) == 2
    assert built == ["reach"] * 2
    assert len(pool.take("reach", 100)) == 3
    assert built == ["reach"] * 3


def test_returns_the_same_environments_again() -> None:
    pool, built = pool_of(slots=2, tasks=2)
    first = pool.take("reach", 2)
    pool.take("door-open", 2)
    assert all(a is b for a, b in zip(first, pool.take("reach", 2), strict=True))
    assert built == ["reach"] * 2 + ["door-open"] * 2


def test_drops_the_task_that_was_used_longest_ago() -> None:
    pool, built = pool_of(slots=1, tasks=2)
    for task in ("reach", "door-open", "reach", "window-open"):
        pool.take(task, 1)
    assert pool.tasks == ("reach", "window-open")
    assert built == ["reach", "door-open", "window-open"]


def test_a_cleared_pool_builds_anew_and_knows_its_starts() -> None:
    known: list[dict[Goal, Start]] = []

    def build(task: str, starts: dict[Goal, Start]) -> Environment:
        known.append(starts)
        return Idle(task, starts)

    pool = EnvironmentPool(2, 1, build)
    first = pool.take("reach", 1)[0]
    pool.clear()
    assert pool.take("reach", 1)[0] is not first
    assert known[0] is known[1]


@pytest.mark.parametrize(("slots", "tasks"), [(0, 1), (1, 0)])
def test_refuses_an_empty_pool(slots: int, tasks: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        EnvironmentPool(slots, tasks)


@pytest.mark.sim
def test_the_pool_of_the_process_is_one_and_names_unknown_tasks() -> None:
    assert process_pool() is process_pool()
    with pytest.raises(UserError) as caught:
        process_pool().take("door-opne", 1)
    assert caught.value.closest == "door-open"


def episode(env: Environment, task: str, goal: Goal, steps: int) -> np.ndarray:
    rows = [env.reset(goal)]
    for _ in range(steps):
        observation, _, success = env.step(scripted_action(task, rows[-1][:39]))
        rows.append(np.append(observation, success))
    return np.concatenate(rows)


@pytest.mark.sim
@pytest.mark.parametrize("task", ["drawer-open", "button-press"])
def test_an_episode_does_not_depend_on_what_ran_before_in_its_environment(task: str) -> None:
    paper, fresh = Goal("paper", 720), Goal("fresh", 4_000_001)
    used = MetaWorldEnv(task)
    first = episode(used, task, paper, 100)
    other = episode(used, task, fresh, 37)  # left in the middle of a movement
    assert np.array_equal(episode(used, task, paper, 100), first)
    new = MetaWorldEnv(task)
    assert np.array_equal(episode(new, task, fresh, 37), other)
    assert np.array_equal(episode(new, task, paper, 100), first)

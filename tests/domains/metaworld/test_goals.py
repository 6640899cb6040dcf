from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyprepro.domains.metaworld import tasks as goals
from hyprepro.domains.metaworld.tasks import TASKS

RANGES = (goals.COLLECTION, goals.PROMPTS, goals.VALIDATION, goals.STRICT)


def test_the_ranges_of_seeds_share_nothing() -> None:
    assert all(a.stop <= b.start or b.stop <= a.start for a, b in combinations(RANGES, 2))


@given(
    seeds=st.sampled_from(RANGES),
    base_seed=st.integers(0, 10_000),
    task=st.sampled_from(TASKS),
    index=st.integers(0, 99_999),
)
def test_goals_stay_in_their_range_and_follow_from_their_arguments(
    seeds: range, base_seed: int, task: str, index: int
) -> None:
    goal = goals.fresh_goal(seeds, base_seed, task, index)
    assert goal.seed in seeds
    assert goal == goals.fresh_goal(seeds, base_seed, task, index)
    if index:
        assert goal != goals.fresh_goal(seeds, base_seed, task, index - 1)


def test_base_seeds_and_tasks_give_other_goals() -> None:
    first = goals.fresh_goal(goals.STRICT, 0, "reach", 0)
    assert first != goals.fresh_goal(goals.STRICT, 1, "reach", 0)
    assert first != goals.fresh_goal(goals.STRICT, 0, "door-open", 0)


@pytest.mark.parametrize("index", [-1, 100_000])
def test_refuses_an_index_that_could_leave_the_range(index: int) -> None:
    with pytest.raises(ValueError, match="index"):
        goals.fresh_goal(goals.STRICT, 0, "reach", index)

"""Which goals a task has in a collection: of its name alone, and no other task's."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from hyprepro.collect.metaworld.settings import (
    CLONING,
    PLACES,
    RECHECK,
    SAC,
    SCORING,
    Agent,
    goals_a_task,
    stored_seed,
    task_goal,
    task_place,
    training_goal,
)
from hyprepro.domains.metaworld.tasks import COLLECTION, PROMPTS, SEEN_TASKS, TASKS, UNSEEN_TASKS, VALIDATION
from hyprepro.errors import UserError

PARTS = (CLONING, SAC, SCORING, RECHECK)


def test_no_two_of_the_fifty_tasks_share_a_place() -> None:
    places = [task_place(task) for task in TASKS]
    assert len(set(places)) == len(TASKS) == 50
    assert all(place in range(PLACES) for place in places)


def test_a_place_is_the_same_everywhere_and_always() -> None:
    assert [task_place(task) for task in ("reach", "hammer", "assembly")] == [12, 25, 7]


@pytest.mark.parametrize("seeds", [*PARTS, PROMPTS, VALIDATION])
def test_tasks_share_no_goal_of_any_range(seeds: range) -> None:
    last = goals_a_task(seeds) - 1
    found = sorted((task_goal(seeds, task, 0).seed, task_goal(seeds, task, last).seed) for task in TASKS)
    assert all(end < start for (_, end), (start, _) in pairwise(found))
    assert all(start in seeds and end in seeds and end - start == last for start, end in found)
    assert task_goal(seeds, "hammer", last + 1) == task_goal(seeds, "hammer", 0)


def test_what_is_trained_on_scored_on_and_checked_on_is_never_the_same() -> None:
    assert all(a.stop <= b.start or b.stop <= a.start for a, b in combinations(PARTS, 2))
    assert all(part.start in COLLECTION and part.stop <= COLLECTION.stop for part in PARTS)


def test_a_store_whose_goals_went_by_position_is_checked_on_other_goals() -> None:
    """The bundled stores: 20,000 goals for each of the eighteen tasks, from the first of the range."""
    assert COLLECTION.start + 20_000 * len(SEEN_TASKS + UNSEEN_TASKS) <= RECHECK.start


def test_seeds_of_sac_share_no_goal_for_five_hundred_episodes() -> None:
    goals = [training_goal(Agent("hammer", seed), episode) for seed in range(11) for episode in range(500)]
    assert len(set(goals)) == len(goals)
    assert training_goal(Agent("hammer", 0), 500) == training_goal(Agent("hammer", 1), 0)
    assert all(goal.seed in SAC for goal in goals)


def test_an_unknown_task_has_no_goals() -> None:
    with pytest.raises(UserError, match="Unknown Meta-World task"):
        task_goal(SAC, "hamer", 0)


@pytest.mark.parametrize("seeds", [*PARTS, PROMPTS, VALIDATION])
def test_a_collection_with_another_seed_has_other_goals(seeds: range) -> None:
    """That with seed 0 has those that a task's place gives; tasks of a collection share none."""
    count = goals_a_task(seeds)
    assert task_goal(seeds, "reach", 3).seed == task_goal(seeds, "reach", 3, 0).seed == seeds.start + 12 * count + 3
    for task in ("reach", "hammer"):
        found = [{task_goal(seeds, task, index, seed) for index in (0, 1, count - 1)} for seed in range(PLACES)]
        assert all(not one & other for one, other in combinations(found, 2))
        assert task_goal(seeds, task, 5, PLACES) == task_goal(seeds, task, 5)
    for seed in (1, 42, 99):
        firsts = [task_goal(seeds, task, 0, seed).seed for task in TASKS]
        assert len(set(firsts)) == len(TASKS)
        assert all(first in seeds and first + count - 1 in seeds for first in firsts)


def test_a_collections_seed_moves_training_goals_and_the_numbers_of_runs() -> None:
    agent = Agent("reach", 2)
    assert training_goal(agent, 7) == training_goal(agent, 7, 0) != training_goal(agent, 7, 1)
    assert training_goal(agent, 7, 3) == task_goal(SAC, "reach", 1007, 3)
    numbers = [stored_seed(collection, run) for collection in range(4) for run in range(12)]
    assert len(set(numbers)) == len(numbers)
    assert numbers[:12] == list(range(12))

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyprepro.domains.episodes import Episode, Outcome, run_episodes
from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.domains.metaworld.tasks import HORIZON, Goal
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import METAWORLD_LAYOUT
from tests.domains.toy import TOY_LAYOUT, Walk, toy_controllers, walk_pool

TOY_HORIZON = 40


def one_by_one(controllers: PolicyControllers, episodes: list[Episode]) -> list[Outcome]:
    """The plainest possible evaluation, as the reference."""
    outcomes = []
    for row, goal in episodes:
        env, session = Walk("walk", {}), controllers.session(1)
        session.assign(0, row)
        observation, outcome = env.reset(goal), Outcome(False, TOY_HORIZON)
        for step in range(1, TOY_HORIZON + 1):
            observation, _, success = env.step(session.act(observation.astype(np.float32)[None])[0])
            if success:
                outcome = Outcome(True, step)
                break
        outcomes.append(outcome)
    return outcomes


EPISODES = [Episode(row, Goal("fresh", seed)) for row in range(6) for seed in range(4)]


def test_the_reference_has_successes_and_failures() -> None:
    outcomes = one_by_one(toy_controllers(6), EPISODES)
    assert {outcome.success for outcome in outcomes} == {True, False}
    assert len({outcome.steps for outcome in outcomes}) > 3


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(len(EPISODES))), slots=st.integers(1, 9))
def test_neither_the_order_nor_the_number_of_slots_changes_an_outcome(order: list[int], slots: int) -> None:
    controllers = toy_controllers(6)
    wanted = one_by_one(controllers, EPISODES)
    shuffled = [EPISODES[i] for i in order]
    got = run_episodes("walk", controllers, shuffled, walk_pool(slots), TOY_HORIZON)
    assert got == [wanted[i] for i in order]


def test_a_pool_that_was_used_before_gives_the_same_outcomes() -> None:
    pool, controllers = walk_pool(3), toy_controllers(6)
    first = run_episodes("walk", controllers, EPISODES, pool, TOY_HORIZON)
    run_episodes("walk", toy_controllers(5, seed=1), EPISODES[:7], pool, TOY_HORIZON)
    assert run_episodes("walk", controllers, EPISODES, pool, TOY_HORIZON) == first


def test_identical_policies_share_a_rollout_on_the_same_goal_only() -> None:
    params = toy_controllers(2).params
    controllers = PolicyControllers(TOY_LAYOUT, np.concatenate([params, params, params]))
    episodes = [Episode(row, Goal("paper", seed)) for row in range(6) for seed in (720, 920)]
    Walk.episodes = 0
    outcomes = run_episodes("walk", controllers, episodes, walk_pool(4), TOY_HORIZON)
    assert Walk.episodes == 4
    assert outcomes == one_by_one(controllers, episodes)
    Walk.episodes = 0
    run_episodes("walk", controllers, [Episode(row, Goal("fresh", row)) for row in range(6)], walk_pool(4), TOY_HORIZON)
    assert Walk.episodes == 6


def test_a_policy_that_is_not_finite_fails_and_harms_no_other() -> None:
    params = toy_controllers(3).params.copy()
    params[1, 5] = np.nan
    broken = PolicyControllers(TOY_LAYOUT, params)
    episodes = [Episode(row, Goal("fresh", 3)) for row in range(3)]
    outcomes = run_episodes("walk", broken, episodes, walk_pool(3), TOY_HORIZON)
    assert outcomes[1] == Outcome(False, 0)
    sound = one_by_one(toy_controllers(3), episodes)
    assert [outcomes[0], outcomes[2]] == [sound[0], sound[2]]


def test_progress_counts_distinct_episodes_up_to_their_total() -> None:
    seen: list[tuple[int, int]] = []
    twice = [*EPISODES, *EPISODES]
    run_episodes("walk", toy_controllers(6), twice, walk_pool(2), TOY_HORIZON, lambda done, of: seen.append((done, of)))
    assert [total for _, total in seen] == [24] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (24, 24)


def test_no_episodes_give_no_outcomes() -> None:
    assert run_episodes("walk", toy_controllers(1), [], walk_pool(2)) == []


@pytest.mark.sim
def test_real_episodes_are_the_same_after_other_tasks_ran() -> None:
    params = np.random.default_rng(0).normal(0, 0.08, (3, METAWORLD_LAYOUT.size))
    controllers = PolicyControllers(METAWORLD_LAYOUT, params)
    episodes = [Episode(row, Goal("fresh", 4_000_000 + row)) for row in range(3)]
    pool = EnvironmentPool(slots=2, tasks=2)
    first = run_episodes("reach", controllers, episodes, pool)
    assert all(outcome.steps == HORIZON for outcome in first if not outcome.success)
    run_episodes("door-open", controllers, episodes[:1], pool, horizon=20)
    run_episodes("reach", controllers, episodes[1:], pool, horizon=33)
    assert run_episodes("reach", controllers, episodes[::-1], pool) == first[::-1]

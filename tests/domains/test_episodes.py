"""The one loop of episodes, on a toy domain of either metric and on the bundled domains."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyprepro.domains.base import RETURN, Metric, Start
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.episodes import Episode, Outcome, run_episodes
from hyprepro.domains.metaworld.domain import Environments, MetaWorld
from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.domains.metaworld.tasks import HORIZON
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import CHEETAH_LAYOUT, METAWORLD_LAYOUT
from tests.domains.toy import TOY_HORIZON, TOY_LAYOUT, Walk, WalkDomain, Walks, toy_controllers

EPISODES = [Episode(row, Start("fresh", seed)) for row in range(6) for seed in range(4)]


class GainDomain(WalkDomain):
    """Walks that are scored by what they gain, to the end."""

    metric: ClassVar[Metric] = RETURN
    idles: ClassVar[bool] = True


DOMAINS = pytest.mark.parametrize("domain", [WalkDomain(), GainDomain()], ids=["success", "return"])


def one_by_one(domain: WalkDomain, controllers: PolicyControllers, episodes: list[Episode]) -> list[Outcome]:
    """The plainest possible evaluation, as the reference."""
    outcomes = []
    for row, start in episodes:
        env, session = Walk(), controllers.session(1)
        session.assign(0, row)
        observation, outcome, total = env.reset(start), Outcome(False, TOY_HORIZON), 0.0
        for step in range(1, TOY_HORIZON + 1):
            observation, reward, success = env.step(session.act(observation.astype(np.float32)[None])[0])
            total += reward
            if success and domain.metric.ends_episode:
                outcome = Outcome(True, step)
                break
        outcomes.append(outcome if domain.metric.ends_episode else Outcome(total=total))
    return outcomes


def test_the_reference_has_successes_failures_and_several_returns() -> None:
    outcomes = one_by_one(WalkDomain(), toy_controllers(6), EPISODES)
    assert {outcome.success for outcome in outcomes} == {True, False}
    assert len({outcome.steps for outcome in outcomes}) > 3
    assert len({outcome.total for outcome in one_by_one(GainDomain(), toy_controllers(6), EPISODES)}) > 3


@DOMAINS
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(len(EPISODES))), slots=st.integers(1, 9))
def test_neither_the_order_nor_the_number_of_slots_changes_an_outcome(
    domain: WalkDomain, order: list[int], slots: int
) -> None:
    class Slots(type(domain)):  # type: ignore[misc]
        episodes_at_once: ClassVar[int] = slots

    controllers = toy_controllers(6)
    wanted = one_by_one(domain, controllers, EPISODES)
    got = run_episodes(Slots(), "walk", controllers, [EPISODES[i] for i in order])
    assert got == [wanted[i] for i in order]


@DOMAINS
def test_identical_policies_share_a_rollout_from_the_same_start_only(domain: WalkDomain) -> None:
    params = toy_controllers(2).params
    controllers = PolicyControllers(TOY_LAYOUT, np.concatenate([params, params, params]))
    episodes = [Episode(row, Start("paper", seed)) for row in range(6) for seed in (720, 920)]
    Walk.episodes = 0
    outcomes = run_episodes(domain, "walk", controllers, episodes)
    assert Walk.episodes == 4
    assert outcomes == one_by_one(domain, controllers, episodes)
    Walk.episodes = 0
    run_episodes(domain, "walk", controllers, [Episode(row, Start("fresh", row)) for row in range(6)])
    assert Walk.episodes == 6


@DOMAINS
def test_a_policy_that_is_not_finite_harms_no_other(domain: WalkDomain) -> None:
    params = toy_controllers(3).params.copy()
    params[1, 5] = np.nan
    broken = PolicyControllers(TOY_LAYOUT, params)
    episodes = [Episode(row, Start("fresh", 3)) for row in range(3)]
    outcomes = run_episodes(domain, "walk", broken, episodes)
    assert outcomes[1] == (Outcome(total=0.0) if domain.idles else Outcome(False, 0)), "it idles, or fails at once"
    sound = one_by_one(domain, toy_controllers(3), episodes)
    assert [outcomes[0], outcomes[2]] == [sound[0], sound[2]]


@DOMAINS
def test_progress_counts_distinct_episodes_up_to_their_total(domain: WalkDomain) -> None:
    seen: list[tuple[int, int]] = []
    twice = [*EPISODES, *EPISODES]
    run_episodes(domain, "walk", toy_controllers(6), twice, lambda done, of: seen.append((done, of)))
    assert [total for _, total in seen] == [24] * len(seen)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (24, 24)


@DOMAINS
def test_no_episodes_give_no_outcomes(domain: WalkDomain) -> None:
    assert run_episodes(domain, "walk", toy_controllers(1), []) == []


def test_a_session_is_told_the_rewards_where_they_count() -> None:
    told: list[NDArray[np.float64]] = []

    class Told:
        n = 2

        def representatives(self) -> NDArray[np.int64]:
            return np.arange(2)

        def session(self, slots: int) -> Told:
            return self

        def assign(self, slot: int, row: int) -> None:
            pass

        def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.ones((len(observations), 2), np.float32)

        def observe(self, rewards: NDArray[np.float64]) -> None:
            told.append(rewards)

    outcomes = run_episodes(GainDomain(), "walk", Told(), [Episode(row, Start("fresh", row)) for row in range(2)])
    assert len(told) == TOY_HORIZON
    assert [outcome.total for outcome in outcomes] == pytest.approx(np.sum(told, axis=0))
    told.clear()
    run_episodes(WalkDomain(), "walk", Told(), [Episode(0, Start("fresh", 6))])
    assert not told


def test_another_horizon_and_simulator() -> None:
    made: list[int] = []

    def two(slots: int) -> Walks:
        made.append(slots)
        return Walks(min(slots, 2), rewarded=False)

    outcomes = run_episodes(WalkDomain(), "walk", toy_controllers(6), EPISODES, horizon=3, simulator=two)
    assert made == [4]
    assert max(outcome.steps or 0 for outcome in outcomes) == 3


@pytest.mark.sim
def test_real_episodes_are_the_same_after_other_tasks_ran() -> None:
    params = np.random.default_rng(0).normal(0, 0.08, (3, METAWORLD_LAYOUT.size))
    controllers = PolicyControllers(METAWORLD_LAYOUT, params)
    episodes = [Episode(row, Start("fresh", 4_000_000 + row)) for row in range(3)]
    pool, domain = EnvironmentPool(slots=2, tasks=2), MetaWorld()

    def run(task: str, some: list[Episode], horizon: int | None = None) -> list[Outcome]:
        return run_episodes(
            domain,
            task,
            controllers,
            some,
            horizon=horizon,
            simulator=lambda slots: Environments(pool.take(task, slots)),
        )

    first = run("reach", episodes)
    assert all(outcome.steps == HORIZON for outcome in first if not outcome.success)
    run("door-open", episodes[:1], 20)
    run("reach", episodes[1:], 33)
    assert run("reach", episodes[::-1]) == first[::-1]


@pytest.mark.sim
def test_a_return_is_that_of_the_gymnasium_environment() -> None:
    import gymnasium

    params = np.random.default_rng(0).normal(0.0, 0.2, (2, CHEETAH_LAYOUT.size))
    policies, domain, task = PolicyControllers(CHEETAH_LAYOUT, params), CheetahVel(), "velocity-1.200"
    spec = domain.environment(task)
    assert spec is not None
    env, total, truncated = gymnasium.make(spec), 0.0, False
    observation, _ = env.reset(seed=7)
    session = policies.session(1)
    session.assign(0, 1)
    while not truncated:
        observation, reward, _, truncated, _ = env.step(session.act(observation[None].astype(np.float32))[0])
        total += float(reward)
    (outcome,) = run_episodes(domain, task, policies, [Episode(1, Start("fresh", 7))])
    assert outcome.total == pytest.approx(total, abs=1e-9)


@pytest.mark.sim
def test_more_episodes_than_run_at_once_do_not_depend_on_each_other() -> None:
    params = np.random.default_rng(0).normal(0.0, 0.2, (2, CHEETAH_LAYOUT.size))
    policies, domain, task = PolicyControllers(CHEETAH_LAYOUT, params), CheetahVel(), "velocity-1.200"
    episodes = [Episode(number % 2, Start("fresh", number)) for number in range(domain.episodes_at_once + 3)]
    together = run_episodes(domain, task, policies, episodes)
    some = [episodes[3], episodes[-1]]
    assert run_episodes(domain, task, policies, some) == [together[3], together[-1]]


@pytest.mark.sim
def test_a_cheetah_without_finite_actions_lies_still() -> None:
    task, episodes = "velocity-1.200", [Episode(0, Start("fresh", 7))]
    params = (np.full((1, CHEETAH_LAYOUT.size), np.nan), np.zeros((1, CHEETAH_LAYOUT.size)))
    broken, idle = (
        run_episodes(CheetahVel(), task, PolicyControllers(CHEETAH_LAYOUT, each), episodes) for each in params
    )
    assert broken == idle

"""Episodes of Cheetah-Vel against gymnasium's own loop."""

from __future__ import annotations

import numpy as np
import pytest

from hyprepro.domains.cheetah_vel.domain import STARTS
from hyprepro.domains.cheetah_vel.env import CheetahVel
from hyprepro.experiments.velocity_rollouts import run_episodes, start_seeds
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import CHEETAH_LAYOUT

TARGET = 1.2


@pytest.fixture(scope="module")
def policies() -> PolicyControllers:
    params = np.random.default_rng(0).normal(0.0, 0.2, (2, CHEETAH_LAYOUT.size))
    return PolicyControllers(CHEETAH_LAYOUT, params)


def test_a_return_is_that_of_the_gymnasium_environment(policies: PolicyControllers) -> None:
    env, total, truncated = CheetahVel(TARGET), 0.0, False
    observation, _ = env.reset(seed=7)
    session = policies.session(1)
    session.assign(0, 1)
    while not truncated:
        observation, reward, _, truncated, _ = env.step(session.act(observation[None].astype(np.float32))[0])
        total += reward
    assert run_episodes(policies, np.array([1]), [7], TARGET) == pytest.approx([total], abs=1e-9)


def test_an_episode_does_not_depend_on_the_others(policies: PolicyControllers) -> None:
    rows, starts = np.array([0, 1] * 40), list(range(80))  # more than run at once
    together = run_episodes(policies, rows, starts, TARGET)
    assert together[[3, 70]] == pytest.approx(run_episodes(policies, rows[[3, 70]], [3, 70], TARGET), abs=1e-9)


def test_a_policy_without_finite_actions_lies_still() -> None:
    broken = PolicyControllers(CHEETAH_LAYOUT, np.full((1, CHEETAH_LAYOUT.size), np.nan))
    idle = PolicyControllers(CHEETAH_LAYOUT, np.zeros((1, CHEETAH_LAYOUT.size)))
    found, wanted = (run_episodes(each, np.array([0]), [7], TARGET) for each in (broken, idle))
    assert found == pytest.approx(wanted)


def test_starts() -> None:
    seeds = start_seeds("test", 0, TARGET, 10)
    assert len(set(seeds)) == 10
    assert all(seed in STARTS["test"] for seed in seeds)
    assert seeds[:3] == start_seeds("test", 0, TARGET, 3)
    others = [start_seeds("test", 1, TARGET, 10), start_seeds("test", 0, 0.6, 10)]
    others.append(start_seeds("validation", 0, TARGET, 10))
    assert not any(set(seeds) & set(other) for other in others)

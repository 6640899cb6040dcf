"""Policies as controllers of Cheetah-Vel."""

from __future__ import annotations

import numpy as np
import pytest

from hyprepro.policies.controllers import VelocityPolicies
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import CHEETAH_LAYOUT


@pytest.fixture
def params() -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.2, (3, CHEETAH_LAYOUT.size)).astype(np.float32)


def test_they_act_as_the_stored_policies(params: np.ndarray) -> None:
    rows, observations = np.array([2, 0, 2, 1]), np.random.default_rng(1).normal(size=(4, 17))
    session = VelocityPolicies(CHEETAH_LAYOUT, params).start()
    session.reset(rows)
    expected = StackedPolicies(CHEETAH_LAYOUT, params).act(rows, observations)
    np.testing.assert_allclose(session.act(observations), expected, atol=1e-6)


def test_an_episode_does_not_depend_on_the_others(params: np.ndarray) -> None:
    policies, observations = VelocityPolicies(CHEETAH_LAYOUT, params), np.random.default_rng(1).normal(size=(3, 17))
    together, alone = policies.start(), policies.start()
    together.reset(np.array([0, 1, 2]))
    alone.reset(np.array([1]))
    assert np.array_equal(together.act(observations)[1:2], alone.act(observations[1:2]))


def test_a_session_can_be_used_again_with_other_numbers_of_episodes(params: np.ndarray) -> None:
    policies = VelocityPolicies(CHEETAH_LAYOUT, params)
    assert policies.n == 3
    session = policies.start()
    for count in (2, 5, 1):
        session.reset(np.arange(count) % 3)
        assert session.act(np.zeros((count, 17))).shape == (count, 6)
        session.observe(np.zeros(count))

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import ACTIVATIONS, METAWORLD_LAYOUT, Activation, PolicyLayout


def metaworld_controllers(n: int) -> PolicyControllers:
    return PolicyControllers(METAWORLD_LAYOUT, np.random.default_rng(0).normal(0, 0.1, (n, METAWORLD_LAYOUT.size)))


@pytest.mark.parametrize("second", ACTIVATIONS)
@pytest.mark.parametrize("first", ACTIVATIONS)
def test_actions_are_those_of_the_stacked_policies(first: Activation, second: Activation) -> None:
    layout = PolicyLayout.mlp(5, 16, 3, (first, second))
    rng = np.random.default_rng(1)
    controllers = PolicyControllers(layout, rng.normal(0, 0.5, (4, layout.size)))
    observations = rng.normal(0, 1, (4, 5)).astype(np.float32)
    rows = np.array([2, 0, 3, 3])
    session = controllers.session(4)
    for slot, row in enumerate(rows):
        session.assign(slot, int(row))
    wanted = StackedPolicies(layout, controllers.params).act(rows, observations)
    np.testing.assert_allclose(session.act(observations), wanted, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(slots=st.integers(1, 8), data=st.data())
def test_an_action_depends_bit_for_bit_on_its_own_slot_alone(slots: int, data: st.DataObject) -> None:
    controllers = metaworld_controllers(5)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    row, slot = data.draw(st.integers(0, 4)), data.draw(st.integers(0, slots - 1))
    observation = rng.normal(0, 1, 39).astype(np.float32)
    alone = controllers.session(1)
    alone.assign(0, row)
    crowd = controllers.session(slots)
    for other in range(slots):
        crowd.assign(other, int(rng.integers(5)))
    crowd.assign(slot, row)
    observations = rng.normal(0, 1, (slots, 39)).astype(np.float32)
    observations[slot] = observation
    assert np.array_equal(crowd.act(observations)[slot], alone.act(observation[None])[0])


def test_representatives_are_the_first_of_bit_identical_policies() -> None:
    params = metaworld_controllers(3).params
    controllers = PolicyControllers(METAWORLD_LAYOUT, params[[0, 1, 0, 2, 1]])
    assert controllers.representatives().tolist() == [0, 1, 0, 3, 1]


def test_takes_tensors_that_require_gradients() -> None:
    params = torch.zeros(2, METAWORLD_LAYOUT.size, requires_grad=True)
    assert PolicyControllers(METAWORLD_LAYOUT, params).n == 2


def test_refuses_parameters_of_another_layout() -> None:
    with pytest.raises(ValueError, match="22664"):
        PolicyControllers(METAWORLD_LAYOUT, np.zeros((2, 100)))

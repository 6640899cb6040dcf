"""The parameter layout: sizes of the paper's policies, splitting and joining, descriptions from untrusted files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout


def test_metaworld_layout_has_make_an_agents_sizes():
    assert METAWORLD_LAYOUT.size == 22_664
    assert METAWORLD_LAYOUT.first_layer_size == 5_120
    assert [spec.name for spec in METAWORLD_LAYOUT.layers[:3]] == ["linear1.weight", "linear1.bias", "linear2.weight"]
    assert (METAWORLD_LAYOUT.observation_size, METAWORLD_LAYOUT.hidden, METAWORLD_LAYOUT.action_size) == (39, 128, 4)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_join_undoes_split(observation, hidden, action, batch):
    layout = PolicyLayout.mlp(observation, hidden, action, ("elu", "relu"))
    flat = np.arange(batch * layout.size, dtype=np.float32).reshape(batch, layout.size)
    parts = layout.split(flat)
    assert parts["linear1.weight"].shape == (batch, hidden, observation)
    np.testing.assert_array_equal(layout.join(parts), flat)


def test_split_refuses_another_length():
    with pytest.raises(ValueError, match="22664"):
        METAWORLD_LAYOUT.split(np.zeros(5))


def test_description_round_trips():
    layout = PolicyLayout.mlp(17, 64, 6, ("elu", "relu"))
    assert PolicyLayout.from_json(layout.to_json()) == layout


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("layers"),
        lambda d: d["layers"].pop(),
        lambda d: d["layers"][0].update(shape=[128, 40]),
        lambda d: d["layers"][3].update(offset=0),
        lambda d: d["layers"][0].update(shape=[10**9, 39]),
        lambda d: d.update(activations=["relu", "exec"]),
        lambda d: d.update(activations="relu"),
        lambda d: d.update(layers=None),
    ],
)
def test_a_malformed_description_is_a_user_error(damage):
    data = METAWORLD_LAYOUT.to_json()
    damage(data)
    with pytest.raises(UserError):
        PolicyLayout.from_json(data)

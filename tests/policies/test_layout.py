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


DEEP = PolicyLayout.mlp(3, (4, 5, 6), 2, ("elu", "tanh", "relu"), "clip", ((-2.0, 2.0), (0.0, 1.0)))


def test_a_deep_layout_with_bounds_round_trips():
    assert DEEP.widths == (4, 5, 6)
    assert DEEP.shape == "3 -> 4 -> 5 -> 6 -> 2"
    assert DEEP.linears == ("linear1", "linear2", "linear3", "mean")
    assert DEEP.nonlinearities == ("elu", "tanh", "relu", "clip")
    assert PolicyLayout.from_json(DEEP.to_json()) == DEEP
    assert set(METAWORLD_LAYOUT.to_json()) == {"layers", "activations"}, "older stores keep their digests"


def test_one_hidden_layer_is_enough_and_none_is_not():
    shallow = PolicyLayout.mlp(3, 5, 2, ("relu",))
    assert (shallow.widths, shallow.linears, shallow.size) == ((5,), ("linear1", "mean"), 5 * 4 + 2 * 2 * 6)
    assert PolicyLayout.from_json(shallow.to_json()) == shallow
    with pytest.raises(ValueError, match="0 hidden layers"):
        PolicyLayout.mlp(3, (), 2, ())
    described = shallow.to_json()
    described["layers"], described["activations"] = described["layers"][2:], []
    with pytest.raises(UserError):
        PolicyLayout.from_json(described)


def test_actions_are_scaled_to_their_bounds():
    actions = np.array([[-1, -1], [1, 1], [0, 0.5]], dtype=np.float32)
    np.testing.assert_allclose(DEEP.to_environment(actions), [[-2, 0], [2, 1], [0, 0.75]])
    assert METAWORLD_LAYOUT.to_environment(actions) is actions


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(squash="sigmoid"),
        lambda d: d.update(bounds=[[-1, 1]]),
        lambda d: d.update(bounds=[[1, -1], [0, 1]]),
        lambda d: d.update(bounds=[[float("-inf"), 1], [0, 1]]),
        lambda d: d.update(bounds=[["a", 1], [0, 1]]),
        lambda d: d.update(bounds=7),
        lambda d: d.update(activations=["relu", "relu"]),
        lambda d: d["layers"].insert(2, d["layers"][2]),
    ],
)
def test_a_malformed_deep_description_is_a_user_error(damage):
    data = DEEP.to_json()
    damage(data)
    with pytest.raises(UserError):
        PolicyLayout.from_json(data)


@pytest.mark.parametrize("squash", ["tanh", "clip"])
def test_both_forward_passes_agree_on_deep_policies(squash):
    import torch

    from hyprepro.policies.controllers import PolicyControllers
    from hyprepro.policies.forward import StackedFit, StackedPolicies, forward

    layout = PolicyLayout.mlp(3, (4, 5, 6), 2, ("elu", "tanh", "relu"), squash)
    rng = np.random.default_rng(0)
    params = rng.normal(0, 1, (3, layout.size)).astype(np.float32)
    observations = rng.normal(0, 1, (3, 7, 3)).astype(np.float32)
    stacked = StackedPolicies(layout, params).means(torch.from_numpy(observations))
    weights = {
        k: v.clone().requires_grad_() for k, v in layout.split(torch.from_numpy(params)).items() if "log" not in k
    }
    torch.testing.assert_close(forward(layout, weights, torch.from_numpy(observations)), stacked)
    session = PolicyControllers(layout, params).session(3)
    for row in range(3):
        session.assign(row, row)
    np.testing.assert_allclose(session.act(observations[:, 0]), stacked[:, 0], rtol=1e-4, atol=1e-5)
    wanted = torch.from_numpy(rng.uniform(-1, 1, (3, 7, 2)).astype(np.float32))
    loss = (forward(layout, weights, torch.from_numpy(observations)) - wanted).square().mean((1, 2)).sum()
    loss.backward()
    fit = StackedFit(layout, {k: v.detach() for k, v in weights.items()}, wanted, 1e-3, 0.0, 0.0)
    fit.step(torch.from_numpy(observations))
    for name, value in weights.items():
        torch.testing.assert_close(fit._gradients[name], value.grad, rtol=1e-4, atol=1e-5)

"""Stacked policies act as the same networks written out in plain torch, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout


def plain_action(layout: PolicyLayout, flat: torch.Tensor, observation: torch.Tensor) -> torch.Tensor:
    parts = layout.split(flat)
    functions = {"relu": torch.relu, "elu": torch.nn.functional.elu, "tanh": torch.tanh}
    x = observation
    for name, function in zip(("linear1", "linear2"), layout.activations, strict=True):
        x = functions[function](torch.nn.functional.linear(x, parts[f"{name}.weight"], parts[f"{name}.bias"]))
    return torch.tanh(torch.nn.functional.linear(x, parts["mean.weight"], parts["mean.bias"]))


@pytest.mark.parametrize("activations", [("relu", "relu"), ("elu", "relu"), ("tanh", "tanh")])
def test_each_row_acts_like_its_own_network(activations):
    layout = PolicyLayout.mlp(39, 128, 4, activations)
    generator = torch.Generator().manual_seed(0)
    params = torch.randn((5, layout.size), generator=generator) * 0.1
    observations = torch.randn((3, 39), generator=generator)
    rows = np.array([4, 0, 4])
    acted = StackedPolicies(layout, params).act(rows, observations.numpy())
    wanted = torch.stack([plain_action(layout, params[r], o) for r, o in zip(rows, observations, strict=True)])
    np.testing.assert_allclose(acted, wanted.numpy(), atol=1e-5)
    assert np.abs(acted).max() > 0.01


def test_means_on_a_common_and_on_own_batches_agree():
    params = torch.randn((4, METAWORLD_LAYOUT.size), generator=torch.Generator().manual_seed(1)) * 0.1
    policies = StackedPolicies(METAWORLD_LAYOUT, params)
    common = torch.randn((6, 39), generator=torch.Generator().manual_seed(2))
    shared = policies.means(common)
    assert shared.shape == (4, 6, 4)
    torch.testing.assert_close(shared, policies.means(common.expand(4, 6, 39)))


def test_representatives_are_the_first_of_identical_policies():
    params = torch.zeros((5, METAWORLD_LAYOUT.size))
    params[1, 0] = params[3, 0] = 1.0
    params[4, 0] = 1.0 + 1e-6
    assert StackedPolicies(METAWORLD_LAYOUT, params).representatives().tolist() == [0, 1, 0, 1, 4]


def test_parameters_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[n, P\]"):
        StackedPolicies(METAWORLD_LAYOUT, torch.zeros(METAWORLD_LAYOUT.size))

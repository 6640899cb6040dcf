"""Folding the observation normalisation into the first layer changes no action."""

from __future__ import annotations

import numpy as np
import torch

from hyprepro.collect.sac.networks import Normaliser, actor_forward, actor_sizes, mlp_parameters, to_flat
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT


def make() -> tuple[dict[str, torch.Tensor], Normaliser]:
    rng = np.random.default_rng(0)
    normaliser = Normaliser.fit(rng.normal(0.3, 0.1, (200, 39)), smallest_scale=0.05)
    return mlp_parameters(actor_sizes(METAWORLD_LAYOUT), 3, torch.Generator().manual_seed(0)), normaliser


def test_a_folded_policy_on_raw_observations_acts_as_the_trained_one_on_normalised_ones():
    parameters, normaliser = make()
    raw = np.random.default_rng(1).normal(0.3, 0.1, (3, 39))
    mean, _ = actor_forward(parameters, torch.from_numpy(normaliser.apply(raw))[:, None])
    flat = to_flat(parameters, METAWORLD_LAYOUT, normaliser)
    acted = StackedPolicies(METAWORLD_LAYOUT, flat).act(np.arange(3), raw)
    np.testing.assert_allclose(acted, torch.tanh(mean[:, 0]).numpy(), atol=1e-5)


def test_small_scales_are_raised():
    normaliser = Normaliser.fit(np.zeros((10, 39)), smallest_scale=0.05)
    assert np.all(normaliser.scale == 0.05)


def test_initialisation_is_that_of_torch_linear():
    parameters = mlp_parameters({"linear": (39, 128)}, 50, torch.Generator().manual_seed(0))
    reference = torch.nn.Linear(39, 128)
    bound = reference.weight.abs().max().item()
    assert parameters["linear.weight"].abs().max().item() <= 39**-0.5
    assert abs(parameters["linear.weight"].abs().max().item() - bound) < 0.002
    assert abs(parameters["linear.bias"].std().item() - 39**-0.5 / 3**0.5) < 0.01

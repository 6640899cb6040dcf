"""Fits of stacked policies: hand-written gradients against autograd's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hyprepro.policies.forward import PROMPTS_AT_ONCE, STEPS_AT_ONCE, Weights, fit, forward
from hyprepro.policies.layout import Activation, PolicyLayout

PROMPTS, STEPS, RATE = PROMPTS_AT_ONCE + 3, 2 * STEPS_AT_ONCE + 1, 1e-2


def problem(activations: tuple[Activation, Activation]) -> tuple[PolicyLayout, Weights, Tensor, Tensor]:
    """Random policies, observations and actions, in double precision."""
    layout = PolicyLayout.mlp(5, 8, 2, activations)
    draws = torch.Generator().manual_seed(0)
    params = 0.5 * torch.randn(PROMPTS, layout.size, generator=draws, dtype=torch.float64)
    weights = {name: part for name, part in layout.split(params).items() if not name.startswith("log_std")}
    observations = torch.randn(PROMPTS, 7, 5, generator=draws, dtype=torch.float64)
    actions = torch.rand(PROMPTS, 7, 2, generator=draws, dtype=torch.float64) * 2 - 1
    return layout, weights, observations, actions


def by_autograd(
    layout: PolicyLayout,
    weights: Weights,
    observations: Tensor,
    actions: Tensor,
    noise: float,
    decay: float,
    pull: float,
) -> Weights:
    fitted = {name: value.clone().requires_grad_() for name, value in weights.items()}
    optimiser = torch.optim.AdamW(fitted.values(), lr=RATE, weight_decay=decay)
    draws = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        noisy = observations + noise * torch.randn(observations.shape, generator=draws)
        loss = (forward(layout, fitted, noisy) - actions).square().mean(dim=(1, 2)).sum()
        for name, value in fitted.items():
            loss = loss + pull * (value - weights[name]).square().sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return {name: value.detach() for name, value in fitted.items()}


@pytest.mark.parametrize("activations", [("relu", "relu"), ("elu", "relu"), ("tanh", "elu")])
@pytest.mark.parametrize(("noise", "decay", "pull"), [(0.0, 0.0, 0.0), (0.1, 0.0, 0.02), (0.1, 0.1, 0.0)])
def test_a_fit_goes_where_autograd_goes(
    activations: tuple[Activation, Activation], noise: float, decay: float, pull: float
) -> None:
    layout, weights, observations, actions = problem(activations)
    wanted = by_autograd(layout, weights, observations, actions, noise, decay, pull)
    found = fit(
        layout,
        weights,
        observations,
        actions,
        steps=STEPS,
        learning_rate=RATE,
        input_noise=noise,
        draws=torch.Generator().manual_seed(1),
        weight_decay=decay,
        pull=pull,
    )
    assert list(found) == list(weights)
    for name, value in found.items():
        assert not torch.allclose(value, weights[name], atol=1e-2)
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-8)


def test_a_fit_leaves_what_it_was_given_alone() -> None:
    layout, weights, observations, actions = problem(("relu", "relu"))
    before = {name: value.clone() for name, value in weights.items()}
    draws = torch.Generator().manual_seed(1)
    fit(layout, weights, observations, actions, steps=3, learning_rate=RATE, input_noise=0.1, draws=draws, pull=0.1)
    assert all(torch.equal(value, before[name]) for name, value in weights.items())

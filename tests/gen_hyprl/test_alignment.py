"""Aligning hidden units: what a policy computes stays, and permuted copies come back."""

from __future__ import annotations

import pytest
import torch

from hyprepro.gen_hyprl.alignment import matching_orders, reordered
from hyprepro.gen_hyprl.autoencoder import Autoencoder, DeepAutoencoder, LinearAutoencoder, PCAAutoencoder
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout

LAYOUT = PolicyLayout.mlp(5, 16, 2, ("relu", "relu"))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PARENT = 0.5 * normal(LAYOUT.size)
POLICIES = PARENT + 0.05 * normal(12, LAYOUT.size, seed=1)
OBSERVATIONS = normal(40, 5, seed=2) * torch.tensor([3.0, 1.0, 0.3, 0.1, 0.0])


def shuffled(params: torch.Tensor, seed: int = 3) -> torch.Tensor:
    """Every policy with its hidden units in an order of its own."""
    first, second = (normal(len(params), LAYOUT.hidden, seed=seed + i).argsort(1) for i in range(2))
    return reordered(LAYOUT, params, first, second)


def actions(params: torch.Tensor) -> torch.Tensor:
    return StackedPolicies(LAYOUT, params).means(OBSERVATIONS)


def test_another_order_of_hidden_units_is_another_vector_that_acts_the_same() -> None:
    moved = shuffled(POLICIES)
    assert (moved - POLICIES).norm(dim=1).min() > 1
    assert torch.allclose(actions(moved), actions(POLICIES), atol=1e-5)
    before, after = LAYOUT.split(POLICIES), LAYOUT.split(moved)
    for head in ("mean.weight", "log_std.weight"):  # actions do not show the log-std head: it moves along
        assert torch.allclose(before[head].sum(-1), after[head].sum(-1), atol=1e-5)


def test_a_shuffled_copy_is_brought_back() -> None:
    moved = shuffled(POLICIES)
    back = reordered(LAYOUT, moved, *matching_orders(LAYOUT, moved, PARENT))
    assert torch.equal(back, POLICIES)


def test_a_shuffled_copy_of_a_deep_policy_is_brought_back() -> None:
    layout = PolicyLayout.mlp(5, (16, 12, 14), 2, ("relu", "tanh", "elu"))
    parent = 0.5 * normal(layout.size)
    policies = parent + 0.02 * normal(6, layout.size, seed=1)
    orders = [normal(6, width, seed=3 + i).argsort(1) for i, width in enumerate(layout.widths)]
    moved = reordered(layout, policies, *orders)
    acted, wanted = (StackedPolicies(layout, each).means(OBSERVATIONS) for each in (moved, policies))
    assert (moved - policies).norm(dim=1).min() > 1
    assert torch.allclose(acted, wanted, atol=1e-5)
    assert torch.equal(reordered(layout, moved, *matching_orders(layout, moved, parent)), policies)


def test_aligning_unrelated_policies_changes_no_action_and_brings_them_nearer() -> None:
    strangers = normal(6, LAYOUT.size, seed=7)
    aligned = reordered(LAYOUT, strangers, *matching_orders(LAYOUT, strangers, PARENT))
    assert torch.allclose(actions(aligned), actions(strangers), atol=1e-5)
    assert ((aligned - PARENT).norm(dim=1) < (strangers - PARENT).norm(dim=1)).all()
    again = reordered(LAYOUT, aligned, *matching_orders(LAYOUT, aligned, PARENT))
    assert torch.equal(again, aligned)


SETTINGS = [
    LinearAutoencoder(latent_size=8, alignment="hidden_units"),
    PCAAutoencoder(latent_size=8, alignment="hidden_units"),
    DeepAutoencoder(latent_size=8, hidden=(16,), alignment="hidden_units"),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: type(settings).__name__)
def test_an_aligning_encoder_does_not_see_the_order_of_hidden_units(settings: Autoencoder) -> None:
    torch.manual_seed(0)
    model = settings.build(LAYOUT)
    settings.start(model, shuffled(POLICIES), OBSERVATIONS)
    one, other = (model.encode(shuffled(POLICIES, seed)) for seed in (10, 20))
    assert torch.allclose(one, other, atol=1e-4)
    without = settings.model_copy(update={"alignment": "none"}).build(LAYOUT)
    settings.start(without, shuffled(POLICIES), OBSERVATIONS)
    assert not torch.allclose(*(without.encode(shuffled(POLICIES, seed)) for seed in (10, 20)), atol=1e-2)


def test_principal_components_of_shuffled_policies_reconstruct_them_only_when_aligned() -> None:
    code, basis = normal(40, 3, seed=4), normal(3, LAYOUT.size, seed=5)
    stored = shuffled(PARENT + 0.02 * code @ basis)  # rank 3 but for the order of their units
    errors = {}
    for settings in (
        PCAAutoencoder(latent_size=3, input_noise=0.0, alignment=kind) for kind in ("none", "hidden_units")
    ):
        model = settings.build(LAYOUT)
        settings.start(model, stored, OBSERVATIONS)
        errors[settings.alignment] = (actions(model.decode(model.encode(stored))) - actions(stored)).abs().mean().item()
    assert errors["hidden_units"] < 1e-3 < 0.1 * errors["none"]

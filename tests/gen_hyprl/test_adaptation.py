"""Adaptation: what a generated policy gains from its prompt, and what it keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import (
    Adaptation,
    AgreementChoice,
    GatedAdaptation,
    LatentAdaptation,
    PromptAdaptation,
    RestartedAdaptation,
    Start,
)
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import Prompts, interpolated_pairs, read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.conftest import TinyStores

SIZE = METAWORLD_LAYOUT.size


@pytest.fixture(scope="module")
def prompts(tiny_stores: TinyStores) -> Prompts:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        return read_prompts(store, "reach", "test")


@pytest.fixture(scope="module")
def sources(tiny_stores: TinyStores, prompts: Prompts) -> Tensor:
    """The policies that recorded the prompts `[n, P]`."""
    with PolicyStore.open(tiny_stores.policies) as store:
        return torch.from_numpy(store.read("reach", prompts.policy_rows))


@pytest.fixture(scope="module")
def elsewhere(prompts: Prompts) -> Start:
    """Policies that have nothing to do with the prompts, decoded from latents by a linear map."""
    generator = torch.Generator().manual_seed(1)
    basis = 0.05 * torch.randn(8, SIZE, generator=generator)
    latents = torch.randn(len(prompts), 2, 4, generator=generator)

    def decode(z: Tensor) -> Tensor:
        return z.flatten(1) @ basis

    return Start(METAWORLD_LAYOUT, decode(latents), latents=latents, decode=decode)


def errors(params: Tensor, prompts: Prompts) -> np.ndarray:
    """Mean squared difference to the prompt's actions, policy by policy."""
    observations, actions = interpolated_pairs(prompts)
    acted = StackedPolicies(METAWORLD_LAYOUT, params).means(torch.from_numpy(observations))
    return (acted - torch.from_numpy(actions).clamp(-1, 1)).square().mean(dim=(1, 2)).numpy()


def adapted(adaptation: Adaptation, start: Start, prompts: Prompts, seed: int = 0) -> Tensor:
    return adaptation.adapt(start, prompts, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("adaptation", [PromptAdaptation(steps=60), LatentAdaptation(steps=60)])
def test_gradient_steps_bring_every_policy_closer_to_its_prompt(
    adaptation: Adaptation, elsewhere: Start, prompts: Prompts
) -> None:
    before, after = errors(elsewhere.params, prompts), errors(adapted(adaptation, elsewhere, prompts), prompts)
    assert (after < 0.8 * before).all()


def test_a_policy_that_acts_much_as_its_prompt_does_moves_less(
    sources: Tensor, elsewhere: Start, prompts: Prompts
) -> None:
    own, foreign = (
        (adapted(PromptAdaptation(), start, prompts) - start.params).norm(dim=1)
        for start in (Start(METAWORLD_LAYOUT, sources), elsewhere)
    )
    assert float(own.mean()) < 0.5 * float(foreign.mean())


def test_the_pull_keeps_policies_near_the_generated_ones(elsewhere: Start, prompts: Prompts) -> None:
    free, pulled = (
        (adapted(PromptAdaptation(pull=pull, steps=60), elsewhere, prompts) - elsewhere.params).norm(dim=1)
        for pull in (0.0, 1.0)
    )
    assert (pulled < 0.7 * free).all()


def test_each_prompt_is_fitted_for_itself(elsewhere: Start, prompts: Prompts) -> None:
    quiet = PromptAdaptation(steps=10, input_noise=0.0)
    together = adapted(quiet, elsewhere, prompts)
    alone = adapted(quiet, Start(METAWORLD_LAYOUT, elsewhere.params[2:3]), prompts.subset([2]))
    assert torch.allclose(together[2:3], alone, atol=1e-5)


def test_the_log_std_head_and_zero_steps_change_nothing(elsewhere: Start, prompts: Prompts) -> None:
    head = METAWORLD_LAYOUT.layers[-2].offset
    found = adapted(PromptAdaptation(steps=5), elsewhere, prompts)
    assert torch.equal(found[:, head:], elsewhere.params[:, head:])
    assert torch.equal(adapted(PromptAdaptation(steps=0), elsewhere, prompts), elsewhere.params)
    assert torch.equal(adapted(LatentAdaptation(steps=0), elsewhere, prompts), elsewhere.params)


def test_equal_seeds_give_equal_policies(elsewhere: Start, prompts: Prompts) -> None:
    first, second, other = (adapted(PromptAdaptation(steps=5), elsewhere, prompts, seed) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_candidate_that_agrees_best_is_chosen(elsewhere: Start, sources: Tensor, prompts: Prompts) -> None:
    offered = torch.stack([elsewhere.params.flip(0), sources, -elsewhere.params], dim=1)
    start = replace(elsewhere, candidates=offered)
    assert torch.equal(adapted(AgreementChoice(), start, prompts), sources)
    cold, warm = (adapted(AgreementChoice(temperature=t), start, prompts) for t in (1e-4, 1e4))
    assert torch.allclose(cold, sources, atol=1e-5)
    assert torch.allclose(warm, torch.cat([elsewhere.params[:, None], offered], 1).mean(1), atol=1e-4)


def test_a_policy_that_agrees_with_its_prompt_passes_the_gate_untouched(
    elsewhere: Start, sources: Tensor, prompts: Prompts
) -> None:
    mixed = torch.cat([sources[:2], elsewhere.params[2:]])
    gate = GatedAdaptation(adaptation=PromptAdaptation(steps=5), tolerance=0.02)
    found = adapted(gate, Start(METAWORLD_LAYOUT, mixed), prompts)
    rows = range(2, len(prompts))
    ungated = adapted(PromptAdaptation(steps=5), Start(METAWORLD_LAYOUT, mixed[2:]), prompts.subset(rows))
    assert torch.equal(found[:2], sources[:2])
    assert torch.equal(found[2:], ungated)
    assert torch.equal(adapted(gate, Start(METAWORLD_LAYOUT, sources), prompts), sources)


def test_of_several_starts_each_prompt_keeps_the_lowest_objective(
    elsewhere: Start, sources: Tensor, prompts: Prompts
) -> None:
    fit = PromptAdaptation(steps=5)
    start = Start(METAWORLD_LAYOUT, torch.cat([sources[:2], elsewhere.params[2:]]), library=sources.flip(0)[:3])
    singles = {
        name: adapted(RestartedAdaptation(adaptation=fit, starts=(name,)), start, prompts)
        for name in ("generated", "agreeing", "mean")
    }
    found = adapted(RestartedAdaptation(adaptation=fit), start, prompts)
    chosen = [{name for name, one in singles.items() if torch.equal(one[row], found[row])} for row in range(len(found))]
    assert all(chosen)  # every policy is one of the single fits ...
    assert len({frozenset(names) for names in chosen}) > 1  # ... and not always the same one
    best = torch.stack([torch.from_numpy(errors(one, prompts)) for one in singles.values()]).amin(0)
    assert (torch.from_numpy(errors(found, prompts)) < best + 0.05).all()


def test_a_library_that_is_no_help_changes_nothing(elsewhere: Start, sources: Tensor, prompts: Prompts) -> None:
    start = Start(METAWORLD_LAYOUT, sources, library=torch.cat([-elsewhere.params, elsewhere.params]))
    fit = PromptAdaptation(steps=5)
    assert torch.equal(adapted(RestartedAdaptation(adaptation=fit), start, prompts), adapted(fit, start, prompts))


def test_the_mean_start_is_the_mean_of_the_library(elsewhere: Start, sources: Tensor, prompts: Prompts) -> None:
    start, fit = replace(elsewhere, library=sources), PromptAdaptation(steps=3)
    found = adapted(RestartedAdaptation(adaptation=fit, starts=("mean",)), start, prompts)
    mean = sources.mean(0).expand_as(sources).clone()
    assert torch.allclose(found, adapted(fit, replace(start, params=mean), prompts), atol=1e-6)


def test_only_what_needs_a_library_asks_for_it() -> None:
    assert RestartedAdaptation().needs_library
    assert GatedAdaptation().needs_library
    assert not RestartedAdaptation(starts=("generated",)).needs_library
    assert not GatedAdaptation(adaptation=PromptAdaptation()).needs_library


@pytest.mark.parametrize("adaptation", [LatentAdaptation(), AgreementChoice(), RestartedAdaptation()])
def test_what_a_method_does_not_have_is_asked_for_clearly(
    adaptation: Adaptation, sources: Tensor, prompts: Prompts
) -> None:
    with pytest.raises(UserError, match="needs a method"):
        adapted(adaptation, Start(METAWORLD_LAYOUT, sources), prompts)


@pytest.mark.parametrize("mistake", [{"steps": -1}, {"learning_rate": 0.0}, {"pull": -1.0}, {"input_noise": -0.1}])
def test_impossible_settings_are_refused(mistake: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PromptAdaptation(**mistake)

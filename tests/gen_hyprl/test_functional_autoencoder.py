"""The autoencoder of what policies do: equal for policies that act alike, and what its settings change."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.training import frozen, seeded
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.alignment import reordered
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.gen_hyprl.autoencoder_net import PolicyAutoencoder
from hyprepro.gen_hyprl.functional_autoencoder import FunctionalAutoencoder
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.training_data import TaskStates, training_states
from tests.conftest import TinyStores

LAYOUT = PolicyLayout.mlp(6, 16, 2, ("relu", "relu"))
SMALL = FunctionalAutoencoder(
    latent_size=4, probes=16, hidden=(16,), decoder_hidden=(32,), behaviour_states=16, steps=200, batch_size=16,
    learning_rate=5e-3, latent_noise=0.0,
)  # fmt: skip
TASKS = 3
STATES = torch.randn(120, 6, generator=torch.Generator().manual_seed(3))
OWN = TaskStates(tuple(STATES.split(40)), torch.arange(TASKS).repeat_interleave(16))


def orders(count: int, seed: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.rand(count, 16, generator=draws).argsort(1) for _ in range(2)]


def acted(params: Tensor, states: Tensor = STATES) -> Tensor:
    return StackedPolicies(LAYOUT, params).means(states)


@functools.cache
def runs() -> tuple[Tensor, Tensor]:
    """A policy a task, sixteen runs of it that share nothing but what they do, and four more that are not trained on.

    A run is the task's policy with its hidden units in an order of its own: a linear map has nothing to hold on to.
    """
    draws = torch.Generator().manual_seed(0)
    experts = 0.4 * torch.randn(TASKS, LAYOUT.size, generator=draws)
    every = experts.repeat_interleave(20, dim=0)
    every = reordered(LAYOUT, every, *orders(len(every), 1)).unflatten(0, (TASKS, 20))
    return every[:, :16].flatten(0, 1), every[:, 16:].flatten(0, 1)


@functools.cache
def trained(model: Autoencoder) -> PolicyAutoencoder:
    with seeded(0):
        job = model.job(LAYOUT, runs()[0], STATES, None, OWN)
        job.start()
        for step in range(model.steps):
            job.step(step)
    return frozen(job.kept)


def error_on_unseen_runs(autoencoder: Autoencoder) -> float:
    """Of their actions; 1 is what the mean action reaches."""
    wanted, model = acted(runs()[1]), trained(autoencoder)
    return float((acted(model.decode(model.encode(runs()[1]))) - wanted).square().mean() / wanted.var(0).mean())


def test_policies_of_runs_that_it_never_saw_act_as_before_where_a_linear_map_of_weights_fails() -> None:
    linear = LinearAutoencoder(latent_size=4, steps=0)
    assert error_on_unseen_runs(SMALL) < 0.3 < 0.7 < error_on_unseen_runs(linear)


def test_the_mean_of_a_tasks_latents_is_a_policy_of_the_task() -> None:
    model = trained(SMALL)
    means = model.encode(runs()[0]).unflatten(0, (TASKS, 16)).mean(1)
    wanted = acted(runs()[0][::16])
    assert (acted(model.decode(means)) - wanted).square().mean() < 0.3 * wanted.var(0).mean()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_hidden_units_does_not_change_a_latent(seed: int) -> None:
    model, params = trained(SMALL), runs()[1]
    permuted = reordered(LAYOUT, params, *orders(len(params), seed))
    assert torch.allclose(model.encode(permuted), model.encode(params), atol=1e-4)


def test_untrained_it_writes_policies_near_the_first_training_policy() -> None:
    job = SMALL.job(LAYOUT, runs()[0], STATES, None, OWN)
    job.start()
    model = job.kept
    decoded = model.decode(torch.randn(4, 2, 4)).detach()
    near, far = ((decoded - policy).square().mean() for policy in (runs()[0][0], runs()[0][20]))
    assert near < 0.2 * far


def test_a_clamped_latent_is_clamped() -> None:
    jobs = [
        SMALL.model_copy(update={"latent_clamp": clamp}).job(LAYOUT, runs()[0], STATES, None, OWN)
        for clamp in (0.0, 0.1)
    ]
    free, clamped = (job.disturbed(torch.full((1, 2, 8), 3.0)) for job in jobs)
    assert free.max() > 2
    assert clamped.max() == pytest.approx(0.1)


def test_eq_1_can_be_added() -> None:
    both = SMALL.model_copy(update={"scale": 10.0})
    jobs = [each.job(LAYOUT, runs()[0], STATES, None, OWN) for each in (SMALL, both)]
    losses = []
    for job in jobs:
        with seeded(0):
            job.start()
            losses.append(job.losses())
    assert losses[0]["loss"] == losses[0]["behaviour_error"]
    assert losses[1]["loss"] > losses[1]["behaviour_error"]


def test_an_order_of_hidden_units_is_refused() -> None:
    with pytest.raises(UserError, match="no order of hidden units"):
        FunctionalAutoencoder(alignment="hidden_units").check()


def test_it_is_compared_on_states_of_each_policys_own_task_up_to_its_episodes_ends(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    found = training_states(data.files, "prompts")
    with data.open_policies() as policies, data.open_trajectories() as store:
        tasks = [task for task in policies.tasks if policies.count(task, "train")]
        assert found.task.tolist() == [i for i, task in enumerate(tasks) for _ in policies.rows(task, "train")]
        for task, states in zip(tasks, found.states, strict=True):
            assert len(states) == sum(len(episode.observations) for episode in store.episodes(task, "train"))
    drawn = found.drawn(torch.tensor([0, len(found.task) - 1]), 5)
    for states, own in zip(drawn, (found.states[0], found.states[-1]), strict=True):
        assert (states[:, None] == own).all(2).any(1).all()


def test_its_stage_gives_an_autoencoder_like_any_other(tiny_stores: TinyStores, tmp_path: Path) -> None:
    small = FunctionalAutoencoder(latent_size=4, probes=8, hidden=(8,), decoder_hidden=(8,), steps=3, batch_size=2)
    stage = TrainAutoencoder.of(small, tiny_stores.domain.data())
    model = stage.load(ArtifactCache(tmp_path).make(stage))
    with tiny_stores.domain.data().open_policies() as store:
        latents = model.encode_stored(store, "reach", store.rows("reach", "train"))
    assert latents.shape[1:] == (2, 4)
    assert torch.isfinite(model.decode(latents)).all()

"""CARE's networks: what attends to what, where gradients stop, and the plain policy that a description makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyprepro.methods.care.method import CareNetwork
from hyprepro.methods.care.network import CareActor, CareCritic
from hyprepro.methods.multitask.architecture import Sizes
from hyprepro.policies.controllers import LayeredControllers

TASKS, BATCH, WORDS = 3, 5, 8
NETWORK = CareNetwork(experts=4, expert_hidden=6, features=7, context_hidden=(9,), context=5, hidden=(11, 12))


@pytest.fixture(scope="module")
def networks() -> tuple[CareActor, CareCritic]:
    torch.manual_seed(0)
    return NETWORK.build(Sizes(39, 4, WORDS))


def test_shapes(networks: tuple[CareActor, CareCritic]) -> None:
    actor, critic = networks
    observations, words = torch.randn(TASKS, BATCH, 39), torch.randn(TASKS, WORDS)
    mean, log_std = actor(observations, words)
    assert mean.shape == log_std.shape == (TASKS, BATCH, 4)
    assert critic(observations, mean, words).shape == (TASKS, 2, BATCH)


def test_a_description_makes_a_plain_policy(networks: tuple[CareActor, CareCritic]) -> None:
    actor = networks[0]
    observations, words = torch.randn(TASKS, BATCH, 39), torch.randn(TASKS, WORDS)
    wanted = torch.tanh(actor(observations, words)[0]).detach().numpy()
    for task in range(TASKS):
        layers = [(w.numpy(), b.numpy()) for w, b in actor.layers(words[task])]
        found = LayeredControllers(layers, 7).session(BATCH).act(observations[task].numpy())
        np.testing.assert_allclose(found, wanted[task], atol=1e-5)


def test_all_prompts_of_a_task_share_a_policy(networks: tuple[CareActor, CareCritic]) -> None:
    layers = [(w.numpy(), b.numpy()) for w, b in networks[0].layers(torch.randn(WORDS))]
    controllers = LayeredControllers(layers, 7)
    assert controllers.n == 7
    assert controllers.representatives().tolist() == [0] * 7
    observations = np.random.default_rng(0).normal(size=(4, 39)).astype(np.float32)
    crowd = controllers.session(4).act(observations)
    assert np.array_equal(crowd[2], controllers.session(1).act(observations[2:3])[0])


def test_tasks_differ_by_their_description_alone(networks: tuple[CareActor, CareCritic]) -> None:
    observations = torch.randn(1, BATCH, 39).expand(2, -1, -1)
    one, other = torch.randn(2, WORDS)
    assert not torch.allclose(*networks[0](observations, torch.stack([one, other]))[0])
    assert torch.allclose(*networks[0](observations, torch.stack([one, one]))[0])


def test_the_attentions_gradient_stops_at_the_context(networks: tuple[CareActor, CareCritic]) -> None:
    encoder, attention = networks[0].encoder, networks[0].attention
    mixed = encoder(torch.randn(1, BATCH, 39), torch.randn(1, WORDS), attention)[..., : NETWORK.features]
    gradients = torch.autograd.grad(
        mixed.sum(), [*encoder.context.parameters(), *attention.parameters()], allow_unused=True
    )
    inner = len(list(encoder.context.parameters()))
    assert all(gradient is None or not gradient.any() for gradient in gradients[:inner])
    assert any(float(gradient.abs().sum()) > 0 for gradient in gradients[inner:])

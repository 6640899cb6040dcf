"""The learner: every task's own gradient, how they are mixed, and that equal weights are the plain sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hyprepro.collect.sac.settings import SACSettings
from hyprepro.collect.sac.update import Batch
from hyprepro.methods.care.method import CareNetwork
from hyprepro.methods.multitask.architecture import Architecture, Sizes
from hyprepro.methods.multitask.gradients import CAGrad, Gradient, Matrix, PCGrad, SummedGradient
from hyprepro.methods.multitask.learner import MultiTaskLearner
from tests.methods.multitask.test_architecture import SIZES, TASKS, TINY

CARE = CareNetwork(experts=2, expert_hidden=4, features=4, context_hidden=(4,), context=4, hidden=(8,))
NETWORKS = {**TINY, "care": CARE, "care, tied": CARE.model_copy(update={"tied": True})}
SAC = SACSettings(batch_size=4, normalise_q=True, cloning_weight=1.0, learning_rate=1e-3)

each = pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)


class Equal(Gradient):
    """Knows every task's gradient and takes all alike."""

    def weights(self, products: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.full(len(products), 1 / len(products))


def learner(
    architecture: Architecture, gradient: Gradient, balanced: bool = False, rate: float = 1e-3
) -> MultiTaskLearner:
    torch.manual_seed(0)
    networks: Any = architecture.build(Sizes(*SIZES[:2], TASKS))
    sac = SAC.model_copy(update={"learning_rate": rate})
    return MultiTaskLearner(sac, architecture, networks, torch.eye(TASKS), gradient, balanced, action_size=SIZES.action)


def data() -> tuple[Batch, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(TASKS, SAC.batch_size, *shape, generator=generator)

    observed, action = SIZES.observation, SIZES.action
    batch = Batch(normal(observed), normal(action).tanh(), normal(), normal(observed), None, normal(action).tanh())
    return batch, normal(action), normal(action)


@each
def test_equal_weights_are_the_plain_sum(architecture: Architecture) -> None:
    plain, mixed = learner(architecture, SummedGradient()), learner(architecture, Equal())
    losses = [sac.update(*data()) for sac in (plain, mixed)]
    for name in losses[0]:
        assert torch.allclose(losses[0][name], losses[1][name], atol=1e-5)
    for one, other in ((plain._of_actor, mixed._of_actor), (plain._of_critic, mixed._of_critic)):
        for a, b in zip(one.moments, other.moments, strict=True):
            assert torch.allclose(a, b, atol=1e-5), "the same gradients reach the optimiser"


@each
def test_products_are_those_of_the_gradients_of_single_tasks(architecture: Architecture) -> None:
    sac = learner(architecture, SummedGradient())
    before = [tensor.clone() for tensor in sac.tensors()]
    batch, noise, next_noise = data()
    found = sac.products(batch, noise, next_noise)["critic"]
    assert all(torch.equal(*pair) for pair in zip(before, sac.tensors(), strict=True)), "nothing is changed"
    wanted = sac._wanted(batch, next_noise, sac.log_alpha.exp())
    loss = sac.critic_loss(sac.values(batch.observations, batch.actions) - wanted[:, None])
    shared = [tensor for name, tensor in sac.critic.items() if set(name.split(".")).isdisjoint(architecture.own)]
    slopes = [torch.autograd.grad(each, shared, retain_graph=True) for each in loss]
    flat = torch.stack([torch.cat([part.flatten() for part in slope]) for slope in slopes])
    np.testing.assert_allclose(found, (flat @ flat.T).numpy(), rtol=1e-3, atol=1e-5)


@each
def test_frozen_critics_say_what_the_critics_say_now_and_ask_for_no_slope(architecture: Architecture) -> None:
    sac = learner(architecture, SummedGradient())
    batch, *noise = data()
    start = sac.values(batch.observations, batch.actions, "frozen")
    sac.update(batch, *noise)
    frozen = sac.values(batch.observations, batch.actions, "frozen")
    assert torch.equal(frozen, sac.values(batch.observations, batch.actions))
    assert not torch.equal(frozen, start)
    assert not frozen.requires_grad


@pytest.mark.parametrize("gradient", [PCGrad(), CAGrad()])
@pytest.mark.parametrize("name", ["plain", "moore", "soft"])
def test_mixed_gradients_learn(name: str, gradient: Gradient) -> None:
    sac = learner(TINY[name], gradient, rate=1e-2)
    losses = [float(sac.update(*data())["critic_loss"].sum()) for _ in range(12)]
    assert losses[-1] < losses[0]


def test_a_balanced_loss_weighs_the_task_of_low_temperature() -> None:
    """A step of plain descent would tell the weights; Adam's first moment holds a tenth of the gradient."""
    plain, balanced = (learner(TINY["multi-head"], SummedGradient(), flag) for flag in (False, True))
    for sac in (plain, balanced):
        with torch.no_grad():
            sac.log_alpha.copy_(torch.tensor([-2.0, 0.0, 0.0]))
        sac.update(*data())
    heads = list(plain.critic).index("trunks.0.heads.bias")
    ratios = balanced._of_critic.moments[heads][0] / plain._of_critic.moments[heads][0]
    wanted = TASKS * torch.softmax(torch.tensor([2.0, 0.0, 0.0]), 0)
    assert torch.allclose(ratios.flatten(), wanted, rtol=1e-3)

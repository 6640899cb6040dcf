"""The networks of multi-task SAC: what each shares, what tells a task, and where gradients go."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from hyprepro.errors import UserError
from hyprepro.methods.multitask.architecture import Architecture, Sizes
from hyprepro.methods.multitask.film import FiLM
from hyprepro.methods.multitask.layers import Perceptron
from hyprepro.methods.multitask.moore import MOORE
from hyprepro.methods.multitask.moore_net import mixed_orthonormal
from hyprepro.methods.multitask.paco import PaCo
from hyprepro.methods.multitask.plain import MultiHead, PlainNetwork
from hyprepro.methods.multitask.soft_modularization import SoftModularization

TASKS, BATCH = 3, 5
SIZES = Sizes(observation=6, action=2, told=TASKS)
TINY: dict[str, Architecture] = {
    "plain": PlainNetwork(hidden=(9, 8)),
    "multi-head": MultiHead(hidden=(9, 8)),
    "film": FiLM(encoder_hidden=(7,), features=5, context=4, context_hidden=(4,), hidden=(9,)),
    "soft": SoftModularization(layers=3, modules=2, module_width=7, encoder=(9, 8), routing_hidden=(6,)),
    "paco": PaCo(sets=2, hidden=(9, 8)),
    "moore": MOORE(experts=3, hidden=(9, 8)),
}

each = pytest.mark.parametrize("architecture", TINY.values(), ids=TINY)
of_tasks = pytest.mark.parametrize("architecture", [a for a in TINY.values() if a.own], ids=lambda a: a.title)


def built(architecture: Architecture) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return architecture.build(SIZES)


def seen() -> Tensor:
    return torch.randn(TASKS, BATCH, SIZES.observation, generator=torch.Generator().manual_seed(1))


def actor_trunk(architecture: Architecture) -> Any:
    return built(architecture)[0].trunk


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [(6,), (4, 6), (3, 4, 6)])
def test_a_perceptron_is_an_mlp_that_leaves_its_inputs_alone(shape: tuple[int, ...], last: bool) -> None:
    found, x = Perceptron((6, 5, 4), last), torch.randn(shape)
    before, outputs = x.clone(), found(x)
    wanted = torch.relu(x @ found[0].weight.T + found[0].bias) @ found[2].weight.T + found[2].bias
    assert torch.allclose(outputs, torch.relu(wanted) if last else wanted, atol=1e-6)
    assert torch.equal(x, before)


@each
def test_shapes(architecture: Architecture) -> None:
    actor, critic = built(architecture)
    mean, log_std = actor(seen(), torch.eye(TASKS))
    assert mean.shape == log_std.shape == (TASKS, BATCH, SIZES.action)
    assert critic(seen(), mean, torch.eye(TASKS)).shape == (TASKS, 2, BATCH)


@each
def test_only_what_tells_a_task_makes_it_another(architecture: Architecture) -> None:
    actor, _ = built(architecture)
    same = seen()[:1].expand(TASKS, -1, -1)
    apart = actor(same, torch.eye(TASKS))[0]
    alike = actor(same, torch.eye(TASKS)[:1].expand(TASKS, -1))[0]
    assert torch.allclose(alike[0], alike[1], atol=1e-6)
    assert torch.allclose(alike[0], apart[0], atol=1e-6)
    assert not torch.equal(apart[0], apart[1])


@each
def test_the_twin_critics_share_nothing(architecture: Architecture) -> None:
    _, critic = built(architecture)
    names = [name for name, _ in critic.named_parameters()]
    loss = critic(seen(), torch.zeros(TASKS, BATCH, SIZES.action), torch.eye(TASKS))[:, 0].sum()
    slopes = dict(zip(names, torch.autograd.grad(loss, list(critic.parameters())), strict=True))
    assert not any(slope.any() for name, slope in slopes.items() if name.startswith("trunks.1."))
    assert any(slope.any() for name, slope in slopes.items() if name.startswith("trunks.0."))


@of_tasks
def test_parameters_of_one_task_get_no_gradient_from_another(architecture: Architecture) -> None:
    actor, _ = built(architecture)
    own = {
        name: tensor
        for name, tensor in actor.named_parameters()
        if not set(name.split(".")).isdisjoint(architecture.own)
    }
    assert own
    mean, log_std = actor(seen(), torch.eye(TASKS))
    loss = (mean + log_std)[0].sum()
    for name, slope in zip(own, torch.autograd.grad(loss, list(own.values())), strict=True):
        by_task = slope.mT if "weights" in name.split(".") else slope  # a column a task, or a layer a task
        assert by_task[0].any()
        assert not by_task[1:].any()


def gram_schmidt(vectors: Tensor) -> Tensor:
    """Orthonormal rows `[k, d]`, one after the other."""
    found: list[Tensor] = []
    for vector in vectors:
        rest = vector - sum((vector @ base) * base for base in found)
        found.append(rest / rest.norm())
    return torch.stack(found)


def test_moore_mixes_what_gram_schmidt_makes_of_the_experts_features() -> None:
    features, weights = torch.randn(5, 3, 8, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    wanted = torch.stack([w @ gram_schmidt(x) for x, w in zip(features, weights, strict=True)])
    assert torch.allclose(mixed_orthonormal(features, weights), wanted, atol=1e-8)
    bases = torch.stack([mixed_orthonormal(features, w.expand(5, -1)) for w in torch.eye(3, dtype=torch.float64)], 1)
    assert torch.allclose(bases @ bases.mT, torch.eye(3, dtype=torch.float64).expand(5, -1, -1), atol=1e-8)
    assert torch.autograd.gradcheck(mixed_orthonormal, (features[:1].requires_grad_(), weights[:1].requires_grad_()))


def by_steps(features: Tensor, weights: Tensor) -> Tensor:
    """`mixed_orthonormal`, its slope left to autograd."""
    rest, left = features @ features.mT, weights
    least = 1e-6 * (rest.diagonal(dim1=1, dim2=2) + 1e-6)
    columns, lengths, shares = [], [], []
    for number in range(features.shape[1]):
        lengths.append(torch.maximum(rest[:, number, number], least[:, number]).sqrt())
        columns.append(rest[:, :, number] / lengths[-1][:, None])
        rest = rest - columns[-1][:, :, None] * columns[-1][:, None, :]
    for number in reversed(range(len(columns))):
        shares.insert(0, left[:, number] / lengths[number])
        left = left - shares[0][:, None] * torch.stack([column[:, number] for column in columns], 1)
    return (torch.stack(shares, 1)[:, None] @ features)[:, 0]


@pytest.mark.parametrize("alike", [False, True], ids=["apart", "two alike"])
def test_moores_slopes_are_those_of_its_steps(alike: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    features, weights, slope = (
        torch.randn(5, *shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((4, 8), (4,), (8,))
    )
    with torch.no_grad():
        features[:, 2] = features[:, 1] if alike else features[:, 2]
    found, wanted = (
        torch.autograd.grad(mixed(features, weights), (features, weights), slope)
        for mixed in (mixed_orthonormal, by_steps)
    )
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-6)


def test_experts_that_say_the_same_give_finite_features() -> None:
    features = torch.randn(2, 1, 8).expand(-1, 3, -1)
    assert mixed_orthonormal(features, torch.ones(2, 3)).isfinite().all()


def test_more_experts_than_features_are_refused() -> None:
    with pytest.raises(UserError, match="cannot be orthogonal") as caught:
        MOORE(experts=9, hidden=(16, 8)).check()
    assert "MOORE.experts=8" in caught.value.fix


def test_a_task_that_takes_one_set_alone_has_that_sets_network() -> None:
    trunk = actor_trunk(TINY["paco"])
    with torch.no_grad():
        trunk.weights.weight.copy_(torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]))
    found, x = trunk(seen(), torch.eye(TASKS)), seen()[1]
    for number, layer in enumerate(trunk.layers):
        x = (torch.relu(x) if number else x) @ layer.weight[1] + layer.bias[1]
    assert torch.allclose(found[1], x, atol=1e-5)


def test_pacos_sets_may_begin_alike() -> None:
    trunk = actor_trunk(PaCo(sets=3, hidden=(9,), alike=True))
    assert all(torch.equal(tensor[0], tensor[2]) for tensor in trunk.layers.parameters())
    assert not torch.equal(*actor_trunk(TINY["paco"]).layers[0].weight)


def test_film_that_neither_scales_nor_shifts_is_an_encoder() -> None:
    trunk = actor_trunk(TINY["film"])
    with torch.no_grad():
        trunk.modulation[-1].weight.zero_()
        trunk.modulation[-1].bias.zero_()
    x = torch.relu(trunk.layers[0](seen()))
    context = torch.relu(trunk.context(torch.eye(TASKS)))[:, None].expand(-1, BATCH, -1)
    wanted = trunk.head(torch.cat([trunk.layers[1](x), context], -1))
    assert torch.allclose(trunk(seen(), torch.eye(TASKS)), wanted, atol=1e-6)


def test_routes_begin_alike_and_share_out_everything() -> None:
    trunk = actor_trunk(TINY["soft"])
    routes = trunk.routing(torch.randn(7, 8))
    assert [tuple(shares.shape) for shares in routes] == [(7, 2, 2), (7, 2, 2), (7, 1, 2)]
    for shares in routes:
        assert torch.allclose(shares.sum(-1), torch.ones(()))
        assert torch.allclose(shares, torch.full((), 0.5), atol=0.02)


def test_a_route_is_of_the_observation_too() -> None:
    trunk = actor_trunk(TINY["soft"])
    with torch.no_grad():
        for layer in trunk.routing.shares:
            layer.weight.mul_(1e3)
    routes = trunk.routing(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
    assert not torch.allclose(routes[0][0], routes[0][1])


@pytest.mark.parametrize("wrong", [{"layers": 1}, {"modules": 1}])
def test_routing_needs_something_to_choose(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        SoftModularization.model_validate(wrong)

"""MACAW's networks: weight transforms, the inner step against plain gradient descent, losses, golden outputs."""

from __future__ import annotations

import math

import pytest
import torch
from pytest_regressions.ndarrays_regression import NDArraysRegressionFixture
from torch import Tensor

from hyprepro.methods.macaw.learner import MetaLearner, TransformedMLP, Transitions, WeightTransform
from hyprepro.methods.macaw.method import AdvantageWeighting

STATE, ACTION, BATCH = 5, 2, 12
SMALL = AdvantageWeighting(hidden=(8, 8), code=6, head=4, batch_size=BATCH, inner_rate=0.01)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(tasks: int = 3, seed: int = 0) -> Transitions:
    return Transitions(
        normal(tasks, BATCH, STATE, seed=seed),
        normal(tasks, BATCH, ACTION, seed=seed + 1).tanh(),
        normal(tasks, BATCH, seed=seed + 2),
        normal(tasks, BATCH, STATE, seed=seed + 3),
        torch.full((tasks, BATCH), 0.5),
    )


def learner(**changes: object) -> MetaLearner:
    torch.manual_seed(0)
    return MetaLearner(SMALL.model_copy(update=changes), STATE, ACTION)


def test_a_weight_transform_is_a_linear_layer_with_weights_from_a_code() -> None:
    torch.manual_seed(0)
    layer, plain = WeightTransform(5, 3, code=7, rate=0.1), torch.nn.Linear(5, 3)
    theta = layer.theta()
    assert theta.numel() == sum(parameter.numel() for parameter in plain.parameters())
    assert sum(p.numel() for p in layer.parameters()) == 7 + (7 + 1) * 18 + 3
    with torch.no_grad():
        plain.weight.copy_(theta[:15].view(5, 3).T)
        plain.bias.copy_(theta[15:])
    x = normal(1, 4, 5)
    assert torch.allclose(layer.run(theta[None], x), plain(x), atol=1e-6)
    layer.run(theta[None], x).square().sum().backward()  # type: ignore[no-untyped-call]
    for part in (layer.code, layer.map.weight, layer.map.bias):
        assert part.grad is not None
        assert part.grad.abs().sum() > 0


def test_published_sizes() -> None:
    with torch.device("meta"):
        model = MetaLearner(AdvantageWeighting(), 20, 6)

    def size(inputs: int, outputs: int) -> int:
        return 100 + 101 * (inputs + 1) * outputs

    body = size(20, 100) + 2 * size(100, 100)
    assert sum(p.numel() for p in model.value.initial()) == body + size(100, 1)
    assert sum(p.numel() for p in model.actor.initial()) == body + size(100, 6) + size(106, 32) + size(32, 1)


def test_the_inner_step_is_gradient_descent_on_codes_maps_and_biases() -> None:
    torch.manual_seed(0)
    network = TransformedMLP((STATE, 8, 1), code=6, rate=0.05)
    x, targets = normal(2, BATCH, STATE), normal(2, BATCH, 1, seed=1)
    weights = network.weights(2)
    loss = (network.run(weights, x) - targets).square().mean(1).sum()
    stepped = network.stepped(weights, loss)
    rate = math.log1p(0.05)  # softplus(log r)
    for task in range(2):
        torch.manual_seed(0)
        copy = TransformedMLP((STATE, 8, 1), code=6, rate=0.05)
        alone = (copy.run(copy.weights(), x[task : task + 1]) - targets[task]).square().mean()
        parameters = copy.initial()
        for parameter, gradient in zip(parameters, torch.autograd.grad(alone, parameters), strict=True):
            parameter.data -= rate * gradient
        for ours, theirs in zip(stepped, copy.weights(), strict=True):
            assert torch.allclose(ours[task], theirs[0], atol=1e-5)


def test_the_inner_step_changes_the_adapted_copy_alone_and_helps() -> None:
    model, transitions = learner(), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = model.adapt(transitions)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    own, stepped = model.value.weights(3), adapted.value
    loss = [model.value_loss(weights, transitions, transitions.returns) for weights in (own, stepped)]
    assert (loss[1] < loss[0]).all()
    assert not torch.allclose(stepped[0][0], stepped[0][1])  # each task has a step of its own
    alone = model.adapt(Transitions(*(getattr(transitions, name)[1:2] for name in transitions.__dataclass_fields__)))
    assert all(torch.allclose(a[0], b[1], atol=1e-6) for a, b in zip(alone.actor, adapted.actor, strict=True))


def test_the_outer_loss_reaches_everything_that_is_learned_through_the_inner_step() -> None:
    model = learner()
    adapted = model.adapt(batch(), differentiable=True)
    outer = batch(seed=10)
    targets = model.targets(adapted.value, outer)
    assert not targets.requires_grad
    loss = (
        model.value_loss(adapted.value, outer, targets).mean()
        + model.actor_loss(adapted.actor, adapted.value, outer).mean()
    )
    loss.backward()  # type: ignore[no-untyped-call]
    learned = [
        *model.actor.initial(),
        *model.value.initial(),
        *model.actor.learned_rates(),
        *model.value.learned_rates(),
    ]
    assert {id(p) for p in learned} == {id(p) for p in model.parameters()}
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # The head's weights are reached, as they shape the inner gradient; its step sizes are not, as the outer loss leaves
    # the stepped head out.
    assert dead == ["actor.layers.3.rates", "actor.layers.4.rates"]


def test_better_actions_weigh_more_up_to_a_limit() -> None:
    model = learner(largest_weight=2.0)
    weights = model.weights_of(torch.tensor([[0.0, 1.0, 2.0, 30.0]]))
    assert (weights.diff() >= 0).all()
    assert weights.max() == pytest.approx(2.0)
    shifted = model.weights_of(torch.tensor([[0.0, 1.0, 2.0, 30.0]]) * 7 - 3)
    assert torch.allclose(weights, shifted, atol=1e-5)  # standardised within the task
    assert torch.isfinite(model.weights_of(torch.zeros(1, 4))).all()


def test_the_head_is_trained_in_the_inner_loop_alone() -> None:
    model, transitions = learner(), batch(tasks=1)
    actor, value = model.actor.weights(), model.value.weights()
    for with_head, moved in ((True, True), (False, False)):
        loss = model.actor_loss(actor, value, transitions, with_head).sum()
        gradients = torch.autograd.grad(loss, actor, allow_unused=True)
        assert (gradients[-1] is not None) == moved


def test_bootstrapping_adds_the_value_at_the_end() -> None:
    transitions = batch()
    plain, going_on = learner(bootstrap=False), learner()
    value = plain.value.weights(3)
    assert torch.equal(plain.targets(value, transitions), transitions.returns)
    added = going_on.targets(value, transitions) - transitions.returns
    assert torch.allclose(added, 0.5 * plain.value.run(value, transitions.last_states)[..., 0], atol=1e-6)


def test_golden_outputs(ndarrays_regression: NDArraysRegressionFixture) -> None:
    model, transitions = learner(), batch()
    adapted = model.adapt(transitions)
    values = {
        "mean": model.actor.mean(adapted.actor, transitions.states),
        "value": model.value.run(adapted.value, transitions.states),
        "actor_loss": model.actor_loss(adapted.actor, adapted.value, transitions, with_head=True),
    }
    outputs = {name: value.detach().numpy() for name, value in values.items()}
    ndarrays_regression.check(outputs, default_tolerance={"atol": 1e-5, "rtol": 1e-4})

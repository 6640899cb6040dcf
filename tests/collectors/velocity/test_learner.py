"""The written-out gradients against autograd's, and the folding of a condition into a bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hyprepro.collectors.networks import Normaliser
from hyprepro.collectors.velocity.learner import Adam, Batch, Learner, Networks, Sizes, forward
from hyprepro.collectors.velocity.settings import VelocitySAC
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import CHEETAH_LAYOUT

AGENTS, SIZE = 3, 8
SIZES = Sizes(5, 2, 7, 9)


def some_learner(seed: int = 0) -> Learner:
    generator = torch.Generator().manual_seed(seed)
    settings = VelocitySAC(critic_width=9, target_entropy=-2.0)
    return Learner(Networks.fresh(SIZES, settings, AGENTS, generator), settings, SIZES.actions)


def some_batch() -> tuple[Batch, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    batch = Batch(
        3.0 * normal(AGENTS, SIZE, 5), normal(AGENTS, SIZE, 2).tanh(), normal(AGENTS, SIZE), normal(AGENTS, SIZE, 5)
    )
    return batch, normal(AGENTS, SIZE, 2), normal(AGENTS, SIZE, 2)


def autograd_losses(
    learner: Learner, batch: Batch, noise: torch.Tensor, after: torch.Tensor
) -> dict[str, torch.Tensor]:
    """SAC's losses as one would write them for autograd, summed over agents."""
    networks, alpha = learner.networks, learner.networks.log_alpha.exp()

    def act(observations: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_std = forward_plainly(networks.actor, observations).chunk(2, 2)
        normal = torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp())
        before = mean + normal.stddev * noise
        actions = torch.tanh(before)
        return actions, (normal.log_prob(before) - torch.log(1 - actions**2 + 1e-6)).sum(2)

    def values(critic: dict[str, torch.Tensor], observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        rows = torch.cat((observations, actions), 2).repeat_interleave(2, 0)
        return forward_plainly(critic, rows).view(AGENTS, 2, SIZE)

    with torch.no_grad():
        next_actions, log_prob = act(batch.next_observations, after)
        least = values(networks.target, batch.next_observations, next_actions).min(1).values
        wanted = batch.rewards + 0.99 * (least - alpha[:, 0] * log_prob)
    critic = 0.5 * ((values(networks.critic, batch.observations, batch.actions) - wanted[:, None]) ** 2).mean(2).sum()
    actions, log_prob = act(batch.observations, noise)
    frozen = {name: tensor.detach() for name, tensor in networks.critic.items()}
    actor = (alpha[:, 0] * log_prob - values(frozen, batch.observations, actions).min(1).values).mean(1).sum()
    return {"critic": critic, "actor": actor}


def forward_plainly(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for name in ("linear1", "linear2"):
        x = torch.relu(x @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"])
    return x @ parameters["head.weight"] + parameters["head.bias"]


@pytest.mark.parametrize("kind", ["critic", "actor"])
def test_the_gradients_are_autograds(kind: str) -> None:
    learner, (batch, noise, after) = some_learner(), some_batch()
    networks = learner.networks
    networks.actor["head.bias"][0, 0, 2] = 5.0  # beyond the clamp of the log standard deviation: no gradient
    alpha = networks.log_alpha.exp()
    if kind == "critic":
        found = learner.critic_gradient(batch, after, alpha)[1]
    else:
        found = learner.actor_gradient(batch.observations, learner.sample(batch.observations, noise), noise, alpha)
    parameters = getattr(networks, kind)
    for parameter in parameters.values():
        parameter.requires_grad_()
    wanted = torch.autograd.grad(autograd_losses(learner, batch, noise, after)[kind], list(parameters.values()))
    for name, theirs in zip(parameters, wanted, strict=True):
        torch.testing.assert_close(found[name], theirs, rtol=1e-4, atol=1e-6)
    assert any(theirs.abs().max() > 1e-3 for theirs in wanted)


def test_the_optimiser_is_torchs_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    start, steps = torch.randn(4, 3, generator=generator), torch.randn(5, 4, 3, generator=generator)
    mine, theirs = start.clone(), start.clone().requires_grad_()
    ours, torchs = Adam({"w": mine}, 0.01), torch.optim.Adam([theirs], lr=0.01)
    for gradient in steps:
        ours.step({"w": gradient})
        theirs.grad = gradient.clone()
        torchs.step()
    torch.testing.assert_close(mine, theirs.detach())


def test_the_temperature_rises_when_the_entropy_is_below_its_target() -> None:
    learner, (batch, noise, after) = some_learner(), some_batch()
    learner.networks.actor["head.bias"][..., 2:] = -5.0
    before = learner.networks.log_alpha.clone()
    learner.update(batch, noise, after)
    assert (learner.networks.log_alpha > before).all()


def test_agents_do_not_mix_and_a_head_start_leaves_the_actor_alone() -> None:
    whole, (batch, noise, after) = some_learner(), some_batch()
    single = some_learner().networks
    pick = {name: tensor[1:2].clone() for name, tensor in single.actor.items()}
    critics = ({name: t[2:4].clone() for name, t in part.items()} for part in (single.critic, single.target))
    alone = Learner(Networks(pick, *critics, single.log_alpha[1:2].clone()), whole.settings, SIZES.actions)
    actor = {name: tensor.clone() for name, tensor in whole.networks.actor.items()}
    whole.update(batch, noise, after, train_actor=False)
    assert all(torch.equal(whole.networks.actor[name], tensor) for name, tensor in actor.items())
    whole = some_learner()
    for _ in range(3):
        whole.update(batch, noise, after)
        alone.update(Batch(*(part[1:2] for part in batch)), noise[1:2], after[1:2])
    for name, tensor in alone.networks.actor.items():
        torch.testing.assert_close(whole.networks.actor[name][1:2], tensor)


def test_a_checkpoint_restores_the_learner_exactly() -> None:
    one, (batch, noise, after) = some_learner(), some_batch()
    one.update(batch, noise, after)
    state = torch.load(_saved(one.state()), weights_only=True)
    other = some_learner(seed=5)
    other.restore(state)
    for learner in (one, other):
        learner.update(batch, noise, after)
    for name, tensor in one.networks.critic.items():
        assert torch.equal(tensor, other.networks.critic[name])


def _saved(state: object) -> object:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_folding_equals_the_conditioned_networks() -> None:
    generator = torch.Generator().manual_seed(3)
    layout = CHEETAH_LAYOUT
    sizes = Sizes(18, layout.action_size, layout.hidden, 16)
    parent = Networks.fresh(sizes, VelocitySAC(), 1, generator)
    conditions = torch.tensor([-0.9, 0.2, 1.0])
    seen = torch.randn(3, 10, 17, generator=generator)
    told = torch.cat((seen, conditions.view(3, 1, 1).expand(3, 10, 1)), 2)
    folded = parent.fold(conditions, 17)
    wanted = forward({name: t.repeat(3, 1, 1) for name, t in parent.actor.items()}, told)[2]
    torch.testing.assert_close(forward(folded.actor, seen)[2], wanted)
    actions = torch.randn(3, 10, 6, generator=generator)
    twice = {name: t.repeat(3, 1, 1) for name, t in parent.critic.items()}
    wanted = forward(twice, torch.cat((told, actions), 2).repeat_interleave(2, 0))[2]
    found = forward(folded.critic, torch.cat((seen, actions), 2).repeat_interleave(2, 0))[2]
    torch.testing.assert_close(found, wanted)
    normaliser = Normaliser(np.linspace(-1, 1, 17), np.linspace(0.5, 4, 17))
    raw = seen.double() * torch.from_numpy(normaliser.scale) + torch.from_numpy(normaliser.mean)
    policies = StackedPolicies(layout, folded.flat(layout, normaliser))
    mean = forward(folded.actor, seen)[2][..., :6]
    torch.testing.assert_close(policies.means(raw.float()), torch.tanh(mean), rtol=1e-4, atol=1e-4)
    assert math.isclose(float(folded.log_alpha[2]), math.log(0.2), rel_tol=1e-6)

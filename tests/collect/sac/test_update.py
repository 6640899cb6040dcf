"""The update is stable-baselines3's SAC: same losses and gradients from the same weights, batch and noise.

What that SAC does not have (critics of another width than the actor's, the normalised loss, the cloning term) is
compared with autograd's gradients.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from hyprepro.collect.parameter.loop import fresh
from hyprepro.collect.sac.agents import Networks, StackedSAC
from hyprepro.collect.sac.networks import Parameters, actor_forward
from hyprepro.collect.sac.reference import actor_of, load_actor, reference_sac
from hyprepro.collect.sac.settings import ParameterSAC, SACSettings, SACTraining
from hyprepro.collect.sac.update import Adam, Batch
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.policies.layout import METAWORLD_LAYOUT

AGENTS, BATCH = 3, 16


class Spaces(gymnasium.Env[Any, Any]):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (39,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)


def transitions(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.tensor(rng.uniform(-1, 1, (AGENTS, BATCH, *shape)), dtype=torch.float32)

    dones = (draw() > 0.6).float()
    return Batch(draw(39), draw(4), draw(), draw(39), dones, draw(4))


def noises(seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    both = torch.randn((2, AGENTS, BATCH, 4), generator=torch.Generator().manual_seed(seed))
    return both[0], both[1]


def stacked(settings: SACSettings) -> StackedSAC:
    return StackedSAC(settings, METAWORLD_LAYOUT, AGENTS, torch.Generator().manual_seed(1))


def reference(sac: StackedSAC, agent: int) -> Any:
    """stable-baselines3's model with one agent's weights."""
    model = reference_sac(SACTraining(sac=sac.settings), Spaces(), 0)
    load_actor(model, {name: tensor.detach()[agent] for name, tensor in sac.actor.items()})
    for q in range(2):
        for ours, theirs in (("linear1", 0), ("linear2", 2), ("value", 4)):
            for networks, source in ((model.critic, sac.critic), (model.critic_target, sac.target)):
                layer = networks.q_networks[q][theirs]
                layer.weight.data = source[f"{ours}.weight"].detach()[2 * agent + q].mT.clone()
                layer.bias.data = source[f"{ours}.bias"].detach()[2 * agent + q, 0].clone()
    return model


def run_reference(
    monkeypatch: pytest.MonkeyPatch, model: Any, batch: Batch, agent: int, draws: list[torch.Tensor]
) -> Any:
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    samples = ReplayBufferSamples(
        batch.observations[agent],
        batch.actions[agent],
        batch.next_observations[agent],
        batch.dones[agent][:, None],
        batch.rewards[agent][:, None],
    )
    left = list(draws)

    def rsample(self: torch.distributions.Normal, sample_shape: Any = ()) -> torch.Tensor:
        return self.loc + self.scale * left.pop(0)

    monkeypatch.setattr(torch.distributions.Normal, "rsample", rsample)
    monkeypatch.setattr(model.replay_buffer, "sample", lambda *_, **__: samples)
    logger = Logger(None, [])
    model.set_logger(logger)
    step, seen = model.critic.optimizer.step, {}

    def recorded_step(*arguments: Any) -> None:
        # The actor's loss flows through the critics afterwards, so their gradients must be read here.
        seen.update({name: p.grad.clone() for name, p in model.critic.named_parameters()})
        step(*arguments)

    monkeypatch.setattr(model.critic.optimizer, "step", recorded_step)
    model.train(1, BATCH)
    logger.critic_gradients = seen
    assert not left
    return logger


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_losses_and_gradients_equal_stable_baselines3(monkeypatch, temperature):
    settings = SACSettings(batch_size=BATCH, initial_temperature=temperature)
    sac, batch, (noise, next_noise) = stacked(settings), transitions(), noises()
    models = [reference(sac, agent) for agent in range(AGENTS)]
    losses = sac.update(batch, noise, next_noise)
    for agent, model in enumerate(models):
        logger = run_reference(monkeypatch, model, batch, agent, [noise[agent], next_noise[agent]])
        logged = logger.name_to_value
        assert losses["critic_loss"][agent].item() == pytest.approx(logged["train/critic_loss"], rel=1e-4)
        assert losses["actor_loss"][agent].item() == pytest.approx(logged["train/actor_loss"], rel=1e-4, abs=1e-5)
        assert losses["temperature_loss"][agent].item() == pytest.approx(
            logged["train/ent_coef_loss"], rel=1e-4, abs=1e-5
        )
        assert sac.log_alpha.grad[agent].item() == pytest.approx(model.log_ent_coef.grad.item(), rel=1e-4, abs=1e-6)
        for name, theirs in (
            ("linear1", "latent_pi.0"),
            ("linear2", "latent_pi.2"),
            ("mean", "mu"),
            ("log_std", "log_std"),
        ):
            wanted = model.actor.get_submodule(theirs).weight.grad
            torch.testing.assert_close(sac.actor[f"{name}.weight"].grad[agent].mT, wanted, atol=1e-6, rtol=1e-3)
        for q in range(2):
            wanted = logger.critic_gradients[f"qf{q}.2.weight"]
            torch.testing.assert_close(
                sac.critic["linear2.weight"].grad[2 * agent + q].mT, wanted, atol=1e-6, rtol=1e-3
            )


def test_weights_after_an_update_equal_stable_baselines3(monkeypatch):
    sac, batch, (noise, next_noise) = stacked(SACSettings(batch_size=BATCH)), transitions(), noises()
    models = [reference(sac, agent) for agent in range(AGENTS)]
    for _ in range(3):
        sac.update(batch, noise, next_noise)
    for agent, model in enumerate(models):
        for _ in range(3):
            run_reference(monkeypatch, model, batch, agent, [noise[agent], next_noise[agent]])
        after = actor_of(model)
        for name, tensor in sac.actor.items():
            torch.testing.assert_close(tensor.detach()[agent], after[name][0], atol=2e-6, rtol=1e-3)
        target = model.critic_target.q_networks[1][0].weight
        torch.testing.assert_close(sac.target["linear1.weight"][2 * agent + 1].mT, target, atol=2e-6, rtol=1e-3)


def test_agents_do_not_mix():
    batch, (noise, next_noise) = transitions(), noises()
    one, other = stacked(SACSettings()), stacked(SACSettings())
    changed = Batch(**{name: value.clone() for name, value in vars(batch).items()})
    changed.rewards[1] += 3.0
    one.update(batch, noise, next_noise)
    other.update(changed, noise, next_noise)
    for agent, same in ((0, True), (1, False), (2, True)):
        equal = torch.equal(one.critic["linear1.weight"][2 * agent], other.critic["linear1.weight"][2 * agent])
        assert equal == same


def test_the_head_start_of_the_critics_leaves_the_actor_alone():
    sac, batch, (noise, next_noise) = stacked(SACSettings()), transitions(), noises()
    before = {name: tensor.detach().clone() for name, tensor in sac.actor.items()}
    critic = sac.critic["linear1.weight"].detach().clone()
    sac.update(batch, noise, next_noise, train_actor=False)
    assert all(torch.equal(before[name], tensor.detach()) for name, tensor in sac.actor.items())
    assert not torch.equal(critic, sac.critic["linear1.weight"].detach())
    assert torch.equal(sac.log_alpha.detach(), torch.zeros(AGENTS))


def test_the_cloning_term_pulls_the_mean_to_the_expert():
    sac, batch, (noise, next_noise) = (
        stacked(SACSettings(cloning_weight=100.0, normalise_q=True)),
        transitions(),
        noises(),
    )

    def distance() -> float:
        mean, _ = actor_forward(sac.actor, batch.observations)
        return ((torch.tanh(mean) - batch.expert_actions) ** 2).mean().item()

    before = distance()
    for _ in range(20):
        sac.update(batch, noise, next_noise)
    assert distance() < 0.97 * before


def plainly(parameters: Parameters, heads: tuple[str, ...], x: torch.Tensor) -> torch.Tensor:
    """Stacked networks as one would write them for autograd."""
    for name in ("linear1", "linear2"):
        x = torch.relu(x @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"])
    return torch.cat([x @ parameters[f"{head}.weight"] + parameters[f"{head}.bias"] for head in heads], -1)


def autograd_losses(sac: StackedSAC, batch: Batch, noise: torch.Tensor, after: torch.Tensor) -> dict[str, torch.Tensor]:
    """SAC's losses as one would write them for autograd, summed over agents."""
    settings, alpha = sac.settings, sac.log_alpha.exp()[:, None]

    def act(observations: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_std = plainly(sac.actor, ("mean", "log_std"), observations).chunk(2, 2)
        normal = torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp())
        before = mean + normal.stddev * noise
        actions = torch.tanh(before)
        return actions, (normal.log_prob(before) - torch.log(1 - actions**2 + 1e-6)).sum(2), torch.tanh(mean)

    def values(critic: Parameters, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        rows = torch.cat((observations, actions), 2).repeat_interleave(2, 0)
        return plainly(critic, ("value",), rows).view(len(actions), 2, -1)

    with torch.no_grad():
        next_actions, log_prob, _ = act(batch.next_observations, after)
        least = values(sac.target, batch.next_observations, next_actions).min(1).values
        ends = torch.zeros_like(batch.rewards) if batch.dones is None else batch.dones
        wanted = batch.rewards + (1 - ends) * settings.discount * (least - alpha * log_prob)
    critic = 0.5 * ((values(sac.critic, batch.observations, batch.actions) - wanted[:, None]) ** 2).mean(2).sum()
    actions, log_prob, mode = act(batch.observations, noise)
    frozen = {name: tensor.detach() for name, tensor in sac.critic.items()}
    value = values(frozen, batch.observations, actions).min(1).values
    scale = value.detach().abs().mean(1) if settings.normalise_q else 1.0
    actor = ((alpha * log_prob - value).mean(1) / scale).sum()
    if settings.cloning_weight:
        actor = actor + settings.cloning_weight * ((mode - batch.expert_actions) ** 2).mean((1, 2)).sum()
    return {"critic": critic, "actor": actor}


CONDITIONED = ParameterSAC(critic_width=9, target_entropy=-2.0)
SETTINGS = {
    "plain": SACSettings(initial_temperature=0.3),
    "normalised": SACSettings(normalise_q=True, initial_temperature=0.3),
    "cloning": SACSettings(normalise_q=True, cloning_weight=5.0, initial_temperature=0.3),
    "conditioned": CONDITIONED,
}


def started(name: str, low: int = 0, high: int = AGENTS) -> tuple[StackedSAC, Batch, tuple[torch.Tensor, torch.Tensor]]:
    """Agents `low` to `high` of a stack, and what they learn from; the conditioned ones are those of Cheetah-Vel."""
    if name != "conditioned":
        return stacked(SETTINGS[name]), transitions(), noises()
    generator = torch.Generator().manual_seed(0)
    networks = fresh(CheetahVel(), 5, CONDITIONED, AGENTS, generator)
    networks.actor["log_std.bias"][0, 0, 2] = 5.0  # beyond the clamp of the log standard deviation: no gradient

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn((AGENTS, BATCH, *shape), generator=generator)[low:high]

    batch = Batch(3.0 * normal(5), normal(6).tanh(), normal(), normal(5))
    actor = {key: tensor[low:high] for key, tensor in networks.actor.items()}
    critic = {key: tensor[2 * low : 2 * high] for key, tensor in networks.critic.items()}
    start = Networks(actor, critic, critic, networks.log_alpha[low:high])
    return StackedSAC.of(CONDITIONED, start), batch, (normal(6), normal(6))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["critic", "actor"])
def test_written_out_gradients_equal_autograds(name: str, kind: str) -> None:
    sac, batch, (noise, after) = started(name)
    sac.anneal(0.0)  # so that the actor's loss sees the critics of before
    sac.update(batch, noise, after)
    parameters: Parameters = getattr(sac, kind)
    found = {key: tensor.grad.clone() for key, tensor in parameters.items()}
    leaves = {key: tensor.detach().clone().requires_grad_() for key, tensor in parameters.items()}
    setattr(sac, kind, leaves)
    losses = autograd_losses(sac, batch, noise, after)
    wanted = dict(zip(leaves, torch.autograd.grad(losses[kind], list(leaves.values())), strict=True))
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-3, atol=1e-5)
    assert any(gradient.abs().max() > 1e-3 for gradient in wanted.values())


def test_the_optimiser_is_torchs_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    start, steps = torch.randn(4, 3, generator=generator), torch.randn(5, 4, 3, generator=generator)
    mine, theirs = start.clone(), start.clone().requires_grad_()
    ours, torchs = Adam([mine], 0.01), torch.optim.Adam([theirs], lr=0.01)
    for gradient in steps:
        ours.step([gradient])
        theirs.grad = gradient.clone()
        torchs.step()
    torch.testing.assert_close(mine, theirs.detach())


@pytest.mark.parametrize("name", ["plain", "conditioned"])
def test_the_temperature_rises_when_the_entropy_is_below_its_target(name: str) -> None:
    sac, batch, (noise, after) = started(name)
    sac.actor["log_std.weight"].zero_()
    sac.actor["log_std.bias"].fill_(-5.0)
    before = sac.log_alpha.clone()
    sac.update(batch, noise, after)
    assert (sac.log_alpha > before).all()


def test_one_agent_alone_learns_what_it_learns_in_a_stack() -> None:
    whole, batch, (noise, after) = started("conditioned")
    alone = started("conditioned", 1, 2)[0]
    for _ in range(3):
        whole.update(batch, noise, after)
        alone.update(batch.part(1, 2), noise[1:2], after[1:2])
    for name, tensor in alone.actor.items():
        torch.testing.assert_close(whole.actor[name][1:2], tensor)

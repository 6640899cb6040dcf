"""Stacked SAC is stable-baselines3's SAC: same losses and gradients from the same weights, batch and noise."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from hyprepro.collectors.collection import SACSettings, SACTraining
from hyprepro.collectors.networks import actor_forward
from hyprepro.collectors.reference import actor_of, load_actor, reference_sac
from hyprepro.collectors.sac import StackedSAC
from hyprepro.collectors.update import Batch
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

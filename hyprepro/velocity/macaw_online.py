"""MACAW's fine-tuning in the environment: the adapted networks go on learning from their own episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyprepro.envs.cheetah import CheetahBatch
from hyprepro.envs.velocities import HORIZON, velocity_reward
from hyprepro.models.networks.advantage_weighting import MetaLearner, Transitions
from hyprepro.models.networks.macaw import Weights
from hyprepro.stages.macaw_job import Buffer, gathered
from hyprepro.velocity.episodes import Episodes

if TYPE_CHECKING:
    from hyprepro.velocity.macaw import MACAWOnline

FIRST_START = 2_000_000
"""Seeds of start noise from here on: collection's, none of an evaluation."""


def fine_tuned(method: MACAWOnline, model: MetaLearner, actor: Weights, value: Weights, target: float) -> Weights:
    """The actors' weights `[n, P]` after `environment_steps` each, with random draws from torch's global generator.

    Args:
        method: Its settings.
        model: The networks.
        actor: The actors' weights; left as they are.
        value: The value functions' weights; left as they are.
        target: The target velocity, in m/s.
    """
    actor, value = ([part.detach().clone().requires_grad_() for part in each] for each in (actor, value))
    optimisers = [torch.optim.Adam(part, lr=method.tuning_rate, fused=True) for part in (value, actor)]
    cheetahs = CheetahBatch(len(actor[0]))
    buffers: list[Buffer] = []
    for episode in range(method.environment_steps // HORIZON):
        fresh = _episodes(model, actor, cheetahs, episode, target)
        buffers = [_joined(*pair) for pair in zip(buffers, _buffers(fresh, method), strict=True)] if buffers else (
            _buffers(fresh, method)
        )  # fmt: skip
        if episode < method.burn_in:
            continue
        for _ in range(method.value_updates):
            batch = _batch(buffers, method)
            _descend(optimisers[0], model.value_loss(value, batch, batch.returns).sum())
        for _ in range(method.actor_updates):
            _descend(optimisers[1], model.actor_loss(actor, value, _batch(buffers, method)).sum())
    return [part.detach() for part in actor]


@torch.no_grad()
def _episodes(model: MetaLearner, actor: Weights, cheetahs: CheetahBatch, number: int, target: float) -> list[Episodes]:
    """One episode of each actor with its noise."""
    count = len(actor[0])
    states = [cheetahs.reset([FIRST_START + number * count + i for i in range(count)])]
    taken, rewards = [], []
    for _ in range(HORIZON):
        mean = model.actor.mean(actor, torch.from_numpy(states[-1].astype(np.float32))[:, None])[:, 0]
        noisy = mean + model.settings.deviation * torch.randn_like(mean)
        actions = noisy.clamp(-1.0, 1.0).cpu().numpy()
        observed, speed = cheetahs.step(actions)
        states.append(observed)
        taken.append(actions)
        rewards.append(velocity_reward(speed, actions.astype(np.float64), target))
    parts = (np.stack(each, axis=1).astype(np.float32) for each in (states, taken, rewards))
    return [Episodes(*(part[None] for part in each)) for each in zip(*parts, strict=True)]


def _buffers(episodes: list[Episodes], method: MACAWOnline) -> list[Buffer]:
    return [Buffer.of(each, method.learner.model_copy(update={"skip": 1, "batch_size": 2})) for each in episodes]


def _joined(old: Buffer, new: Buffer) -> Buffer:
    return Buffer(tuple(torch.cat(pair) for pair in zip(old.columns, new.columns, strict=True)))


def _batch(buffers: list[Buffer], method: MACAWOnline) -> Transitions:
    return gathered(buffers, [each.rows(method.learner.batch_size) for each in buffers])


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()

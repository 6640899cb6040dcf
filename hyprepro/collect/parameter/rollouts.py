"""Episodes of stored policies on Cheetah-Vel: returns over many starts, and episodes to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.domains.cheetah_vel.env import CheetahBatch
from hyprepro.domains.cheetah_vel.tasks import HORIZON, velocity_reward
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import CHEETAH_LAYOUT

_AT_ONCE = 160


class Run(NamedTuple):
    """Episodes of k policies: observations `[k, 201, 17]`, actions `[k, 200, 6]`, rewards `[k, 200]`, float32."""

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]


def roll(
    params: NDArray[np.float32],
    velocities: NDArray[np.float64],
    seeds: Sequence[int],
    rng: np.random.Generator | None = None,
) -> Run:
    """One episode of each of k policies `[k, P]` at its velocity `[k]` from its start.

    Args:
        params: Flat parameters in `CHEETAH_LAYOUT`.
        velocities: m/s.
        seeds: Of the starts `[k]`.
        rng: Exploration noise as in SAC's training; None acts by the mode.
    """
    count, policies = len(params), _Sampling(params)
    batch = CheetahBatch(count)
    observations = np.empty((count, HORIZON + 1, CHEETAH_LAYOUT.observation_size), dtype=np.float32)
    actions = np.empty((count, HORIZON, CHEETAH_LAYOUT.action_size), dtype=np.float32)
    rewards = np.empty((count, HORIZON), dtype=np.float32)
    current = batch.reset(seeds)
    for time in range(HORIZON):
        observations[:, time] = current
        actions[:, time] = policies.act(observations[:, time], rng)
        current, speeds = batch.step(actions[:, time])
        rewards[:, time] = velocity_reward(speeds, actions[:, time].astype(np.float64), velocities)
    observations[:, HORIZON] = current
    return Run(observations, actions, rewards)


def returns(params: NDArray[np.float32], velocities: NDArray[np.float64], seeds: Sequence[int]) -> NDArray[np.float64]:
    """Undiscounted returns `[k, s]` of k deterministic policies `[k, P]`, each at its velocity `[k]` from s starts."""
    rows = np.repeat(np.arange(len(params)), len(seeds))
    starts = np.tile(np.asarray(seeds), len(params))
    found = [
        roll(params[some], velocities[some], starts[at : at + _AT_ONCE].tolist()).rewards.astype(np.float64).sum(1)
        for at in range(0, len(rows), _AT_ONCE)
        for some in [rows[at : at + _AT_ONCE]]
    ]
    return np.concatenate(found).reshape(len(params), len(seeds))


class _Sampling:
    """Stacked policies that can also act with their own exploration noise."""

    def __init__(self, params: NDArray[np.float32]) -> None:
        self._modes = StackedPolicies(CHEETAH_LAYOUT, params)
        parts = CHEETAH_LAYOUT.split(torch.from_numpy(np.ascontiguousarray(params)))
        self._parts = {
            name: part.mT.contiguous() if name.endswith("weight") else part[:, None] for name, part in parts.items()
        }
        self._rows = np.arange(len(params))

    def act(self, observations: NDArray[np.float32], rng: np.random.Generator | None) -> NDArray[np.float32]:
        if rng is None:
            return self._modes.act(self._rows, observations)
        from hyprepro.collect.sac.networks import actor_forward

        with torch.inference_mode():
            mean, log_std = actor_forward(self._parts, torch.from_numpy(observations)[:, None])
            noise = torch.from_numpy(rng.standard_normal(mean.shape, dtype=np.float32))
            return torch.tanh(mean + log_std.exp() * noise)[:, 0].numpy()

"""Episodes of stored policies in a domain of numbers: returns over many starts, and episodes to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.domains.base import Start
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import PolicyLayout

AT_ONCE = 160
"""Episodes that are stepped together, at most."""


class Run(NamedTuple):
    """Episodes of k policies, float32; what follows an episode's end is zero.

    Attributes:
        observations: `[k, horizon + 1, obs]`.
        actions: `[k, horizon, act]` in [-1, 1].
        rewards: `[k, horizon]`.
        steps: Length of each `[k]`.
        ended: Whether the environment ended it `[k]`.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    steps: NDArray[np.int64]
    ended: NDArray[np.bool_]


def roll(
    domain: ParameterDomain,
    layout: PolicyLayout,
    params: NDArray[np.float32],
    tasks: Sequence[str],
    seeds: Sequence[int],
    rng: np.random.Generator | None = None,
) -> Run:
    """One episode of each of k policies `[k, P]` at its task from its start.

    Args:
        domain: What simulates them.
        layout: The policies' layout.
        params: Flat parameters.
        tasks: The task of each.
        seeds: Of the starts `[k]`.
        rng: Exploration noise as in SAC's training; None acts by the mode.
    """
    count, horizon, policies = len(params), domain.horizon, _Sampling(layout, params)
    simulator = domain.simulators(tasks)
    observations = np.zeros((count, horizon + 1, layout.observation_size), dtype=np.float32)
    actions = np.zeros((count, horizon, layout.action_size), dtype=np.float32)
    rewards = np.zeros((count, horizon), dtype=np.float32)
    steps, ended, active = np.full(count, horizon), np.zeros(count, dtype=bool), np.arange(count)
    for slot, seed in enumerate(seeds):
        observations[slot, 0] = simulator.reset(slot, Start("fresh", seed))
    for time in range(horizon):
        acted = policies.act(observations[:, time], rng)
        actions[active, time] = acted[active]
        step = simulator.step(layout.to_environment(acted), active.tolist())
        assert step.rewards is not None
        rewards[active, time] = step.rewards[active]
        observations[active, time + 1] = step.observations[active]
        if step.ended is not None and step.ended[active].any():
            over = active[step.ended[active]]
            steps[over], ended[over] = time + 1, True
            active = active[~ended[active]]
            if not len(active):
                break
    return Run(observations, actions, rewards, steps, ended)


def returns(
    domain: ParameterDomain,
    layout: PolicyLayout,
    params: NDArray[np.float32],
    tasks: Sequence[str],
    seeds: Sequence[int],
) -> NDArray[np.float64]:
    """Undiscounted returns `[k, s]` of k deterministic policies `[k, P]`, each at its task from s starts."""
    rows = np.repeat(np.arange(len(params)), len(seeds))
    starts = np.tile(np.asarray(seeds), len(params))
    found = [
        roll(domain, layout, params[some], [tasks[row] for row in some], starts[at : at + AT_ONCE].tolist())
        for at in range(0, len(rows), AT_ONCE)
        for some in [rows[at : at + AT_ONCE]]
    ]
    totals = [run.rewards.astype(np.float64).sum(1) for run in found]
    return np.concatenate(totals).reshape(len(params), len(seeds))


class _Sampling:
    """Stacked policies that can also act with their own exploration noise."""

    def __init__(self, layout: PolicyLayout, params: NDArray[np.float32]) -> None:
        self._modes = StackedPolicies(layout, params)
        parts = layout.split(torch.from_numpy(np.ascontiguousarray(params)))
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

"""How fast the batched collector updates, against stable-baselines3 and against the matrix products alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch

from hyprepro.collectors.collection import SACSettings, SACTraining
from hyprepro.collectors.networks import actor_sizes, critic_sizes
from hyprepro.collectors.reference import reference_sac
from hyprepro.collectors.sac import Replay, StackedSAC
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout

_REPLAY = 5_000


def measure_collector(agents: int, batch_size: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Agent-updates a second of the batched collector, of stable-baselines3, and of the bare matrix products.

    The three take turns, `rounds` times for about `seconds` each, on one thread with the same network sizes and batch;
    the medians are compared. The bound counts only the forward and backward products of one update, nothing else.

    Args:
        agents: Agents trained as one stack.
        batch_size: Transitions an update and agent.
        rounds: Turns of each contestant.
        seconds: Length of a turn.

    Returns:
        `ours`, `peer` and `bound` in agent-updates a second, `ratio` (ours over the peer's), `bound_share`, settings.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        settings = SACSettings(batch_size=batch_size)
        contestants = {
            "ours": (_batched(settings, agents), agents),
            "peer": (_reference(settings), 1),
            "bound": (_products(METAWORLD_LAYOUT, agents, batch_size), agents),
        }
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, (update, count) in contestants.items():
                speeds[name].append(count * _rate(update, seconds))
    finally:
        torch.set_num_threads(threads)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        "name": "collector",
        "unit": "agent-updates/s",
        **{name: round(value, 1) for name, value in medians.items()},
        "ratio": round(medians["ours"] / medians["peer"], 3),
        "bound_share": round(medians["ours"] / medians["bound"], 3),
        "agents": agents,
        "batch_size": batch_size,
        "hidden": METAWORLD_LAYOUT.hidden,
        "rounds": {name: [round(value, 1) for value in values] for name, values in speeds.items()},
    }


def _rate(update: Callable[[], None], seconds: float) -> float:
    """Calls a second over at least `seconds`, after one call that does not count."""
    update()
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        update()
        calls += 1
    return calls / elapsed


def _batched(settings: SACSettings, agents: int) -> Callable[[], None]:
    """Sampling from replay and one update, as the collector does it."""
    layout, rng = METAWORLD_LAYOUT, np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    sac = StackedSAC(settings, layout, agents, generator)
    replay = Replay(agents, _REPLAY, layout.observation_size, layout.action_size)
    for field in replay.fields.values():
        field.copy_(torch.from_numpy(rng.uniform(-1.0, 1.0, field.shape)))
    replay.added = _REPLAY
    shape = (2, agents, settings.batch_size, layout.action_size)

    def update() -> None:
        noise = torch.randn(shape, generator=generator)
        sac.update(replay.sample(settings.batch_size, rng), noise[0], noise[1])

    return update


class _Spaces(gymnasium.Env[Any, Any]):
    """The spaces of Meta-World without the simulator: only updates are timed."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (METAWORLD_LAYOUT.observation_size,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (METAWORLD_LAYOUT.action_size,), np.float32)


def _reference(settings: SACSettings) -> Callable[[], None]:
    """stable-baselines3's `train`: sampling from its buffer and one update."""
    from stable_baselines3.common.logger import Logger

    model = reference_sac(SACTraining(sac=settings, replay=_REPLAY, updates_per_step=1.0), _Spaces(), 0)
    model.set_logger(Logger(None, []))
    buffer, rng = model.replay_buffer, np.random.default_rng(0)
    assert buffer is not None
    for array in (buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards):
        array[:] = rng.uniform(-1.0, 1.0, array.shape)
    buffer.full = True
    return lambda: model.train(1, settings.batch_size)


def _products(layout: PolicyLayout, agents: int, batch: int) -> Callable[[], None]:
    """Only the matrix products of one update: three actor passes' worth and six critic passes' worth, with backward.

    Actor: forward at s and s', backward at s (two products a layer). Both critics: forward at s, s' (target) and s with
    the actor's action; backward at s (two products a layer) and, for the actor, with respect to the input alone.
    """
    jobs = []
    for sizes, stack, forward, backward_weight, backward_input in (
        (actor_sizes(layout), agents, 2, 1, 1),
        (critic_sizes(layout), 2 * agents, 3, 1, 2),
    ):
        for inputs, outputs in sizes.values():
            x, w, y = (torch.randn(stack, *shape) for shape in ((batch, inputs), (inputs, outputs), (batch, outputs)))
            jobs += [(x, w)] * forward + [(x.mT, y)] * backward_weight + [(y, w.mT)] * backward_input

    def update() -> None:
        for left, right in jobs:
            torch.bmm(left, right)

    return update

"""Ten seconds on this machine that say how long a collection will take, and how much disk it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from hyprepro.collect.collection import Estimate
from hyprepro.collect.parameter.collection import VelocityCollection
from hyprepro.collect.parameter.experts import TrainExperts
from hyprepro.collect.parameter.harvest import HarvestVelocity
from hyprepro.collect.parameter.loop import fresh
from hyprepro.collect.parameter.parent import TrainParent
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collect.parameter.settings import VelocitySAC
from hyprepro.collect.sac.agents import StackedSAC
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.cheetah_vel.tasks import HORIZON
from hyprepro.engine.stage import Stage
from hyprepro.policies.layout import CHEETAH_LAYOUT

SECONDS = 10.0
"""Length of the measurement, shared by the kinds of work that are still to be done."""

_BYTES_A_STEP = 4 * (CHEETAH_LAYOUT.observation_size + CHEETAH_LAYOUT.action_size + 1)
_BYTES_AN_EPISODE = 9_000  # of the trajectory store: measured on the bundled one, compressed
_BYTES_A_WEIGHT = {"float16": 1.9, "float32": 3.7}  # likewise of the policy store


def estimate(collection: VelocityCollection, stages: Sequence[Stage]) -> Estimate:
    """Measure on one thread, as the stages will run.

    Args:
        collection: The collection.
        stages: What is still to be done.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        kinds: dict[type[Stage], list[Any]] = {}
        for stage in stages:
            kinds.setdefault(type(stage), []).append(stage)
        share = SECONDS / max(len(kinds), 1)
        seconds: dict[str, float] = {}
        for kind, some in kinds.items():
            seconds |= _MEASURES[kind](some, share)
    finally:
        torch.set_num_threads(threads)
    return Estimate(seconds, working=_working_bytes(stages), stored=_stored_bytes(collection))


def _parents(stages: Sequence[TrainParent], seconds: float) -> dict[str, float]:
    found = {}
    for stage in stages:
        sac, count = stage.training.sac, stage.training.environments
        update = _seconds(_updating(sac, 1, CHEETAH_LAYOUT.observation_size + 1), seconds / 2)
        found[stage.key] = stage.training.updates * update + stage.rounds * _round_seconds(count, seconds / 2)
    return found


def _experts(stages: Sequence[TrainExperts], seconds: float) -> dict[str, float]:
    found = {}
    for stage in stages:
        part, count = seconds / len(stages) / 2, len(stage.velocities)
        update = _seconds(_updating(stage.training.sac, count, CHEETAH_LAYOUT.observation_size), part)
        found[stage.key] = stage.training.updates * update + stage.rounds * _round_seconds(count, part)
    return found


def _harvests(stages: Sequence[HarvestVelocity], seconds: float) -> dict[str, float]:
    episode = _round_seconds(16, seconds) / 16
    return {stage.key: stage.episodes * episode for stage in stages}


_MEASURES: dict[type[Stage], Callable[[Sequence[Any], float], dict[str, float]]] = {
    TrainParent: _parents,
    TrainExperts: _experts,
    HarvestVelocity: _harvests,
}


def _updating(settings: VelocitySAC, agents: int, inputs: int) -> Callable[[], object]:
    """One update of a stack of fresh agents on random transitions."""
    sac = StackedSAC.of(settings, fresh(inputs, settings, agents, torch.Generator().manual_seed(0)))
    shape = (agents, settings.batch_size)
    seen, actions = (torch.randn(*shape, size) for size in (inputs, sac.action_size))
    batch, noise = Batch(seen, actions.tanh(), torch.zeros(shape), seen), torch.randn(2, *actions.shape)
    return lambda: sac.update(batch, noise[0], noise[1])


def _round_seconds(cheetahs: int, seconds: float) -> float:
    """One episode of so many cheetahs together."""
    params = np.zeros((cheetahs, CHEETAH_LAYOUT.size), dtype=np.float32)
    return _seconds(lambda: returns(params, np.ones(cheetahs), [0]), seconds)


def _seconds(work: Callable[[], object], seconds: float) -> float:
    """Seconds that `work` takes, the mean over about so many seconds after a first call."""
    work()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds or not calls:
        work()
        calls += 1
    return (time.perf_counter() - started) / calls


def _working_bytes(stages: Sequence[Stage]) -> int:
    """Transitions and experts' checkpoints that are kept in the cache."""
    steps = policies = 0
    for stage in stages:
        if isinstance(stage, TrainParent):
            steps += stage.rounds * HORIZON * stage.training.environments
        elif isinstance(stage, TrainExperts):
            steps += stage.rounds * HORIZON * len(stage.velocities)
            policies += len(stage.checkpoints) * len(stage.velocities)
    return steps * _BYTES_A_STEP + policies * 4 * CHEETAH_LAYOUT.size


def _stored_bytes(collection: VelocityCollection) -> int:
    selection, velocities = collection.selection, len(collection.train) + len(collection.test)
    episodes = selection.offline_episodes + selection.expert_episodes + selection.prompt_episodes
    policy = CHEETAH_LAYOUT.size * _BYTES_A_WEIGHT[selection.weights]
    policies = selection.policies + (collection.route == "parent")
    return int(velocities * (policies * policy + episodes * _BYTES_AN_EPISODE))

"""Ten seconds on this machine that say how long a collection will take, and how much disk it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from hyprepro.collect.collection import Estimate
from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.collect.parameter.experts import TrainExperts
from hyprepro.collect.parameter.harvest import HarvestParameter
from hyprepro.collect.parameter.loop import fresh
from hyprepro.collect.parameter.parent import TrainParent
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collect.sac.agents import StackedSAC
from hyprepro.collect.sac.settings import ParameterSAC
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.engine.stage import Stage

SECONDS = 10.0
"""Length of the measurement, shared by the kinds of work that are still to be done."""

_BYTES_A_NUMBER = 1.88  # of an episode in the trajectory store: measured on the bundled ones, compressed
_BYTES_A_WEIGHT = {"float16": 1.9, "float32": 3.7}  # likewise of the policy store


def estimate(collection: ParameterCollection, stages: Sequence[Stage]) -> Estimate:
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
    return Estimate(seconds, working=_working_bytes(collection, stages), stored=_stored_bytes(collection))


def _parents(stages: Sequence[TrainParent], seconds: float) -> dict[str, float]:
    found = {}
    for stage in stages:
        sac, count = stage.training.sac, stage.training.environments
        update = _seconds(_updating(stage.domain, sac, 1, len(stage.domain.ranges)), seconds / 2)
        round_ = _round_seconds(stage.domain, count, seconds / 2)
        found[stage.key] = stage.training.updates * update + stage.rounds * round_
    return found


def _experts(stages: Sequence[TrainExperts], seconds: float) -> dict[str, float]:
    found = {}
    for stage in stages:
        part, count = seconds / len(stages) / 2, len(stage.tasks)
        update = _seconds(_updating(stage.domain, stage.training.sac, count), part)
        found[stage.key] = stage.training.updates * update + stage.rounds * _round_seconds(stage.domain, count, part)
    return found


def _harvests(stages: Sequence[HarvestParameter], seconds: float) -> dict[str, float]:
    episode = _round_seconds(stages[0].domain, 16, seconds) / 16
    return {stage.key: stage.episodes * episode for stage in stages}


_MEASURES: dict[type[Stage], Callable[[Sequence[Any], float], dict[str, float]]] = {
    TrainParent: _parents,
    TrainExperts: _experts,
    HarvestParameter: _harvests,
}


def _updating(domain: ParameterDomain, settings: ParameterSAC, agents: int, told: int = 0) -> Callable[[], object]:
    """One update of a stack of fresh agents, told so many numbers, on random transitions."""
    inputs = domain.layout.observation_size + told
    sac = StackedSAC.of(settings, fresh(domain, inputs, settings, agents, torch.Generator().manual_seed(0)))
    shape = (agents, settings.batch_size)
    seen, actions = (torch.randn(*shape, size) for size in (inputs, sac.action_size))
    batch, noise = Batch(seen, actions.tanh(), torch.zeros(shape), seen), torch.randn(2, *actions.shape)
    return lambda: sac.update(batch, noise[0], noise[1])


def _round_seconds(domain: ParameterDomain, count: int, seconds: float) -> float:
    """One episode of so many environments together."""
    params = np.zeros((count, domain.layout.size), dtype=np.float32)
    tasks = [domain.sweep[place % len(domain.sweep)] for place in range(count)]
    return _seconds(lambda: returns(domain, domain.layout, params, tasks, [0]), seconds)


def _seconds(work: Callable[[], object], seconds: float) -> float:
    """Seconds that `work` takes, the mean over about so many seconds after a first call."""
    work()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds or not calls:
        work()
        calls += 1
    return (time.perf_counter() - started) / calls


def _working_bytes(collection: ParameterCollection, stages: Sequence[Stage]) -> int:
    """Transitions and experts' checkpoints that are kept in the cache."""
    steps = policies = 0
    for stage in stages:
        if isinstance(stage, TrainParent):
            steps += stage.rounds * stage.domain.horizon * stage.training.environments
        elif isinstance(stage, TrainExperts):
            steps += stage.rounds * stage.domain.horizon * len(stage.tasks)
            policies += len(stage.checkpoints) * len(stage.tasks)
    return 4 * (steps * _numbers(collection) + policies * collection.of.layout.size)


def _stored_bytes(collection: ParameterCollection) -> int:
    selection, tasks, layout = (
        collection.selection,
        collection.train_tasks + collection.test_tasks,
        collection.of.layout,
    )
    episodes = selection.offline_episodes + selection.expert_episodes + selection.prompt_episodes
    policy, episode = layout.size * _BYTES_A_WEIGHT[selection.weights], collection.of.horizon * _numbers(collection)
    policies = selection.policies + (collection.route == "parent")
    return int(len(tasks) * (policies * policy + episodes * episode * _BYTES_A_NUMBER))


def _numbers(collection: ParameterCollection) -> int:
    """Of a step: observation, action, reward."""
    return sum(collection.of.sizes) + 1

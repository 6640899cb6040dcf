"""What a collection of Meta-World experts needs: time, disk and memory, told before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from hyprepro.collect.collection import Estimate
from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.collect.metaworld.harvest import HarvestTask
from hyprepro.collect.metaworld.training import TrainSAC
from hyprepro.collect.sac.networks import actor_sizes, critic_sizes
from hyprepro.engine.stage import Stage, device
from hyprepro.policies.layout import METAWORLD_LAYOUT

_PROCESS = 700_000_000
"""Memory of a process with torch and MuJoCo, and of what an update works with: 430 MB measured, and a reserve."""

_ENVIRONMENT = 30_000_000
"""Memory of an environment, its model and its meshes: 23 MB measured, and a reserve."""

_SMALL = 2_000_000
"""Metrics, manifest, randomness and the like."""

_PROMPT = 100 * 4 * (METAWORLD_LAYOUT.observation_size + METAWORLD_LAYOUT.action_size + 1)
"""Bytes of an episode in the cache, of about a hundred steps."""

_WEIGHT = {"float16": 2, "float32": 4}
"""Bytes of a weight in the cache."""

_STORED_PROMPT = 3_500
"""Bytes of an episode in the trajectory store: measured on the bundled one, compressed."""

_STORED_WEIGHT = {"float16": 1.4, "float32": 3.7}
"""Bytes of a weight in the policy store: likewise."""


def estimate(collection: MetaWorldCollection, stages: Sequence[Stage]) -> Estimate:
    """For the stages that are still to be done; the sizes of a training run are upper bounds.

    Memory is told where it was measured: on a CPU.

    Args:
        collection: The collection.
        stages: What is still to be done.
    """
    runs = [stage for stage in stages if isinstance(stage, TrainSAC)]
    weights = collection.selection.weights
    tasks = list(dict.fromkeys(stage.task for stage in stages if isinstance(stage, HarvestTask)))
    cached, stored = (_kept(collection, some) for some in (tasks, collection.seen_tasks + collection.unseen_tasks))
    return Estimate(
        {stage.key: stage.cost for stage in stages},
        working=sum(run.policies_bytes for run in runs) + _bytes(cached, _WEIGHT[weights], _PROMPT),
        stored=_bytes(stored, _STORED_WEIGHT[weights], _STORED_PROMPT),
        held={run.key: held_bytes(run) for run in runs},
        memory={run.key: memory_bytes(run) for run in runs if device() == "cpu"},
        mapped={run.key: mapped_bytes(run) for run in runs},
    )


def held_bytes(run: TrainSAC) -> int:
    """Disk that a training run takes beside its result, at most: its transitions once, its checkpoint twice."""
    return _is_ours(run) * (run.replay_bytes + 2 * checkpoint_bytes(run)) + _SMALL


def checkpoint_bytes(run: TrainSAC) -> int:
    """Weights, targets and both moments of Adam."""
    actor, critic = _parameters(run)
    return 4 * (3 * actor + 4 * critic) + _SMALL


def mapped_bytes(run: TrainSAC) -> int:
    """Files that a training run maps into its memory."""
    return _is_ours(run) * (run.replay_bytes + run.policies_bytes)


def memory_bytes(run: TrainSAC) -> int:
    """Memory of a training run, at most."""
    actor, critic = _parameters(run)
    networks = 4 * (4 * actor + 5 * critic)  # gradients too
    return _PROCESS + _ENVIRONMENT * len(run.agents) + networks + mapped_bytes(run)


def _is_ours(run: TrainSAC) -> bool:
    """The reference keeps no checkpoint."""
    return run.training.trainer == "stacked"


def _parameters(run: TrainSAC) -> tuple[int, int]:
    """Of all actors, and of all critics."""
    layout, agents = METAWORLD_LAYOUT, len(run.agents)
    one, other = (
        sum(inputs * outputs + outputs for inputs, outputs in sizes.values())
        for sizes in (actor_sizes(layout), critic_sizes(layout))
    )
    return agents * one, 2 * agents * other


def _kept(collection: MetaWorldCollection, tasks: Sequence[str]) -> tuple[int, int]:
    """Policies and prompts of some tasks, of the runs that are collected."""
    selection, seen = collection.selection, sum(task in collection.seen_tasks for task in tasks)
    runs = collection.runs or tuple(collection.all_runs)
    trained = sum(run < selection.train_seeds for run in runs)
    tested = len(runs) - trained
    train, siblings = (seen * trained * count for count in (selection.train_policies, selection.prompt_policies))
    prompts = train * selection.train_prompts + seen * selection.validation_prompts * trained // selection.train_seeds
    prompts += len(tasks) * selection.test_prompts * tested // selection.test_seeds
    prompts += bool(siblings) * seen * selection.test_prompts * trained // selection.train_seeds
    return train + siblings + len(tasks) * tested * selection.test_policies, prompts


def _bytes(kept: tuple[int, int], weight: float, prompt: int) -> int:
    policies, prompts = kept
    return round(policies * METAWORLD_LAYOUT.size * weight + prompts * prompt)

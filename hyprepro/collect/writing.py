"""From finished harvests to the two stores of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.engine.cache import ArtifactCache
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter, Weights
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter


def write_pair(
    stages: Sequence[Any],
    cache: ArtifactCache,
    folder: Path,
    name: str,
    layout: PolicyLayout,
    route: dict[str, Any],
    weights: Weights,
    episodes: int,
) -> list[Path]:
    """Write NAME.policies.h5 and NAME.trajectories.h5 from the artifacts of finished harvests, task by task.

    Args:
        stages: Stages that load as a `Harvest` and name their `task`, in the order of the stores.
        cache: Where their artifacts are.
        folder: Where to write.
        name: The stem of both files.
        layout: Of every policy.
        route: How the policies were made.
        weights: How they are kept.
        episodes: Over how many each was scored.
    """
    policies, trajectories = (folder / f"{name}{end}" for end in (".policies.h5", ".trajectories.h5"))
    with PolicyStoreWriter(policies, layout, route, weights) as writer:
        for stage in stages:
            for p in stage.load(cache.path_of(stage)).policies:
                params = np.asarray(p.params, dtype=np.float32)[None]
                writer.append(stage.task, params, p.seed, p.step, p.success, episodes, p.returns, p.split)
    with PolicyStore.open(policies) as store:
        digest = store.digest
    sizes = layout.observation_size, layout.action_size
    with TrajectoryStoreWriter(trajectories, route, digest, *sizes) as writer_of_episodes:
        before: dict[str, int] = {}  # rows of the task that earlier stages wrote
        for stage in stages:
            harvest, first = stage.load(cache.path_of(stage)), before.get(stage.task, 0)
            for e in harvest.episodes:
                arrays = e.observations, e.actions, e.rewards
                row = first + e.policy_row if e.policy_row >= 0 else -1
                writer_of_episodes.append(stage.task, *arrays, e.success_step, e.goal_seed, row, e.split, e.terminated)
            before[stage.task] = first + len(harvest.policies)
    return [policies, trajectories]

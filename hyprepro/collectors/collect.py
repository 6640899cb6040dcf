"""From a collection's settings to its stages, and from their artifacts to the two stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.collectors.base import Weights
from hyprepro.collectors.card import data_card
from hyprepro.collectors.clones import CloneExperts
from hyprepro.collectors.harvest import HarvestTask
from hyprepro.collectors.metaworld import MetaWorldCollection
from hyprepro.collectors.training import TrainSAC
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import make_folder, write_atomically
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter


def stages_of(collection: MetaWorldCollection) -> list[HarvestTask]:
    """The last stage of each task; everything else hangs on these."""
    clones = CloneExperts(
        collection.cloning, collection.route, collection.seen_tasks, collection.unseen_tasks, collection.seed
    )
    agents, size = collection.agents(), collection.training.agents_at_once
    runs = []
    for start in range(0, len(agents), size):
        some = agents[start : start + size]
        runs.append(TrainSAC(clones, collection.training, tuple(a.task for a in some), tuple(a.seed for a in some)))
    return [
        HarvestTask(tuple(run for run in runs if task in run.tasks), collection.selection, task)
        for task in collection.seen_tasks + collection.unseen_tasks
    ]


def route_of(collection: MetaWorldCollection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from."""
    texts = {
        "clones": "SAC with a cloning term, from DAgger clones of metaworld's scripted experts grown from one parent",
        "scratch": "SAC from random weights",
    }
    return {"name": collection.route, "summary": texts[collection.route], "collection": collection.described()}


def write_stores(collection: MetaWorldCollection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write NAME.policies.h5, NAME.trajectories.h5 and NAME.md from finished artifacts; each whole or not at all.

    The test policies of all tasks are stored too, as the sources of the test prompts: the expert ceiling needs them.

    Returns:
        The three files.
    """
    make_folder(folder)
    route, stages, selection = route_of(collection), stages_of(collection), collection.selection
    policies, trajectories = write_pair(
        stages, cache, folder, name, METAWORLD_LAYOUT, route, selection.weights, selection.score_goals
    )
    card = folder / f"{name}.md"
    write_atomically(card, data_card(name, collection, policies, trajectories).encode())
    return [policies, trajectories, card]


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
        for stage in stages:
            for e in stage.load(cache.path_of(stage)).episodes:
                arrays = e.observations, e.actions, e.rewards
                writer_of_episodes.append(stage.task, *arrays, e.success_step, e.goal_seed, e.policy_row, e.split)
    return [policies, trajectories]

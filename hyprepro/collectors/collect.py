"""From a collection's settings to its stages, and from their artifacts to the two stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.artifacts import ArtifactCache, write_atomically
from hyprepro.collectors.card import data_card
from hyprepro.collectors.clones import CloneExperts
from hyprepro.collectors.collection import Collection
from hyprepro.collectors.harvest import Harvest, HarvestTask
from hyprepro.collectors.training import TrainSAC
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter


def stages_of(collection: Collection) -> list[HarvestTask]:
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


def route_of(collection: Collection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from."""
    texts = {
        "clones": "SAC with a cloning term, from DAgger clones of metaworld's scripted experts grown from one parent",
        "scratch": "SAC from random weights",
    }
    return {"name": collection.route, "summary": texts[collection.route], "collection": collection.described()}


def write_stores(collection: Collection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write NAME.policies.h5, NAME.trajectories.h5 and NAME.md from finished artifacts; each whole or not at all.

    The test policies of all tasks are stored too, as the sources of the test prompts: the expert ceiling needs them.

    Returns:
        The three files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    policies, trajectories, card = (folder / f"{name}{end}" for end in (".policies.h5", ".trajectories.h5", ".md"))
    route, stages = route_of(collection), stages_of(collection)
    harvests = ((stage, stage.load(cache.path_of(stage))) for stage in stages)
    with PolicyStoreWriter(policies, METAWORLD_LAYOUT, route, collection.selection.weights) as writer:
        for stage, harvest in harvests:
            _append_policies(writer, stage, harvest)
    with PolicyStore.open(policies) as store:
        digest = store.digest
    harvests = ((stage, stage.load(cache.path_of(stage))) for stage in stages)
    with TrajectoryStoreWriter(trajectories, route, digest) as episodes:
        for stage, harvest in harvests:
            for e in harvest.episodes:
                episodes.append(
                    stage.task, e.observations, e.actions, e.rewards, e.success_step, e.goal_seed, e.policy_row, e.split
                )
    write_atomically(card, data_card(name, collection, policies, trajectories).encode())
    return [policies, trajectories, card]


def _append_policies(writer: PolicyStoreWriter, stage: HarvestTask, harvest: Harvest) -> None:
    """In the harvest's order, which the episodes' `policy_row` counts in."""
    for policy in harvest.policies:
        writer.append(
            stage.task,
            np.asarray(policy.params, dtype=np.float32)[None],
            policy.seed,
            policy.step,
            policy.success,
            stage.selection.score_goals,
            policy.returns,
            policy.split,
        )

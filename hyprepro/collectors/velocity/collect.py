"""From the settings of a Cheetah-Vel collection to its stages, and from their artifacts to the stores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.collectors.collect import write_pair
from hyprepro.collectors.velocity.card import data_card
from hyprepro.collectors.velocity.collection import VelocityCollection
from hyprepro.collectors.velocity.experts import TrainExperts
from hyprepro.collectors.velocity.harvest import HarvestVelocity
from hyprepro.collectors.velocity.loop import start_seed
from hyprepro.collectors.velocity.parent import Parent, TrainParent
from hyprepro.collectors.velocity.rollouts import returns
from hyprepro.domains.cheetah_vel.tasks import velocity_task
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import make_folder, write_atomically
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.reports.figures.profiles import can_draw
from hyprepro.reports.figures.velocities import draw
from hyprepro.stores.policy_store import PolicyStoreWriter

_SUMMARIES = {
    "parent": "SAC of one agent a velocity, each grown from one velocity-conditioned SAC agent folded at its velocity",
    "scratch": "SAC of one agent a velocity, from random weights",
}


def parent_of(collection: VelocityCollection) -> TrainParent | None:
    """The parent's stage; None on the route "scratch"."""
    if collection.route == "scratch":
        return None
    return TrainParent(collection.parent, collection.train_velocities, collection.seed)


def stages_of(collection: VelocityCollection) -> list[HarvestVelocity]:
    """The last stage of each velocity, ascending; everything else hangs on these.

    Training and test velocities never share a stack, so that no training expert learns from a test velocity's steps.
    """
    parent, size = parent_of(collection), collection.experts.agents_at_once
    found = []
    for split, velocities in (("train", collection.train_velocities), ("test", collection.test_velocities)):
        for start in range(0, len(velocities), size):
            some = velocities[start : start + size]
            experts = TrainExperts(parent, collection.experts, some, collection.seed)
            found += [
                HarvestVelocity(parent, experts, collection.selection, velocity, split, collection.seed)
                for velocity in some
            ]
    return sorted(found, key=lambda stage: stage.velocity)


def route_of(collection: VelocityCollection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from."""
    return {"name": collection.route, "summary": _SUMMARIES[collection.route], "collection": collection.described()}


def write_stores(collection: VelocityCollection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write the zoo, the offline episodes, the folded parent (if there is one), the card and its picture.

    Each is written whole or not at all; the picture needs matplotlib and is left out without it.

    Returns:
        The files.
    """
    make_folder(folder)
    route, stages, selection = route_of(collection), stages_of(collection), collection.selection
    written = write_pair(stages, cache, folder, name, CHEETAH_LAYOUT, route, selection.weights, selection.starts)
    parent, card, picture = parent_of(collection), folder / f"{name}.md", folder / f"{name}.svg"
    if parent is not None:
        written.append(_write_parent(collection, parent.load(cache.path_of(parent)), folder, name))
    write_atomically(card, data_card(name, collection, *written).encode())
    if not can_draw():
        return [*written, card]
    write_atomically(picture, draw([written[0], *written[2:]], name)[picture.name])
    return [*written, card, picture]


def _write_parent(collection: VelocityCollection, parent: Parent, folder: Path, name: str) -> Path:
    """The parent folded at every velocity, one policy each, and its learning curve."""
    path, selection = folder / f"{name}-parent.policies.h5", collection.selection
    curve = {field: np.round(values, 3).tolist() for field, values in parent.curve._asdict().items()}
    route = {
        "name": "velocity-parent",
        "summary": "one velocity-conditioned SAC agent, trained on the training velocities, folded at each velocity",
        "collection": collection.described(),
        "curve": curve,
    }
    starts = [start_seed("scoring", i) for i in range(selection.starts)]
    velocities = sorted(collection.train_velocities + collection.test_velocities)
    flat = np.stack([parent.policy(v) for v in velocities]).astype(selection.weights).astype(np.float32)
    found = returns(flat, np.array(velocities), starts).mean(1)
    steps = int(parent.curve.steps[-1])
    with PolicyStoreWriter(path, CHEETAH_LAYOUT, route, selection.weights) as writer:
        for velocity, params, score in zip(velocities, flat, found, strict=True):
            split = "train" if velocity in collection.train_velocities else "test"
            task = velocity_task(velocity)
            writer.append(task, params[None], collection.seed, steps, math.nan, selection.starts, score, split)
    return path

"""From the settings of a collection to its stages, and from their artifacts to the stores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.collect.parameter.card import data_card
from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.collect.parameter.experts import TrainExperts
from hyprepro.collect.parameter.harvest import HarvestParameter
from hyprepro.collect.parameter.loop import start_seed
from hyprepro.collect.parameter.parent import Parent, TrainParent
from hyprepro.collect.parameter.rollouts import returns
from hyprepro.collect.writing import write_pair
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import make_folder, write_atomically
from hyprepro.reports.figures.profiles import can_draw
from hyprepro.reports.figures.returns import draw
from hyprepro.stores.policy_store import PolicyStoreWriter

_SUMMARIES = {
    "parent": "SAC of one agent a {0}, each grown from one {0}-conditioned SAC agent folded at its {0}",
    "scratch": "SAC of one agent a {0}, from random weights",
}


def parent_of(collection: ParameterCollection) -> TrainParent | None:
    """The parent's stage; None on the route "scratch"."""
    if collection.route == "scratch":
        return None
    return TrainParent(collection.bare, collection.parent, collection.train_tasks, collection.seed)


def randomised_of(collection: ParameterCollection) -> TrainParent | None:
    """The stage of the policy for all tasks; None if none is asked for."""
    training = collection.randomised
    return None if training is None else TrainParent(collection.bare, training, collection.train_tasks, collection.seed)


def stages_of(collection: ParameterCollection) -> list[HarvestParameter]:
    """The last stage of each task, in the order of their numbers; everything else hangs on these.

    Training and test tasks never share a stack, so that no training expert learns from a test task's steps.
    """
    parent, size, domain = parent_of(collection), collection.experts.agents_at_once, collection.bare
    found = []
    for split, tasks in (("train", collection.train_tasks), ("test", collection.test_tasks)):
        for start in range(0, len(tasks), size):
            some = tasks[start : start + size]
            experts = TrainExperts(domain, parent, collection.experts, some, collection.seed)
            found += [
                HarvestParameter(domain, parent, experts, collection.selection, task, split, collection.seed)
                for task in some
            ]
    return sorted(found, key=lambda stage: domain.parameter(stage.task))


def route_of(collection: ParameterCollection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from."""
    return {
        "name": collection.route,
        "summary": _SUMMARIES[collection.route].format(collection.of.told),
        "collection": collection.described(),
    }


def write_stores(collection: ParameterCollection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write the zoo, the offline episodes, the folded parent (if there is one), the card and its picture.

    Each is written whole or not at all; the picture needs matplotlib and is left out without it.

    Returns:
        The files.
    """
    make_folder(folder)
    route, stages, selection = route_of(collection), stages_of(collection), collection.selection
    layout = collection.of.layout
    written = write_pair(stages, cache, folder, name, layout, route, selection.weights, selection.starts)
    parent, card, picture = parent_of(collection), folder / f"{name}.md", folder / f"{name}.svg"
    further = {"parent": parent, "randomised": randomised_of(collection)}
    paths = {
        kind: _write_parent(collection, stage.load(cache.path_of(stage)), folder / f"{name}-{kind}.policies.h5")
        for kind, stage in further.items()
        if stage is not None
    }
    write_atomically(card, data_card(name, collection, written[0], written[1], paths).encode())
    written += [*paths.values(), card]
    if not can_draw():
        return written
    drawn = [written[0], *(path for kind, path in paths.items() if kind == "parent")]
    write_atomically(picture, draw(collection.of, drawn, name)[picture.name])
    return [*written, picture]


def _write_parent(collection: ParameterCollection, parent: Parent, path: Path) -> Path:
    """A parent folded at every task, one policy each, and its learning curve."""
    selection, domain = collection.selection, collection.of
    summary = f"one {domain.told}-conditioned SAC agent, trained on the training {domain.many}, folded at each"
    if not parent.told:
        summary = f"one SAC agent for all {domain.many}, trained on the training {domain.many} and told none"
    curve = {field: np.round(values, 3).tolist() for field, values in parent.curve._asdict().items()}
    route = {
        "name": "parameter-parent" if parent.told else "domain-randomisation",
        "summary": summary,
        "collection": collection.described(),
        "curve": curve,
    }
    starts = [start_seed("scoring", i) for i in range(selection.starts)]
    tasks = sorted(collection.train_tasks + collection.test_tasks, key=domain.parameter)
    flat = np.stack([parent.policy(task) for task in tasks]).astype(selection.weights).astype(np.float32)
    found = returns(domain, domain.layout, flat, tasks, starts).mean(1)
    steps = int(parent.curve.steps[-1])
    with PolicyStoreWriter(path, domain.layout, route, selection.weights) as writer:
        for task, params, score in zip(tasks, flat, found, strict=True):
            split = "train" if task in collection.train_tasks else "test"
            writer.append(task, params[None], collection.seed, steps, math.nan, selection.starts, score, split)
    return path

"""From a collection of Meta-World experts to its stages, and from their artifacts to two stores and a data card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hyprepro.collect.metaworld.card import data_card, summary
from hyprepro.collect.metaworld.clones import CloneExperts
from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.collect.metaworld.harvest import HarvestTask
from hyprepro.collect.metaworld.settings import Agent
from hyprepro.collect.metaworld.training import TrainSAC
from hyprepro.collect.writing import write_pair
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import make_folder, write_atomically
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.card import unsolved_route
from hyprepro.stores.parts import PART


def stages_of(collection: MetaWorldCollection) -> list[HarvestTask]:
    """The last stages, one a task, or one a task and run where runs know nothing of each other."""
    clones = CloneExperts(
        collection.cloning, collection.route, collection.seen_tasks, collection.unseen_tasks, collection.seed
    )
    runs = [
        TrainSAC(clones, collection.training, tuple(a.task for a in some), tuple(a.seed for a in some))
        for some in _stacks(collection)
    ]
    tasks = collection.seen_tasks + collection.unseen_tasks
    if not collection.is_sliced:
        return [
            HarvestTask(tuple(run for run in runs if task in run.tasks), collection.selection, task) for task in tasks
        ]
    return [
        HarvestTask((run,), collection.selection, task, agent.seed)
        for task in tasks
        for run in runs
        for agent in run.agents
        if agent.task == task
    ]


def _stacks(collection: MetaWorldCollection) -> Iterator[tuple[Agent, ...]]:
    """The agents that are trained together.

    Where runs know nothing of each other, those of one run: it is then the same whichever others are collected.
    """
    agents, size = collection.agents(), collection.training.agents_at_once
    for _, some in groupby(agents, key=lambda agent: agent.seed if collection.is_sliced else 0):
        together = tuple(some)
        yield from (together[start : start + size] for start in range(0, len(together), size))


def route_of(collection: MetaWorldCollection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from.

    Of runs that did not get there only their stages know; `write_stores` adds them.
    """
    whole, count = collection.model_copy(update={"runs": ()}), len(collection.all_runs)
    route = {"name": collection.route, "summary": summary(collection), "collection": whole.described()}
    if len(set(collection.runs)) in (0, count):
        return route
    return {**route, PART: {"runs": sorted(collection.runs), "of": count}}


def write_stores(collection: MetaWorldCollection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write NAME.policies.h5, NAME.trajectories.h5 and NAME.md from finished artifacts; each whole or not at all.

    The test policies of all tasks are stored too, as the sources of the test prompts: the expert ceiling needs them.

    Returns:
        The three files.

    Raises:
        UserError: No run of any task reached the acceptance.
    """
    make_folder(folder)
    stages, selection = stages_of(collection), collection.selection
    route = {**route_of(collection), **unsolved_route(_unsolved(stages, cache, selection.acceptance))}
    policies, trajectories = write_pair(
        stages, cache, folder, name, METAWORLD_LAYOUT, route, selection.weights, selection.score_goals
    )
    card = folder / f"{name}.md"
    write_atomically(card, data_card(name, collection, policies, trajectories).encode())
    return [policies, trajectories, card]


def _unsolved(
    stages: Sequence[HarvestTask], cache: ArtifactCache, acceptance: float
) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """The scores of the runs of which no policy is kept, by task and stored seed.

    Raises:
        UserError: There are no others.
    """
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}
    is_any = False
    for stage in stages:
        harvest = stage.load(cache.path_of(stage))
        kept = {policy.seed for policy in harvest.policies}
        is_any |= bool(kept)
        for seed, step, success, _ in harvest.scored.tolist():
            if seed not in kept:
                curves.setdefault((stage.task, int(seed)), []).append((int(step), success))
    if not is_any:
        (task, seed), curve = next(iter(curves.items()))
        best = max(success for _, success in curve)
        raise UserError(
            f"No checkpoint of any run reaches a success rate of {acceptance}.",
            where=f"{task}, run {seed}: at best {best:.2f}",
            fix="train longer (SACTraining.updates), or lower Selection.acceptance",
        )
    return curves

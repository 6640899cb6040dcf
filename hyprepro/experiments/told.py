"""What a result says of methods besides their numbers: what training took and recorded, and tasks that were refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import with_inputs
from hyprepro.errors import UserError
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.methods.base import Method

RECORDED = {"curve": "curve", "parameters": "parameter_counts"}
"""What a result keeps of a training's own records, and what the stage that has it calls it."""


def training_costs(
    method: str, rollouts: Sequence[Rollouts], cache: ArtifactCache, by_size: bool = False
) -> dict[str, Any]:
    """What the training of a method took: by zoo where there are several, or by number of training tasks.

    Args:
        method: Its name.
        rollouts: The evaluations of a recipe.
        cache: Where their stages are.
        by_size: Whether the recipe varies the number of training tasks.
    """
    own = [each for each in rollouts if each.method.name == method]
    if any(each.data.zoo for each in own):
        zoos = dict.fromkeys(each.data.zoo for each in own)
        seconds = {zoo: training_seconds(method, [e for e in own if e.data.zoo == zoo], cache) for zoo in zoos}
        return {"training_seconds_by_zoo": seconds}
    if not by_size:
        return {"training_seconds": training_seconds(method, own, cache)}
    sizes = dict.fromkeys(each.n_train for each in own)
    return {
        "training_seconds_by_n_train": {
            str(size or "any"): training_seconds(method, [e for e in own if e.n_train == size], cache) for size in sizes
        }
    }


def training_seconds(method: str, rollouts: Sequence[Rollouts], cache: ArtifactCache) -> float | None:
    """What the stages behind one seed of a method took, from the stores on; the median over seeds.

    Stages that it shares with other methods count in full. 0 for a method that is not trained, None where a stage is no
    longer in the cache. A stage that was resumed counts from its last checkpoint on.
    """
    trained = {stage.seed: stage.trained for stage in rollouts if stage.method.name == method}
    found = []
    for last in trained.values():
        behind = [] if last is None else with_inputs([last])
        if not all(cache.is_finished(stage) for stage in behind):
            return None
        found.append(sum(float(cache.manifest(stage)["seconds"]) for stage in behind))
    return round(median(found), 1) if found else None


def recorded(what: str, method: str, rollouts: Sequence[Rollouts], cache: ArtifactCache) -> Any:
    """What a method's training recorded of its first seed (`curve`, `parameter_counts`); None where it did not."""
    trained = next((stage.trained for stage in rollouts if stage.method.name == method), None)
    read = getattr(trained, what, None)
    if trained is None or read is None or not cache.is_finished(trained):
        return None
    return read(cache.path_of(trained))


def deployment_notes(method: str, rollouts: Sequence[Rollouts], cache: ArtifactCache) -> dict[str, Any]:
    """`{"notes": texts}` of a method whose deployments had something to say, each text once; empty for others."""
    own = [stage for stage in rollouts if stage.method.name == method]
    found = dict.fromkeys(note for stage in own for note in stage.notes(cache.path_of(stage)))
    return {"notes": list(found)} if found else {}


def refuse_without_rows(method: Method, data: Data, tasks: Sequence[str]) -> None:
    """Refuse a method that can be told none of a recipe's tasks (`UserError`)."""
    raise UserError(
        f"{method.name} can act in none of {', '.join(tasks)}: {method.refusal(data, tasks[0])}.",
        where=f"Recipe.methods, {type(method).__name__}",
        fix="leave it out of the recipe's methods, or add tasks that it is trained on",
    )


def refusals(tasks_of: Callable[[Data], Sequence[str]], rollouts: Sequence[Rollouts]) -> dict[str, dict[str, Any]]:
    """By method the `tasks` that it has no rows of on some data and `why`; none for a method that has all.

    Args:
        tasks_of: A recipe's tasks on some data.
        rollouts: Its evaluations.
    """
    found: dict[str, dict[str, Any]] = {}
    # The evaluations of one zoo and one training set share their data.
    for stage in {(stage.method.name, id(stage.data)): stage for stage in rollouts}.values():
        for task in tasks_of(stage.data):
            if why := stage.method.refusal(stage.data, task):
                refused = found.setdefault(stage.method.name, {"tasks": [], "why": why})
                refused["tasks"] += [] if task in refused["tasks"] else [task]
    return found


class LeftOut(NamedTuple):
    """Tasks that were asked for and that a method has no rows of, for one reason.

    Attributes:
        tasks: The tasks.
        method: The method's name.
        why: In words that follow it.
    """

    tasks: tuple[str, ...]
    method: str
    why: str

    @property
    def said(self) -> str:
        """In one sentence."""
        return f"Left out: {', '.join(self.tasks)}, where {self.method} cannot act: {self.why}."


def left_out(rollouts: Sequence[Rollouts], tasks: Sequence[str]) -> list[LeftOut]:
    """Which of some tasks the evaluations of a method lack, since it has no row of them.

    Args:
        rollouts: The evaluations of one method on one training set, one or more.
        tasks: What was asked for.
    """
    method, data = rollouts[0].method, rollouts[0].data
    acted = {stage.task for stage in rollouts}
    found: dict[str, list[str]] = {}
    for task in tasks:
        if task not in acted and (why := method.refusal(data, task)):
            found.setdefault(why, []).append(task)
    return [LeftOut(tuple(some), method.name, why) for why, some in found.items()]

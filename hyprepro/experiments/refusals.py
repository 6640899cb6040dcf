"""Which tasks of a recipe a method has no row of, since it cannot be told them, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hyprepro.domains.base import Data
from hyprepro.errors import UserError
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.methods.base import Method


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

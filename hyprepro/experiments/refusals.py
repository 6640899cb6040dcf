"""Which tasks of a recipe a method has no row of, since it cannot be told them, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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

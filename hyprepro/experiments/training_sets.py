"""Which tasks a recipe trains on: all of the stores, or sets of given sizes, or given ones; never a tested one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyprepro.errors import UserError, closest_match

if TYPE_CHECKING:
    from hyprepro.domains.base import Data

TrainingSet = tuple[str, ...] | None
"""The tasks that something is trained on; None: all of the stores."""


def training_sets(
    data: Data,
    train: Sequence[int],
    training: Sequence[str],
    withheld: Sequence[str],
    unseen: Sequence[str],
    tested: Sequence[str],
) -> tuple[TrainingSet, ...]:
    """The training sets of a recipe, one a table.

    Args:
        data: The stores, which must have policies of all that is trained on or tested.
        train: Numbers of training tasks; of none all of the stores are trained on.
        training: The training tasks themselves, in place of `train`.
        withheld: Tasks that nothing is trained on although the stores could.
        unseen: Tasks that the recipe tests as unseen ones.
        tested: Tasks that the domain tests by itself, or that are withheld to be tested; empty where the recipe names
            its tasks.

    Raises:
        UserError: A task that the domain or the stores do not have, a set with a tested task, one of fewer than two
            tasks, a number or a task that stands twice.
    """
    fixed = set(data.domain.tested)
    if fixed & set(withheld):
        raise UserError(
            f"{min(fixed & set(withheld))} is for testing and cannot be withheld: it is never trained on.",
            where="Recipe.withheld",
            fix="leave it out of this list; the test tasks are tested where nothing is withheld",
        )
    if training:
        sets = [tuple(sorted(training))]
    elif len(set(train)) < len(train):
        raise UserError(
            "train must be numbers of training tasks, each once.",
            where="Recipe.train",
            fix="-b Recipe.train=(35,), for instance",
        )
    else:
        subsets = [data.domain.training_subset(count) for count in train]
        sets = [tuple(task for task in each if task not in withheld) for each in subsets]
    for each in sets:
        _check(each, fixed | set(withheld) | set(unseen))
    _check_stores(data, sets, tested)
    return tuple(sets) or (None,)


def _check(trained: tuple[str, ...], tested: set[str]) -> None:
    """A training set, of at least two different tasks and none of the tested ones."""
    both = [task for task in trained if task in tested]
    if both:
        raise UserError(
            f"The training set contains {both[0]}, which is tested.",
            where="Recipe.training",
            fix="leave it out: what is tested must not be trained on",
        )
    if len(set(trained)) < max(2, len(trained)):
        raise UserError(
            "A training set needs at least two tasks, each once.",
            where="Recipe.training",
            fix="name two or more, for instance -b 'Recipe.training=(0.75, 1.5, 2.25)'",
        )


def _check_stores(data: Data, sets: Sequence[tuple[str, ...]], tested: Sequence[str]) -> None:
    """Every training task must have training policies; what is tested must be in the store."""
    with data.open_policies() as store:
        for task in dict.fromkeys((*tested, *(task for each in sets for task in each))):
            if task not in store.tasks or not (task in tested or store.count(task, "train")):
                raise UserError(
                    f"The policy store has no {'' if task in tested else 'training '}policies of {task}.",
                    where=f"{store.where}, {task}",
                    closest=closest_match(task, store.tasks),
                    fix=f"hyprepro store info {store.where} shows what it has",
                )

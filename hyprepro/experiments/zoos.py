"""Zoos: collections of trained policies that a table compares, each with its stores and what of them is trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hyprepro.component import Component, component, setting
from hyprepro.config.files import shipped
from hyprepro.domains.base import Data, Domain
from hyprepro.errors import UserError, closest_match
from hyprepro.reports.records import zoo_label
from hyprepro.stores.files import Runs


@component
class Zoo(Component):
    """A domain with its stores under a name, the kinds of its test prompts, and which of its policies are trained on.

    Its stages are those of a recipe that binds this domain and `Recipe.prompt_runs`.
    """

    slot: ClassVar[str] = "zoo"

    name: str = setting(..., "Its name in records and tables.", pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    domain: Domain = setting(..., "What the tasks are of, with the zoo's stores.")
    prompt_runs: tuple[Runs, ...] = setting(
        (),
        "Kinds of test prompts, a column each: training, unseen, as in Recipe.prompt_runs; none: that one, or the only "
        "kind that the stores have.",
    )
    without: tuple[str, ...] = setting((), "Tasks of the recipe that its stores do not have; its averages lack them.")
    runs: int | None = setting(None, "Train on the first so many training runs of each task; None: all of them.", ge=1)
    policies: int | None = setting(
        None, "On so many policies of each task, as many of each of these runs, its last ones; None: all.", ge=1
    )

    def data(self, withheld: Sequence[str], prompt_runs: Runs | None) -> tuple[Data, ...]:
        """The zoo's data, once for each kind of test prompts.

        Args:
            withheld: Tasks that nothing is trained on.
            prompt_runs: The kind of test prompts where the zoo names none.

        Raises:
            UserError: A store is missing (with the command that makes it) or unfit, has fewer runs or policies than
                are asked for, or the domain has no such task.
        """
        strange = next((task for task in self.without if not self.domain.has(task)), None)
        if strange is not None:
            raise UserError(
                f"The zoo {self.name} is to go without {strange!r}, which is no task of {self.domain.title}.",
                where="Zoo.without",
                fix="leave it out",
            )
        self._check_there()
        try:
            known = self._part(self.domain.data(withheld))
        except UserError as error:
            raise self.named(error) from None
        kinds = self.prompt_runs or (prompt_runs,)
        return tuple(replace(known, prompt_runs=kind, zoo=zoo_label(self.name, kind)) for kind in kinds)

    def _part(self, data: Data) -> Data:
        """With only some runs and policies of each task trained on; test prompts of unseen runs stay."""
        from hyprepro.stores.runs import kept_rows

        if self.runs is None and self.policies is None:
            return data
        with data.open_policies() as store:
            kept = tuple(kept_rows(store, self.runs, self.policies).items())
            if all(len(rows) == store.count(task, "train") for task, rows in kept):
                return data
        policies, trajectories = (replace(file, kept=kept) for file in (data.policies, data.trajectories))
        return replace(data, policies=policies, trajectories=trajectories)

    def named(self, error: UserError) -> UserError:
        """An error of the zoo's stores that says whose they are."""
        where = f"the zoo {self.name}: {error.where}"
        return UserError(error.what, where=where, closest=error.closest, fix=error.fix)

    def _check_there(self) -> None:
        """Both stores exist (`UserError` with the command that collects them)."""
        for field in ("policies_path", "trajectories_path"):
            try:
                getattr(self.domain, field)
            except UserError as error:
                name, told = field.removesuffix("_path"), self.named(error)
                collection = Path(str(getattr(self.domain, name))).name.partition(".")[0]
                if collection not in shipped("collections"):
                    raise told from None
                fix = f"hyprepro collect {collection} makes it; or bind {self.domain.kind}.{name} to another store"
                raise UserError(told.what, where=told.where, closest=told.closest, fix=fix) from None


def check_zoos(zoos: Sequence[Zoo], domain: Domain, can_tell: bool, report: str) -> None:
    """Refuse zoos that one table cannot hold.

    Args:
        zoos: The zoos.
        domain: The recipe's domain.
        can_tell: Whether the recipe's report tells zoos apart.
        report: Its name.

    Raises:
        UserError: Two of one name, or a kind of prompts that stands twice; one of another domain; a report that shows
            one zoo alone.
    """
    names = [zoo.name for zoo in zoos]
    for zoo in zoos:
        if names.count(zoo.name) > 1:
            raise UserError(
                f"Two zoos are named {zoo.name}; their records could not be told apart.",
                where="Recipe.zoos, Zoo.name",
                fix="give each a name of its own: Zoo.name",
            )
        if len(set(zoo.prompt_runs)) < len(zoo.prompt_runs):
            raise UserError(
                f"A kind of test prompts stands twice in the zoo {zoo.name}.",
                where="Zoo.prompt_runs",
                fix="name each once: ('training', 'unseen')",
            )
        if type(zoo.domain) is not type(domain):
            raise UserError(
                f"The zoo {zoo.name} is of {zoo.domain.title}, and the recipe of {domain.title}.",
                where="Zoo.domain, Recipe.domain",
                fix="compare zoos of one domain",
            )
    if not can_tell:
        raise UserError(
            f"{report} shows one zoo, and the recipe has {', '.join(names)}.",
            where="Recipe.report, Recipe.zoos",
            fix="-b 'Recipe.report=@ZooTable()', or bind the stores of one zoo in place of Recipe.zoos",
        )


def check_taught(data: Data, seen: Collection[str]) -> None:
    """Refuse a zoo that lacks a task.

    Args:
        data: The zoo's.
        seen: The tasks that are to be trained on.

    Raises:
        UserError: The stores have no training policies of one of them.
    """
    name = data.zoo.partition("/")[0]
    with data.open_policies() as policies:
        for task in seen:
            if task not in policies.tasks or not policies.count(task, "train"):
                raise UserError(
                    f"The zoo {name} has no training policies of {task}.",
                    where=f"Recipe.seen, Recipe.below, {policies.where}",
                    closest=closest_match(task, policies.tasks),
                    fix=f"-b \"{name}/Zoo.without=('{task}',)\" leaves the task out of this zoo's averages; "
                    f"hyprepro store info {policies.path} shows what it has",
                )

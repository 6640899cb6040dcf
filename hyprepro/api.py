"""For notebooks and programs: load a trained generator, let it write policies, run them, hand them on.

    generator = hyprepro.load("table1")                     trained by `hyprepro run table1`
    policies = generator.generate(demonstration, task="reach")
    policies.evaluate(starts=10).mean

`import hyprepro` offers these names. Everything is what `hyprepro run` and `hyprepro generate` use: the same recipes,
bindings, cache and numbers. Mistakes raise `UserError`: what, where, the closest match, what to do.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.domains.base import Domain, Query
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import process_restored, settle_torch
from hyprepro.engine.schedule import execute
from hyprepro.engine.stage import explain_os_error
from hyprepro.errors import UserError, refuse_unknown
from hyprepro.experiments.choice import Choice, choose, open_cache
from hyprepro.experiments.generated import Evaluation, Policies, as_policies
from hyprepro.experiments.recipe import Recipe
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.stores.demonstrations import Demonstration, prompts_of
from hyprepro.stores.exchange.foreign import refuse_existing
from hyprepro.stores.info import open_any as open_store

__all__ = ["Demonstration", "Evaluation", "Generator", "Policies", "UserError", "load", "open_store"]

_ROOM = 40_000
"""Bytes of a store's origin that changed values may take; an attribute holds 60,000."""


def load(
    recipe: str,
    *,
    method: str = "gen-hyprl",
    seed: int = 0,
    scale: str | None = None,
    variant: str | None = None,
    bindings: Sequence[str] = (),
    gin: Sequence[str | Path] = (),
    cache: str | Path | None = None,
    train: bool = False,
) -> Generator:
    """A trained generator, from the cache of a finished run or a folder that `Generator.save` wrote.

    Args:
        recipe: A shipped recipe ("table1", "table4") or a gin file.
        method: A row of its table.
        seed: The generator seed.
        scale: smoke, desktop, paper, or a gin file; None: desktop, where a recipe of your own says nothing.
        variant: ours, paper, released, or a gin file; None: as in the recipe.
        bindings: gin bindings, such as "HypFormer.candidates=16". With others something else was trained.
        gin: Gin files, applied after the scale.
        cache: The cache, or the saved folder; None: the variable HYPREPRO_CACHE, else `.hyprepro`.
        train: Train it, in this process, where it is not there; it is then kept.

    Raises:
        UserError: A mistake in a name or a binding, or it is not trained yet, with the command that trains it.
    """
    texts = [bindings] if isinstance(bindings, str) else list(bindings)
    choice = choose(recipe, scale, variant, None, texts, [Path(file) for file in gin])
    stage = evaluations(choice, method, seed)[0]
    folder = cache or os.environ.get("HYPREPRO_CACHE")
    store = open_cache(Path(folder) if folder else None)
    trained = stage.trained
    if trained is not None and not store.is_finished(trained):
        if not train:
            raise UserError(
                f"{method}, seed {seed}, is not trained here with these settings and this version.",
                where=str(store.root.absolute()),
                fix=f"{choice.command} --cache {shlex.quote(str(store.root))}   trains all rows; "
                "load(..., train=True) this one",
            )
        execute([trained], store, workers=0)
    return Generator(choice, stage, store)


def evaluations(choice: Choice, method: str, seed: int, tasks: Sequence[str] = ()) -> list[Rollouts]:
    """The evaluations of a recipe's row, task by task: of one seed, some tasks (none: all), the first training set.

    Raises:
        UserError: No recipe of tables, no such row, task or seed, or a row that can act in none of the tasks.
    """
    recipe = recipe_of_rows(choice)
    one_of("method", method, [each.name for each in recipe.methods])
    for task in tasks:
        one_of("task", task, recipe.all_tasks)
    rows = [stage for stage in recipe.targets(recipe.data()) if stage.method.name == method]
    found = [stage for stage in rows if stage.seed == seed and stage.n_train == rows[0].n_train]
    if not found:
        raise UserError(
            f"{method} has no generator seed {seed} in this recipe.",
            where=f"seed {seed}",
            fix="Seeds count from 0; a method that is not trained by seed has only seed 0.",
        )
    scored = [stage for stage in found if stage.protocol in recipe.protocols]
    wanted = [stage for stage in scored if stage.task in (tasks or recipe.all_tasks)]
    if not wanted:
        why = found[0].method.refusal(found[0].data, tasks[0])
        raise UserError(
            f"{method} cannot act in {', '.join(tasks)}" + (f": {why}." if why else "."),
            where=f"task {tasks[0]}",
            fix=f"Name a task that it has: {', '.join(dict.fromkeys(stage.task for stage in scored))}",
        )
    return wanted


def recipe_of_rows(choice: Choice) -> Recipe:
    """The recipe if its rows are methods (`UserError` if not)."""
    recipe = choice.recipe
    if not isinstance(recipe, Recipe):
        raise UserError(
            f"{recipe.name} is not a recipe whose methods write policies.",
            where=recipe.name,
            fix="for instance: table1",
        )
    return recipe


def one_of(what: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that the recipe does not have (`UserError`), with the closest one."""
    refuse_unknown(name, known, f"The recipe has no {what} {name!r}.", f"{what} {name}")


@dataclass(frozen=True, repr=False)
class Generator:
    """A trained method of a recipe.

    Attributes:
        choice: The recipe as it was asked for.
        stage: One of its evaluations: the method with its seed and its stores.
        cache: Where the trained parts are.
    """

    choice: Choice
    stage: Rollouts
    cache: ArtifactCache
    trained: Any = field(init=False)

    def __post_init__(self) -> None:
        stage = self.stage.trained
        loaded = None if stage is None else stage.load(self.cache.path_of(stage))
        object.__setattr__(self, "trained", loaded)

    def __repr__(self) -> str:
        return f"<{self.stage.method.name}, seed {self.stage.seed}, of: {self.choice.command}>"

    @property
    def domain(self) -> Domain:
        """What its policies are for."""
        return self.stage.data.domain

    def generate(self, condition: object, *, task: str = "", n: int | None = None) -> Policies:
        """Policies for demonstrations of one's own, or, where the domain tells tasks by numbers, for such a number.

        Args:
            condition: One or several of: `Demonstration(observations, actions, success)`, a mapping with these arrays,
                an `.npz` file of them, an episode or a dataset of Minari, an episode or prompts of a trajectory store
                (or its path). Or a number: a target velocity.
            task: Which task a demonstration is of. Only running the policies asks for it.
            n: Policies for each demonstration (1), or for the number (as many as the method's settings say).

        Raises:
            UserError: The domain is told its tasks otherwise, a number outside its range, or a demonstration that is no
                prompt: wrong sizes, too short, without success, not finite.
        """
        return self.answer(asked(self.stage, condition, task, n))

    def answer(self, query: Query) -> Policies:
        """The policies for what `asked` made of a condition."""
        stage = self.stage
        with process_restored():
            settle_torch()
            made = stage.method.deploy(self.trained, stage.data, query, stage.seed)
        controllers = as_policies(made, stage.method.name)
        return Policies(self.domain, query.task, controllers, stage.seed, origin(self.choice, stage))

    def save(self, folder: str | Path) -> None:
        """Copy the trained parts into a folder; `load(..., cache=folder)` with the same settings finds them there.

        Raises:
            UserError: Nothing is trained, or the folder cannot be written; nothing half-written is then left.
        """
        stage, target = self.stage.trained, ArtifactCache(folder)
        if stage is None:
            raise UserError(
                f"{self.stage.method.name} trains nothing that could be saved.",
                where=str(folder),
                fix="load it from its recipe alone",
            )
        if target.is_finished(stage):
            return
        path, work = target.path_of(stage), target.work_of(stage)
        refuse_existing(path, work)
        try:
            shutil.copytree(self.cache.path_of(stage), work)
            os.replace(work, path)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(work, ignore_errors=True)
            raise explain_os_error(error, Path(folder)) or error from error


def asked(stage: Rollouts, condition: object, task: str = "", n: int | None = None) -> Query:
    """What a method is asked with a condition of the user's; arguments and errors as for `Generator.generate`."""
    if n is not None and n < 1:
        raise UserError(f"{n} policies are asked for.", where=f"n={n}", fix="ask for 1 or more")
    domain = stage.data.domain
    if domain.condition == "parameter":
        if task:
            raise UserError(
                f"A {domain.told} is a task of its own; it has no other name.",
                where=f"task={task}",
                fix="leave the task out",
            )
        name = domain.task_at(_numbers(domain, condition))
        return Query(name, domain.parameter(name), None, n or 0)
    if isinstance(condition, int | float | np.number):
        raise UserError(
            f"{domain.title} is shown a demonstration, and told no number.",
            where=f"{condition}",
            fix="give an episode: hyprepro.Demonstration(observations, actions, success), or --prompt FILE",
        )
    if task:
        domain.simulator(task, 1)  # a task that cannot be run is refused before any work
    prompts = prompts_of(condition, task)
    if n:
        prompts = prompts.subset(np.repeat(np.arange(len(prompts)), n))
    return Query(prompts.task, (), prompts, len(prompts))


def _numbers(domain: Domain, condition: Any) -> tuple[float, ...]:
    """Numbers in the ranges of a domain (`UserError` for others, or none)."""
    given = condition.tolist() if isinstance(condition, np.ndarray | np.number) else condition
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if len(values) != len(domain.ranges) or not are_numbers:
        raise UserError(
            f"{domain.title} is told its {domain.told}, and shown no demonstration.",
            fix=f"give the {domain.told}, such as {', '.join(f'{high:g}' for _, high in domain.ranges)}",
        )
    for number, (low, high) in zip(values, domain.ranges, strict=True):
        if not low <= number <= high:
            raise UserError(
                f"A {domain.told} of {number:g} lies outside {low:g} to {high:g}.",
                closest="" if math.isnan(number) else f"{low if number < low else high:g}",
                fix=f"choose a number from {low:g} to {high:g}",
            )
    return tuple(map(float, values))


def origin(choice: Choice, stage: Rollouts) -> dict[str, object]:
    """What policies were made from, for a store: the recipe with all that differs from the shipped one, the data."""
    recipe = choice.recipe
    return {
        "recipe": recipe.name,
        "scale": recipe.scale,
        "variant": recipe.variant,
        "fingerprint": recipe.fingerprint(),
        "shipped": choice.departure.shipped,
        "changed": choice.departure.lines(_ROOM),
        "stores": {"policies": stage.data.policies.digest, "trajectories": stage.data.trajectories.digest},
        "method": stage.method.name,
        "seed": stage.seed,
    }

"""What a recipe is: some work on a domain's stores, and numbers and a report computed from what the work recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, runtime_checkable
from typing import Protocol as StructuralType

from hyprepro.component import Component, component, setting
from hyprepro.domains.base import SUCCESS, Data, Domain
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage
from hyprepro.errors import UserError, refuse_unknown
from hyprepro.experiments.oracle import Choice
from hyprepro.experiments.protocols import Protocol, ValidationProtocol
from hyprepro.experiments.results import Outcome
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.experiments.told import (
    RECORDED,
    deployment_notes,
    recorded,
    refusals,
    refuse_without_rows,
    training_costs,
)
from hyprepro.experiments.training_sets import TrainingSet, training_sets
from hyprepro.experiments.zoos import Zoo, check_taught, check_zoos
from hyprepro.methods.base import Method
from hyprepro.reports.records import with_variant, write_records
from hyprepro.reports.report import Report
from hyprepro.reports.summary import BASELINE, MAIN, summarise
from hyprepro.reports.table1 import TaskTable
from hyprepro.stores.files import Runs


class Experiment(Component, ABC):
    """A recipe: what `hyprepro run` runs. A recipe file binds one of the components of this slot."""

    slot: ClassVar[str] = "recipe"

    name: str = setting(..., "Short name; the first folder under results/.", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = setting(..., "The headline.")
    scale: str = setting("desktop", "Name of the scale; part of the results folder.", pattern=r"^[A-Za-z0-9_-]+$")
    variant: str = setting(
        "ours", "How disputed points are settled: paper, released or ours.", pattern=r"^[A-Za-z0-9_-]+$"
    )
    domain: Domain = setting(..., "What the tasks are of, with its stores.")
    withheld: tuple[str | float, ...] = setting(
        (),
        "Tasks that nothing is trained on although the stores could, by name or number: to choose settings by.",
    )
    report: Report = setting(..., "What is written from the numbers: a kind of table or figure.")
    seeds: int = setting(3, "Generator seeds: 0 to this, exclusive.", ge=1, le=1000)
    prompts_per_task: int = setting(
        100, "Prompts, and so policies, for each task where tasks are told by prompts.", source="paper", ge=1, le=10_000
    )
    prompt_runs: Runs | None = setting(
        None,
        "Test prompts from runs that training policies come from too (training, as Make-An-Agent's are), or from runs "
        "that nothing is trained on (unseen); None: the only kind that the stores have.",
    )

    def data(self) -> Data:
        """The stores, with the withheld tasks left out of training, and which prompts are shown.

        Raises:
            UserError: A store is missing or unfit, or has no such task.
        """
        return replace(self.domain.data(self.named("withheld")), prompt_runs=self.prompt_runs)

    def sources(self) -> tuple[Data, ...]:
        """The data that the stages of the result are made from: one, or one a zoo and kind of test prompts."""
        return (self.data(),)

    def named(self, field: str) -> tuple[str, ...]:
        """The names of the tasks that a field gives by name or number (`UserError` for those that are none)."""
        try:
            return tuple(self.domain.named(task) for task in getattr(self, field))
        except UserError as error:
            where = f"{type(self).__name__}.{field}"
            raise UserError(error.what, where=where, closest=error.closest, fix=error.fix) from None

    @abstractmethod
    def targets(self, data: Data) -> tuple[Stage, ...]:
        """The stages that the result is computed from. Computes nothing.

        Raises:
            UserError: The recipe asks for what the stores do not have.
        """

    @abstractmethod
    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """Records and numbers from the finished targets."""


def check_unique(place: str, names: Sequence[str]) -> None:
    """Refuse what stands twice (`UserError`): its records could not be told apart.

    Args:
        place: The fields, for messages; the last word says what stands there.
        names: The names.
    """
    what = next((each for each in ("methods", "protocols") if place.endswith(each)), "tasks")
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"{name} stands twice among the recipe's {what}; its records could not be told apart.",
                where=place,
                fix="name each once; to compare settings of one method, give each of its rows a name by its field row",
            )


def check_tasks(place: str, tasks: Sequence[str]) -> None:
    """Refuse a recipe without tasks (`UserError`).

    Args:
        place: The fields that name the tasks, for messages; the first of them is offered.
        tasks: The tasks.
    """
    if not tasks:
        field = place.split(",")[0]
        raise UserError("The recipe has no tasks.", where=place, fix=f"-b \"{field}=('door-open',)\"")


def check_prompts(recipe: Experiment, tasks: Sequence[str], split: str, data: Data, place: str) -> None:
    """Refuse a task of which the store has too few prompts.

    Args:
        recipe: Says how many prompts a task are asked for.
        tasks: The recipe's tasks.
        split: Which prompts: test or validation.
        data: The stores.
        place: The fields that name the tasks, for messages.

    Raises:
        UserError: A domain without prompts, an unknown task, or one with too few prompts, or none from such runs.
    """
    from hyprepro.stores.runs import prompt_ids

    kind, zoo = type(recipe).__name__, data.zoo.partition("/")[0]
    if recipe.domain.condition != "prompt":
        raise UserError(
            f"Tasks of {recipe.domain.title} are told by a {recipe.domain.told}, and {kind} needs prompts.",
            where=f"{kind}.domain",
            fix="bind a domain whose tasks are told by prompts",
        )
    with data.open_policies() as policies, data.open_trajectories() as store:
        for task in tasks:
            what = f"The trajectory store has no prompts of the task {task!r}."
            fix = f"-b \"{zoo}/Zoo.without=('{task}',)\", or " if zoo else ""
            fix += f"hyprepro store info {data.trajectories.path}"
            refuse_unknown(task, store.tasks, what, f"{place}, {data.trajectories.path}", fix)
            count = len(prompt_ids(policies, store, task, split, data.prompt_runs, zoo))
            if count < recipe.prompts_per_task:
                raise UserError(
                    f"The store has {count} {split} prompts of {task}, and {recipe.prompts_per_task} are asked for.",
                    where=f"{kind}.prompts_per_task, {data.trajectories.path}" + (f", {data.zoo}" if zoo else ""),
                    fix=f"-b {kind}.prompts_per_task={count}"
                    if count
                    else f"hyprepro store info {data.trajectories.path}",
                )


@component
class Recipe(Experiment):
    """A table or figure of the paper: methods x training sets x tasks x protocols of one domain, at a scale.

    Paper says, of Cheetah-Vel: 35 training velocities, and 10, 20 and 25 random ones of them; the test set stays. We
    chose: evenly spread ones instead of random ones (`Domain.training_subset`); `training` gives any others.
    """

    zoos: tuple[Zoo, ...] = setting(
        (), "Zoos that the table compares, each with stores of its own, in place of those of `domain`."
    )
    seen: tuple[str, ...] = setting((), "Tasks with training policies, in the order of the table; they are averaged.")
    below: tuple[str, ...] = setting((), "Further seen tasks, listed below the table and not part of the average.")
    unseen: tuple[str, ...] = setting((), "Tasks without training policies; averaged by themselves.")
    sweep: bool = setting(
        False, "Where none of these are named and the domain tests its own: evaluate at all its others as well."
    )
    train: tuple[int, ...] = setting(
        (), "Numbers of training tasks, one table each; none: all of the stores.", source="paper, Table 4"
    )
    training: tuple[str | float, ...] = setting(
        (), "The training tasks themselves, by name or by their number, in place of `train`."
    )
    methods: tuple[Method, ...] = setting(..., "The rows of the table.", min_length=1)
    protocols: tuple[Protocol, ...] = setting(..., "How policies are scored.", min_length=1)
    selection: ValidationProtocol | None = setting(
        None, "Goals on which top-k policies are picked for the strict protocol; None: no top-k under it."
    )
    selected: tuple[str, ...] = setting(
        (MAIN, BASELINE), "Rows whose top-k is picked on the goals of `selection`.", source="paper, Table 2"
    )
    one_seed: tuple[str, ...] = setting(
        (), "Rows that are trained with the first generator seed alone, because of what a seed of theirs costs."
    )
    reference: str = setting("gen-hyprl", "The row that all others are compared with.")
    pairs: tuple[tuple[str, str], ...] = setting((), "Further pairs of rows: the first minus the second.")
    oracles: tuple[Choice, ...] = setting(
        (), "Further rows that run nothing: of others the best for each prompt, or the best of a training's looks."
    )
    report: Report = setting(TaskTable(), "What is written from the numbers: a kind of table or figure.")
    prompt_split: Literal["test", "validation"] = setting(
        "test", "Which prompts: test, or validation to choose settings by."
    )

    @property
    def named_tasks(self) -> tuple[str, ...]:
        """The seen tasks, those below the table, the unseen ones; none where the domain tests its own."""
        return self.seen + self.below + self.unseen

    @property
    def tested(self) -> tuple[str, ...]:
        """The tasks that the table is about: those named, the withheld ones, or the domain's test tasks."""
        return self.named_tasks or tuple(sorted(self.named("withheld"))) or self.domain.tested

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """All tasks that are evaluated."""
        swept = self.domain.sweep if self.sweep and not self.named_tasks else ()
        return swept or self.tested

    def split_of(self, task: str, trained: TrainingSet = None) -> str:
        """Which tasks it is one of: seen, unseen, test or validation.

        Args:
            task: One of `all_tasks`.
            trained: The tasks that are trained on; None: all.
        """
        if self.named_tasks:
            return "unseen" if task in self.unseen else "seen"
        if task in self.tested:
            return "validation" if self.withheld else "test"
        return "seen" if trained is None or task in trained else "unseen"

    def sources(self) -> tuple[Data, ...]:
        """The data of each zoo with each kind of test prompts; without zoos those of the domain.

        Raises:
            UserError: A store is missing or unfit, or the zoos cannot be told apart.
        """
        if not self.zoos:
            return super().sources()
        check_zoos(self.zoos, self.domain, self.report.tells_zoos, type(self.report).__name__)
        withheld = self.named("withheld")
        return tuple(data for zoo in self.zoos for data in zoo.data(withheld, self.prompt_runs))

    def tasks_of(self, data: Data) -> tuple[str, ...]:
        """The tasks that are evaluated on a zoo, or on the stores of the domain.

        Of unseen tasks no run is trained on: with prompts of training runs they are left out.
        """
        name = data.zoo.partition("/")[0]
        without = next((zoo.without for zoo in self.zoos if zoo.name == name), ())
        without += self.unseen if name and data.prompt_runs == "training" else ()
        return tuple(task for task in self.all_tasks if task not in without)

    def targets(self, data: Data) -> tuple[Rollouts, ...]:
        """The evaluations on the domain's stores, or on a zoo, in the order of the table.

        Raises:
            UserError: The stores lack a task or prompts, a task or method stands twice, a tested task is trained on, or
                a method or protocol does not fit the domain.
        """
        self._check(data)
        training, withheld = self.named("training"), self.named("withheld")
        tested = () if self.named_tasks else self.tested
        chosen = training_sets(data, self.train, training, withheld, self.unseen, tested)
        sets = {each: data if each is None else data.trained_on(each) for each in chosen}
        for method in self.methods:
            method.require(data)
        found = []
        for method in self.methods:
            rollouts = [*_rollouts(self, method, sets if method.learns else {None: data})]
            if not rollouts:
                refuse_without_rows(method, data, self.tasks_of(data))
            found += rollouts
        return tuple(found)

    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """All rollouts and what is computed from them."""
        rollouts = [stage for stage in targets if isinstance(stage, Rollouts)]
        loaded = ((stage.data.zoo, stage.load(cache.path_of(stage))) for stage in rollouts)
        records = with_variant((each._replace(zoo=zoo) for zoo, found in loaded for each in found), self.variant)
        records += [record for oracle in self.oracles for record in oracle.records(records)]
        refused = refusals(self.tasks_of, rollouts)
        summary = summarise(
            records,
            recipe=self.name,
            tasks=self.named_tasks,
            below=self.below,
            reference=self.reference,
            pairs=self.pairs,
            refused={name: each["tasks"] for name, each in refused.items()},
        )

        def told(name: str) -> dict[str, Any]:
            found = {key: recorded(what, name, rollouts, cache) for key, what in RECORDED.items()}
            return {**found, "refused": refused.get(name)}

        methods = {
            method.name: {
                "knows": method.information(self.domain),
                **training_costs(method.name, rollouts, cache, by_size=bool(self.train or self.training)),
                **({"uses": method.uses} if isinstance(method, _Terse) else {}),
                **deployment_notes(method.name, rollouts, cache),
                **{name: value for name, value in told(method.name).items() if value is not None},
            }
            for method in self.methods
        }
        methods |= {choice.name: {"knows": choice.knows} for choice in self.oracles if choice.knows}
        return Outcome(records, write_records, summary.rows, summary.comparisons, methods, summary.profiles)

    def _check(self, data: Data) -> None:
        domain, names = self.domain, [method.name for method in self.methods]
        for oracle in self.oracles:
            oracle.check_rows(self.methods, self.protocols)
        names += [oracle.name for oracle in self.oracles]
        check_unique("Recipe.methods", names)
        for name in (name for pair in self.pairs for name in pair):
            what = f"Recipe.pairs compares {name!r}, and the recipe has no such row."
            refuse_unknown(name, names, what, "Recipe.pairs", f"its rows are {'; '.join(names)}")
        check_unique("Recipe.protocols", [protocol.label for protocol in self.protocols])
        check_unique("Recipe.seen, Recipe.below and Recipe.unseen", self.named_tasks)
        check_tasks("Recipe.seen, .below or .unseen", self.tested)
        if self.below and not self.seen:
            raise UserError(
                f"Recipe.below has {', '.join(self.below)}, to be listed below a table of seen tasks that has none.",
                where="Recipe.seen, Recipe.below",
                fix=f"-b \"Recipe.seen=('{self.below[0]}',)\", or leave out both: -b 'Recipe.below=()'",
            )
        for protocol in (*self.protocols, *([self.selection] if self.selection else [])):
            needs_success = protocol is self.selection or protocol.whole
            if protocol.starts_of not in domain.kinds or (needs_success and domain.metric != SUCCESS):
                raise UserError(
                    f"{type(protocol).__name__} does not fit {domain.title}, which is scored by {domain.metric.name} "
                    f"from starts of the kind {', '.join(sorted(domain.kinds))}.",
                    where="Recipe.selection" if protocol is self.selection else "Recipe.protocols",
                    fix="bind another one: hyprepro list shows the protocols",
                )
        tasks = self.tasks_of(data)
        check_tasks(
            f"{data.zoo.partition('/')[0]}/Zoo.without" if data.zoo else "Recipe.seen, .below or .unseen", tasks
        )
        if domain.condition == "prompt":
            check_prompts(self, tasks, self.prompt_split, data, "Recipe.seen, .below or .unseen")
        if data.zoo:
            check_taught(data, [task for task in tasks if self.named_tasks and task not in self.unseen])


@runtime_checkable
class _Terse(StructuralType):
    """A method that says in a few words what it may use."""

    @property
    def uses(self) -> str:
        """For a column of a table."""


def _rollouts(recipe: Recipe, method: Method, sets: Mapping[TrainingSet, Data]) -> Iterator[Rollouts]:
    """The evaluations of one method, protocol by protocol, and last the one that top-k is picked by."""
    protocols = recipe.protocols
    if recipe.selection and method.name in recipe.selected:
        protocols = (*protocols, recipe.selection)
    has_seeds = method.seeded and method.name not in recipe.one_seed
    for trained, known in sets.items():
        for seed in range(recipe.seeds if has_seeds else 1):
            first = Rollouts.of(
                method,
                known,
                task="",
                split="",
                protocol=protocols[0],
                seed=seed,
                prompts=recipe.prompts_per_task,
                prompt_split=recipe.prompt_split,
                n_train=len(trained) if trained else None,
            )
            for task in recipe.tasks_of(known):
                if method.refusal(known, task):
                    continue
                split = recipe.split_of(task, trained)
                for protocol in protocols:
                    yield replace(first, task=task, split=split, protocol=protocol)

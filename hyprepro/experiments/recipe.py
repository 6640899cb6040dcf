"""What every recipe is: some work on the stores, and numbers and a report computed from what the work recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, ClassVar, Literal, runtime_checkable
from typing import Protocol as StructuralType

from hyprepro.component import Component, component, setting
from hyprepro.domains.base import Data
from hyprepro.domains.metaworld.domain import DataSource
from hyprepro.domains.metaworld.steppers import StepperName
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import with_inputs
from hyprepro.engine.stage import Stage
from hyprepro.errors import UserError, closest_match
from hyprepro.experiments.protocols import Protocol, ValidationProtocol
from hyprepro.experiments.results import Outcome
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.methods.base import Method
from hyprepro.reports.records import with_variant, write_records
from hyprepro.reports.report import Report
from hyprepro.reports.summary import BASELINE, MAIN, summarise
from hyprepro.reports.table1 import TaskTable


class Experiment(Component, ABC):
    """A recipe: what `hyprepro run` runs. A recipe file binds one of the components of this slot."""

    slot: ClassVar[str] = "recipe"

    name: str = setting(..., "Short name; the first folder under results/.", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = setting(..., "The headline.")
    scale: str = setting("desktop", "Name of the scale; part of the results folder.", pattern=r"^[A-Za-z0-9_-]+$")
    variant: str = setting(
        "ours", "How disputed points are settled: paper, released or ours.", pattern=r"^[A-Za-z0-9_-]+$"
    )
    data: DataSource = setting(..., "The stores.")
    report: Report = setting(..., "What is written from the numbers: a kind of table or figure.")
    seeds: int = setting(3, "Generator seeds: 0 to this, exclusive.", ge=1, le=1000)

    @abstractmethod
    def targets(self, files: Data) -> tuple[Stage, ...]:
        """The stages that the result is computed from. Computes nothing.

        Raises:
            UserError: The recipe asks for what the stores do not have.
        """

    @abstractmethod
    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """Records and numbers from the finished targets."""


class PromptExperiment(Experiment):
    """A recipe on tasks, whose policies answer prompts."""

    prompts_per_task: int = setting(100, "Prompts, and so policies, for each task.", source="paper", ge=1, le=10_000)


def check_unique(place: str, names: Sequence[str]) -> None:
    """Refuse a method or task that stands twice (`UserError`): its records could not be told apart."""
    for name in names:
        if names.count(name) > 1:
            what = "methods" if place.endswith("methods") else "tasks"
            raise UserError(
                f"{name} stands twice among the recipe's {what}; its records could not be told apart.",
                where=place,
                fix="name each once; to compare settings of one method, give each of its rows a name by its field row",
            )


def check_prompts(recipe: PromptExperiment, tasks: Sequence[str], split: str, files: Data, place: str) -> None:
    """Refuse a task of which the store has too few prompts.

    Args:
        recipe: Says how many prompts a task are asked for.
        tasks: The recipe's tasks.
        split: Which prompts: test or validation.
        files: The stores.
        place: The fields that name the tasks, for messages.

    Raises:
        UserError: No tasks, an unknown one, or one with too few prompts.
    """
    kind = type(recipe).__name__
    if not tasks:
        field = place.split(",")[0]
        raise UserError("The recipe has no tasks.", where=place, fix=f"-b \"{field}=('door-open',)\"")
    with files.open_trajectories() as store:
        for task in tasks:
            if task not in store.tasks:
                raise UserError(
                    f"The trajectory store has no prompts of the task {task!r}.",
                    where=f"{place}, {files.trajectories.path}",
                    closest=closest_match(task, store.tasks),
                    fix=f"hyprepro store info {files.trajectories.path}",
                )
            count = store.count(task, split)
            if count < recipe.prompts_per_task:
                raise UserError(
                    f"The store has {count} {split} prompts of {task}, and {recipe.prompts_per_task} are asked for.",
                    where=f"{kind}.prompts_per_task, {files.trajectories.path}",
                    fix=f"-b {kind}.prompts_per_task={count}"
                    if count
                    else f"hyprepro store info {files.trajectories.path}",
                )


@component
class Recipe(PromptExperiment):
    """A table or figure of the paper: methods x tasks x protocols, on stores, at a scale."""

    seen: tuple[str, ...] = setting((), "Tasks with training policies, in the order of the table; they are averaged.")
    below: tuple[str, ...] = setting((), "Further seen tasks, listed below the table and not part of the average.")
    unseen: tuple[str, ...] = setting((), "Tasks without training policies; averaged by themselves.")
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
    report: Report = setting(TaskTable(), "What is written from the numbers: a kind of table or figure.")
    prompt_split: Literal["test", "validation"] = setting(
        "test", "Which prompts: test, or validation to choose settings by."
    )
    stepper: StepperName = setting(
        "fast", "What steps the evaluations' environments: fast, or metaworld's own env.step; the numbers are the same."
    )

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """The seen tasks, those below the table, the unseen ones."""
        return self.seen + self.below + self.unseen

    def split_of(self, task: str) -> str:
        """Which tasks it is one of: seen or unseen."""
        return "unseen" if task in self.unseen else "seen"

    def targets(self, files: Data) -> tuple[Rollouts, ...]:
        """The evaluations in the order of the table.

        Raises:
            UserError: The store lacks a task or prompts, a task or method stands twice, or a method cannot serve here.
        """
        check_unique("Recipe.methods", [method.name for method in self.methods])
        check_unique("Recipe.seen, Recipe.below and Recipe.unseen", self.all_tasks)
        for method in self.methods:
            method.require(files)
        place = "Recipe.seen, .below or .unseen"
        check_prompts(self, self.all_tasks, self.prompt_split, files, place)
        return tuple(stage for method in self.methods for stage in _rollouts(self, files, method))

    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """All rollouts and what is computed from them."""
        found = [record for stage in targets for record in stage.load(cache.path_of(stage))]
        records = with_variant(found, self.variant)
        summary = summarise(
            records,
            recipe=self.name,
            seen=self.seen,
            below=self.below,
            unseen=self.unseen,
            reference=self.reference,
        )
        rollouts = [stage for stage in targets if isinstance(stage, Rollouts)]
        methods = {
            method.name: {
                "knows": method.information(self.data.domain),
                "training_seconds": training_seconds(method.name, rollouts, cache),
                **({"uses": method.uses} if isinstance(method, _Terse) else {}),
                **learning_curve(method.name, rollouts, cache),
            }
            for method in self.methods
        }
        return Outcome(records, write_records, summary.rows, summary.comparisons, methods, summary.profiles)


class Named(StructuralType):
    """A row of a table."""

    @property
    def name(self) -> str:
        """The row's name in records and tables."""


class Evaluation(StructuralType):
    """The part of an evaluation stage that the cost of a method is told from."""

    @property
    def method(self) -> Named:
        """What is evaluated."""

    @property
    def seed(self) -> int:
        """The seed of the method."""

    @property
    def trained(self) -> Stage | None:
        """The method's training stage, or None."""


@runtime_checkable
class _Terse(StructuralType):
    """A method that says in a few words what it may use."""

    @property
    def uses(self) -> str:
        """For a column of a table."""


def _rollouts(recipe: Recipe, files: Data, method: Method) -> Iterator[Rollouts]:
    """The evaluations of one method. Picking top-k is one of its own, so that tables without it share the others."""
    groups = [recipe.protocols]
    if recipe.selection and method.name in recipe.selected:
        groups.append((recipe.selection,))
    has_seeds = method.seeded and method.name not in recipe.one_seed
    for seed in range(recipe.seeds if has_seeds else 1):
        for task in recipe.all_tasks:
            for protocols in groups:
                yield Rollouts.of(
                    method,
                    files,
                    task=task,
                    split=recipe.split_of(task),
                    protocols=protocols,
                    seed=seed,
                    prompts=recipe.prompts_per_task,
                    prompt_split=recipe.prompt_split,
                    stepper=recipe.stepper,
                )


def training_seconds(method: str, rollouts: Sequence[Evaluation], cache: ArtifactCache) -> float | None:
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


def learning_curve(method: str, rollouts: Sequence[Rollouts], cache: ArtifactCache) -> dict[str, Any]:
    """`{"curve": points}` of a method whose training recorded one, of its first seed; empty for others."""
    trained = next((stage.trained for stage in rollouts if stage.method.name == method), None)
    curve = getattr(trained, "curve", None)
    if trained is not None and curve is not None and cache.is_finished(trained):
        return {"curve": curve(cache.path_of(trained))}
    return {}

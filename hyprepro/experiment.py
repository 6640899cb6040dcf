"""What every recipe is: some work on the stores, and numbers and a report computed from what the work recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hyprepro.errors import UserError, closest_match
from hyprepro.recipe import Component, setting
from hyprepro.stores.bundle import DataSource
from hyprepro.tables.report import Report

if TYPE_CHECKING:
    from hyprepro.artifacts import ArtifactCache, Stage
    from hyprepro.stores.files import StoreFiles


@dataclass(frozen=True)
class Outcome:
    """What finished stages say.

    Attributes:
        records: Tidy records in the order of the plan, from which every number is computed.
        write: Writes them to a file; gzip where its name ends in `.gz`.
        rows: The numbers, in result.json's schema.
        comparisons: Paired differences between methods.
        methods: What each method knows at test time and what its training took, by its name in the rows.
        profiles: Performance profiles.
        file: Name of the records' file beside the result.json.
    """

    records: Sequence[tuple[Any, ...]]
    write: Callable[[Path, Any], None]
    rows: Sequence[Mapping[str, Any]]
    comparisons: Sequence[Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, Any]]
    profiles: Sequence[Mapping[str, Any]] = ()
    file: str = "records.csv.gz"


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
    def targets(self, files: StoreFiles) -> tuple[Stage, ...]:
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


def check_prompts(recipe: PromptExperiment, tasks: Sequence[str], split: str, files: StoreFiles, place: str) -> None:
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

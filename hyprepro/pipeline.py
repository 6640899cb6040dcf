"""From a recipe to a result: plan the stages, make what is missing, compute the table, write it all at once.

Data flows one way: stores -> training stages -> rollouts -> records -> rows -> table. The records are read from
finished artifacts in the order of the plan, whatever order the workers finished them in, so a result does not depend on
timing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal, runtime_checkable
from typing import Protocol as StructuralType

from hyprepro.artifacts import ArtifactCache, Stage, device, explain_os_error, make_folder
from hyprepro.calibration import STARTUP_SECONDS, Calibration
from hyprepro.changes import Departure
from hyprepro.envs.steppers import StepperName
from hyprepro.evaluation.protocols import Protocol, ValidationProtocol
from hyprepro.evaluation.records import with_variant, write_records
from hyprepro.evaluation.stage import Rollouts
from hyprepro.execution import Event, OnEvent, execute, missing
from hyprepro.executors import Executor
from hyprepro.experiment import Experiment, Outcome, PromptExperiment, check_prompts, check_unique
from hyprepro.methods.base import Method
from hyprepro.provenance import PeakMemory
from hyprepro.recipe import component, fingerprint, setting
from hyprepro.results import Run, stores_provenance, write_result
from hyprepro.stores.files import StoreFiles
from hyprepro.tables.report import Report
from hyprepro.tables.result import BASELINE, MAIN, summarise
from hyprepro.tables.table1 import TaskTable


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

    def targets(self, files: StoreFiles) -> tuple[Rollouts, ...]:
        """The evaluations in the order of the table.

        Raises:
            UserError: The store lacks a task or prompts, or a task or method stands twice.
        """
        check_unique("Recipe.methods", [method.name for method in self.methods])
        check_unique("Recipe.seen, Recipe.below and Recipe.unseen", self.all_tasks)
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
                "knows": method.information,
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


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a plan.

    Attributes:
        stage: The stage.
        status: "finished" (its artifact exists), "to do", or "not needed" (only finished stages were made from it).
        seconds: The processor time that it took when finished, else what is expected here.
    """

    stage: Stage
    status: Literal["finished", "to do", "not needed"]
    seconds: float


@dataclass(frozen=True)
class Plan:
    """All stages behind a recipe, every stage after its inputs.

    Attributes:
        recipe: The recipe.
        files: The stores with their digests.
        stages: Every stage once.
        targets: Those that the result is computed from, in the order of the recipe.
    """

    recipe: Experiment
    files: StoreFiles
    stages: tuple[PlannedStage, ...]
    targets: tuple[Stage, ...]

    @cached_property
    def rollouts(self) -> tuple[Rollouts, ...]:
        """The evaluations among the targets."""
        return tuple(stage for stage in self.targets if isinstance(stage, Rollouts))

    @cached_property
    def to_do(self) -> tuple[PlannedStage, ...]:
        """What a run would make."""
        return tuple(planned for planned in self.stages if planned.status == "to do")

    def expected_seconds(self, workers: int) -> float:
        """Wall time on so many workers: the work divided among them, or its longest chain if that is longer."""
        if not self.to_do:
            return 0.0
        cost = {planned.stage.key: planned.seconds for planned in self.to_do}
        stages = [planned.stage for planned in self.to_do]
        return STARTUP_SECONDS + max(sum(cost.values()) / max(workers, 1), longest_chain(stages, cost))


def longest_chain(stages: Sequence[Stage], seconds: Mapping[str, float]) -> float:
    """How long the longest chain of stages takes, each after its inputs, by the seconds of each key."""
    until: dict[str, float] = {}
    for stage in stages:
        before = max((until.get(source.key, 0.0) for source in stage.inputs.values()), default=0.0)
        until[stage.key] = before + seconds[stage.key]
    return max(until.values(), default=0.0)


def plan(recipe: Experiment, cache: ArtifactCache) -> Plan:
    """Everything that a run of the recipe consists of, and what of it is finished. Computes nothing.

    Raises:
        UserError: If a store is missing or unfit, the recipe asks for what is not there, or its report cannot be made.
    """
    recipe.report.require()
    files = recipe.data.files()
    targets = recipe.targets(files)
    todo = {stage.key for stage in missing(targets, cache)}
    calibration = Calibration.of(cache.root) if todo else None
    stages = tuple(_planned(stage, cache, calibration if stage.key in todo else None) for stage in with_inputs(targets))
    return Plan(recipe, files, stages, targets)


def _rollouts(recipe: Recipe, files: StoreFiles, method: Method) -> Iterator[Rollouts]:
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


def stepper_used(rollouts: Sequence[Rollouts], cache: ArtifactCache) -> dict[str, StepperName]:
    """`{"stepper": name}` of finished evaluations: fast only if all of them were; empty where there is none."""
    used = {stage.stepped_by(cache.path_of(stage)) for stage in rollouts}
    if not used:
        return {}
    return {"stepper": "fast" if used == {"fast"} else "metaworld"}


def learning_curve(method: str, rollouts: Sequence[Rollouts], cache: ArtifactCache) -> dict[str, Any]:
    """`{"curve": points}` of a method whose training recorded one, of its first seed; empty for others."""
    trained = next((stage.trained for stage in rollouts if stage.method.name == method), None)
    curve = getattr(trained, "curve", None)
    if trained is not None and curve is not None and cache.is_finished(trained):
        return {"curve": curve(cache.path_of(trained))}
    return {}


def with_inputs(targets: Sequence[Stage]) -> list[Stage]:
    """The targets and everything they are made from, once each, every stage after its inputs."""
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.key not in found:
            for source in stage.inputs.values():
                visit(source)
            found[stage.key] = stage

    for target in targets:
        visit(target)
    return list(found.values())


def _planned(stage: Stage, cache: ArtifactCache, calibration: Calibration | None) -> PlannedStage:
    """A stage that is to do has a calibration."""
    if calibration is not None:
        return PlannedStage(stage, "to do", calibration.seconds(stage))
    if cache.is_finished(stage):
        manifest = cache.manifest(stage)
        return PlannedStage(stage, "finished", float(manifest.get("processor_seconds", manifest["seconds"])))
    return PlannedStage(stage, "not needed", 0.0)


def results_folder(root: Path, recipe: Experiment, is_custom: bool = False) -> Path:
    """Where a result belongs unless the user says otherwise: `<root>/<recipe>/<scale>[-<variant>][-custom-<hash>]`.

    Args:
        root: The folder of all results.
        recipe: The recipe.
        is_custom: Whether bindings or files of the user changed the recipe; the hash then tells such results apart.
    """
    parts = [recipe.scale]
    parts += [recipe.variant] if recipe.variant != "ours" else []
    parts += [f"custom-{recipe.fingerprint()[:8]}"] if is_custom else []
    return root / recipe.name / "-".join(parts)


def run_recipe(
    recipe: Experiment,
    out_dir: Path,
    cache: ArtifactCache,
    workers: int | Executor = 2,
    progress: OnEvent = lambda event: None,
    operative_config: str = "",
    departure: Departure | None = None,
) -> dict[str, Any]:
    """Make what is missing, then write result.json, records.csv.gz, the report's files and the configuration.

    The files replace earlier ones only once all are complete. A run that had nothing to do, and whose result is there
    already, leaves the files as they are.

    Args:
        recipe: What to run.
        out_dir: The folder to write to.
        cache: Where artifacts are.
        workers: Worker processes of this machine, or an executor.
        progress: Called whenever something happens to a stage.
        operative_config: The gin text that resolves to this recipe, to be written beside the result.
        departure: How this recipe differs from the shipped one, to be stated in the result and above its table.

    Returns:
        The content of result.json.

    Raises:
        UserError: For anything that the user can mend; earlier results are then untouched.
    """
    _check_writable(out_dir)
    started = time.perf_counter()
    try:
        with PeakMemory() as memory:
            planned = plan(recipe, cache)
            execute(planned.targets, cache, workers, progress)
        done = plan(recipe, cache)
        cost = {
            "wall_seconds": round(time.perf_counter() - started, 1),
            "work_seconds": round(sum(each.seconds for each in done.stages), 1),
            "peak_memory_mb": round(memory.megabytes),
            "workers": workers if isinstance(workers, int) else workers.workers,
            "device": device(),
            "stages": len(planned.stages),
            "stages_made": len(planned.to_do),
            **stepper_used(planned.rollouts, cache),
        }
        outcome = recipe.outcome(planned.targets, cache)
        run = Run(recipe.described(), stores_provenance(planned.files), outcome, operative_config, cost, departure)
        with cache.lock(f"results-{fingerprint(str(out_dir.resolve()))[:16]}"):
            return write_result(run, out_dir, recipe.report.files, is_new=bool(planned.to_do))
    except OSError as error:
        raise explain_os_error(error, out_dir) or error from error
    finally:
        with suppress(OSError):
            out_dir.rmdir()  # if it is still empty


def _check_writable(folder: Path) -> None:
    """Fail before the work rather than after it."""
    probe = folder / f".{id(folder)}.partial"
    try:
        make_folder(folder)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise explain_os_error(error, folder) or error from error


def plain_line(event: Event) -> str:
    """One line of text for an event, for logs and terminals without colours."""
    text = f"[{event.finished}/{event.total}] {event.kind} {event.stage.label}"
    if event.kind == "waiting":
        return f"{text}: another run is making it"
    if event.kind == "lost":
        return f"{text}: its process or machine is gone; it goes on elsewhere"
    if event.kind == "progress":
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in event.metrics.items())
        return f"{text} {event.step}/{event.steps} {metrics}".rstrip()
    return text

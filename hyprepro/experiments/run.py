"""From a recipe to a result: plan the stages, make what is missing, compute the table, write it all at once.

Data flows one way: stores -> training stages -> rollouts -> records -> rows -> table. The records are read from
finished artifacts in the order of the plan, whatever order the workers finished them in, so a result does not depend on
timing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hyprepro.component import fingerprint
from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import Executor
from hyprepro.engine.plan import (
    STARTUP_SECONDS,
    Calibration,
    PlannedStage,
    longest_chain,
    missing,
    planned_stage,
    with_inputs,
)
from hyprepro.engine.provenance import PeakMemory
from hyprepro.engine.schedule import Event, OnEvent, execute
from hyprepro.engine.stage import Stage, device, explaining, folder_in_use, sweep
from hyprepro.experiments.fits import fitting_seconds, may_have_fitted
from hyprepro.experiments.recipe import Experiment
from hyprepro.experiments.results import Run, stores_provenance, write_result
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.reports.changes import Departure


@dataclass(frozen=True)
class Work:
    """Stages, each once and after its inputs, as they stand in a cache."""

    stages: tuple[PlannedStage, ...]

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

    def described(self, workers: int) -> dict[str, Any]:
        """The stages and the expected time, for programs."""
        stages = [{"stage": p.stage.label, "status": p.status, "seconds": round(p.seconds, 1)} for p in self.stages]
        return {"stages": stages, "seconds": self.expected_seconds(workers)}


@dataclass(frozen=True)
class Plan(Work):
    """All stages behind a recipe.

    Attributes:
        recipe: The recipe.
        data: The stores with their digests; of a recipe that compares zoos those of each, with each kind of prompts.
        targets: Those that the result is computed from, in the order of the recipe.
    """

    recipe: Experiment
    data: tuple[Data, ...]
    targets: tuple[Stage, ...]

    @cached_property
    def rollouts(self) -> tuple[Rollouts, ...]:
        """The evaluations among the targets."""
        return tuple(stage for stage in self.targets if isinstance(stage, Rollouts))


def plan(recipe: Experiment, cache: ArtifactCache) -> Plan:
    """Everything that a run of the recipe consists of, and what of it is finished. Computes nothing.

    Zoos that ask for the same stage share it.

    Raises:
        UserError: If a store is missing or unfit, the recipe asks for what is not there, or its report cannot be made.
    """
    recipe.report.require()
    data = recipe.sources()
    targets = tuple(stage for each in data for stage in recipe.targets(each))
    return Plan(planned_stages(targets, cache), recipe, data, targets)


def planned_stages(targets: Sequence[Stage], cache: ArtifactCache) -> tuple[PlannedStage, ...]:
    """The targets and all that they are made from, once each, as they stand in a cache."""
    lacking = missing(targets, cache)
    todo = {stage.key for stage in lacking}
    calibration = Calibration.of(cache.root, may_have_fitted) if todo else None
    stages, fits = with_inputs(targets), fitting_seconds(lacking)
    planned = (planned_stage(each, cache, calibration if each.key in todo else None) for each in stages)
    speed = calibration.speed if calibration else 1.0
    return tuple(replace(each, seconds=each.seconds + speed * fits.get(each.stage.key, 0.0)) for each in planned)


def stepper_used(rollouts: Sequence[Rollouts], cache: ArtifactCache) -> dict[str, str]:
    """`{"stepper": name}` of finished evaluations: fast only if all of them were; empty where there was no choice."""
    used = {stage.stepped_by(cache.path_of(stage)) for stage in rollouts} - {""}
    if not used:
        return {}
    return {"stepper": min(used, key=lambda name: name == "fast")}


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


@dataclass(frozen=True)
class Order:
    """A recipe to be run.

    Attributes:
        recipe: What to run.
        out_dir: The folder to write to.
        operative_config: The gin text that resolves to this recipe, to be written beside the result.
        departure: How this recipe differs from the shipped one, to be stated in the result and above its table.
    """

    recipe: Experiment
    out_dir: Path
    operative_config: str = ""
    departure: Departure | None = None


def run_recipe(
    recipe: Experiment,
    out_dir: Path,
    cache: ArtifactCache,
    workers: int | Executor = 2,
    progress: OnEvent = lambda event: None,
    operative_config: str = "",
    departure: Departure | None = None,
) -> dict[str, Any]:
    """Make what is missing of one recipe and write its result: `run_recipes` of one `Order`, whose content is returned.

    Raises:
        UserError: As `run_recipes`.
    """
    order = Order(recipe, out_dir, operative_config, departure)
    return run_recipes([order], cache, workers, progress)[0]


def run_recipes(
    orders: Sequence[Order],
    cache: ArtifactCache,
    workers: int | Executor = 2,
    progress: OnEvent = lambda event: None,
) -> list[dict[str, Any]]:
    """Make what is missing, then write result.json, records.csv.gz, the report's files and the configuration of each.

    Stages that several recipes ask for are made once. The files replace earlier ones only once all of a result are
    complete. A run that had nothing to do, and whose result is there already, leaves the files as they are.

    Args:
        orders: What to run.
        cache: Where artifacts are.
        workers: Worker processes of this machine, or an executor.
        progress: Called whenever something happens to a stage.

    Returns:
        The content of each result.json. Its wall time is that of all until then, its stages are its own.

    Raises:
        UserError: For anything that the user can mend; earlier results are then untouched.
    """
    started = time.perf_counter()
    count = workers if isinstance(workers, int) else workers.workers
    with explaining(orders[0].out_dir), ExitStack() as held:
        for order in orders:
            held.enter_context(folder_in_use(order.out_dir))
            sweep(order.out_dir)
            probe = order.out_dir / f".writing-{id(order.recipe)}.partial"
            probe.write_bytes(b"")  # fails before the work rather than after it
            probe.unlink(missing_ok=True)  # another run that begins now sweeps this folder
        with PeakMemory() as memory:
            plans = [plan(order.recipe, cache) for order in orders]
            execute([stage for planned in plans for stage in planned.targets], cache, workers, progress)
        common = {"peak_memory_mb": round(memory.megabytes), "workers": count, "device": device()}
        return [
            _written(order, planned, cache, {"wall_seconds": round(time.perf_counter() - started, 1), **common})
            for order, planned in zip(orders, plans, strict=True)
        ]


def _written(order: Order, planned: Plan, cache: ArtifactCache, cost: dict[str, Any]) -> dict[str, Any]:
    """Write the result of a recipe whose stages are finished; its content.

    Args:
        order: The recipe and its folder.
        planned: Its stages as they stood before the run.
        cache: Where its artifacts are.
        cost: What the run took.
    """
    recipe, folder = order.recipe, order.out_dir
    cost |= {
        "work_seconds": round(sum(each.seconds for each in plan(recipe, cache).stages), 1),
        "stages": len(planned.stages),
        "stages_made": len(planned.to_do),
        **stepper_used(planned.rollouts, cache),
    }
    outcome = recipe.outcome(planned.targets, cache)
    stores, words = stores_provenance(planned.data), recipe.domain.words
    run = Run(recipe.described(), stores, outcome, order.operative_config, cost, order.departure, words)
    with cache.lock(f"results-{fingerprint(str(folder.resolve()))[:16]}"):
        return write_result(run, folder, recipe.report.files, is_new=bool(planned.to_do))


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

"""Stages in the order in which they can be made, what of them is missing, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.calibration import Calibration
from hyprepro.engine.stage import Stage


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


def longest_chain(stages: Sequence[Stage], seconds: Mapping[str, float]) -> float:
    """How long the longest chain of stages takes, each after its inputs, by the seconds of each key."""
    until: dict[str, float] = {}
    for stage in stages:
        before = max((until.get(source.key, 0.0) for source in stage.inputs.values()), default=0.0)
        until[stage.key] = before + seconds[stage.key]
    return max(until.values(), default=0.0)


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


def planned_stage(stage: Stage, cache: ArtifactCache, calibration: Calibration | None) -> PlannedStage:
    """A stage as it stands in a plan; one that is to do has a calibration."""
    if calibration is not None:
        return PlannedStage(stage, "to do", calibration.seconds(stage))
    if cache.is_finished(stage):
        manifest = cache.manifest(stage)
        return PlannedStage(stage, "finished", float(manifest.get("processor_seconds", manifest["seconds"])))
    return PlannedStage(stage, "not needed", 0.0)


def missing(targets: Sequence[Stage], cache: ArtifactCache) -> list[Stage]:
    """The stages that must be made so that all targets exist, every stage after its inputs.

    A target that is finished asks for nothing, even if what it was made from is gone.
    """
    order: dict[str, Stage] = {}
    seen: set[str] = set()

    def visit(stage: Stage) -> None:
        if stage.key in seen:
            return
        seen.add(stage.key)
        if not cache.is_finished(stage):
            for source in stage.inputs.values():
                visit(source)
            order[stage.key] = stage

    for target in targets:
        visit(target)
    return list(order.values())

"""Stages in the order in which they can be made, what of them is missing, and how long the rest takes on this machine.

How long is told in processor time: other load comes on top. `Stage.cost` grows with a stage's settings as its work
does. What it is worth in seconds is measured, from the best source there is:

1. stages of the same kind that are finished in this cache: the processor time that they took here, over their cost,
   but not of those that did more than their cost tells, where who asks knows of such (`Calibration.of`);
2. else `SECONDS`, what they took on the machine that made the committed results, times how much slower this machine
   does a fixed piece of the same kind of work (`speed`, a few hundredths of a second).

Beside the stages, every worker starts once (`STARTUP_SECONDS`): Python, torch and MuJoCo.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import MANIFEST, Stage

SECONDS: Mapping[str, float] = {
    "assembled": 0.01,
    "autoencoder": 0.65,
    "embedding": 0.92,
    "hyplatent": 0.87,
    "hypformer": 0.91,
    "latent-diffusion": 1.83,
    "latents": 0.24,
    "regressor": 0.55,
    "rollouts": 0.17,
}
"""Processor seconds per unit of `Stage.cost` by kind of stage, 1 for others: what the stages of `hyprepro run table1`
took, all 207 made anew."""

STARTUP_SECONDS = 6.0
"""Until a worker is ready for its first stage."""

PROBE_SECONDS = 0.027
"""What `speed`'s piece of work took on the machine that `SECONDS` comes from."""

ENOUGH = 3
"""Finished stages of a kind from which on their pace is taken."""

DidMore = Callable[[Mapping[str, Any]], bool]
"""Asks a finished stage's manifest; what is no manifest may be answered by any error of looking things up."""


@dataclass(frozen=True)
class Calibration:
    """Seconds per unit of cost.

    Attributes:
        paces: By kind of stage, from finished stages.
        speed: For all others: how much slower this machine is than the one of `SECONDS`.
    """

    paces: Mapping[str, float]
    speed: float

    @classmethod
    def of(cls, root: Path, did_more: DidMore = lambda manifest: False) -> Calibration:
        """For a cache folder, from the finished stages in it.

        Args:
            root: The cache folder.
            did_more: Whether a stage, by its manifest, may have done what its cost does not tell; it sets no pace.
        """
        found: dict[str, list[float]] = defaultdict(list)
        for path in sorted(root.glob(f"*/{MANIFEST}")):
            kind, pace = _pace(path, did_more)
            if pace is not None:
                found[kind].append(pace)
        return cls({kind: median(paces) for kind, paces in found.items() if len(paces) >= ENOUGH}, speed())

    def seconds(self, stage: Stage) -> float:
        """What a stage is expected to take."""
        return stage.cost * self.paces.get(stage.kind, SECONDS.get(stage.kind, 1.0) * self.speed)


def _pace(path: Path, did_more: DidMore) -> tuple[str, float | None]:
    """A finished stage's kind, and its seconds over its cost; None where the manifest does not tell."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        pace = float(manifest["processor_seconds"]) / float(manifest["cost"])
        return str(manifest["kind"]), None if did_more(manifest) else pace
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return "", None


@cache
def speed() -> float:
    """How much longer than `PROBE_SECONDS` this process takes for steps of a small network, the median of three."""
    return median(_probe() for _ in range(3)) / (PROBE_SECONDS / 5)


def _probe() -> float:
    import numpy as np

    weights = np.full((128, 128), 1 / 128, dtype=np.float32)
    states = np.ones((4, 128), dtype=np.float32)
    started = time.process_time()
    for _ in range(1000):
        states = np.maximum(states @ weights, 0.0)
        states /= np.abs(states).max()
    return time.process_time() - started


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
    return _in_order(targets, lambda stage: False)


def missing(targets: Sequence[Stage], cache: ArtifactCache) -> list[Stage]:
    """The stages that must be made so that all targets exist, every stage after its inputs.

    A target that is finished asks for nothing, even if what it was made from is gone.
    """
    return _in_order(targets, cache.is_finished)


def _in_order(targets: Sequence[Stage], is_there: Callable[[Stage], bool]) -> list[Stage]:
    """The targets that are not there, each after those of its inputs that are not there either."""
    found: list[Stage] = []
    seen: set[str] = set()

    def visit(stage: Stage) -> None:
        if stage.key in seen:
            return
        seen.add(stage.key)
        if not is_there(stage):
            for source in stage.inputs.values():
                visit(source)
            found.append(stage)

    for target in targets:
        visit(target)
    return found


def planned_stage(stage: Stage, cache: ArtifactCache, calibration: Calibration | None) -> PlannedStage:
    """A stage as it stands in a plan; one that is to do has a calibration."""
    if calibration is not None:
        return PlannedStage(stage, "to do", calibration.seconds(stage))
    if cache.is_finished(stage):
        manifest = cache.manifest(stage)
        return PlannedStage(stage, "finished", float(manifest.get("processor_seconds", manifest["seconds"])))
    return PlannedStage(stage, "not needed", 0.0)

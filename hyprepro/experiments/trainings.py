"""What the trainings behind a recipe have reported, from the metrics that are kept with their artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import METRICS, Stage, read_metrics
from hyprepro.errors import UserError
from hyprepro.experiments.choice import Choice, choose
from hyprepro.reports.check import unequal

OPERATIVE = "operative_config.gin"
_SEED = re.compile(r", seed (\d+)$")


@dataclass(frozen=True)
class Training:
    """What one training has reported.

    Attributes:
        name: What tells it from the others of a run: "hyplatent (HypLatent), seed 0".
        points: Of every metric its `(step, value)`, in the order of the steps; finite values alone.
    """

    name: str
    points: Mapping[str, tuple[tuple[int, float], ...]]

    @property
    def group(self) -> str:
        """What it shares with its other seeds."""
        return _SEED.sub("", self.name)

    @property
    def seed(self) -> int:
        """Its seed; 0 where its name tells none."""
        found = _SEED.search(self.name)
        return int(found[1]) if found else 0


def named_stages(stages: Sequence[Stage]) -> dict[str, Stage]:
    """Stages by a name of their own: their label, numbered where several of a run have the same."""
    found: dict[str, Stage] = {}
    for stage in stages:
        name, number = stage.label, 1
        while name in found:
            number += 1
            seed = _SEED.search(stage.label)
            name = f"{_SEED.sub('', stage.label)} #{number}{seed[0] if seed else ''}"
        found[name] = stage
    return found


def metrics_file(stage: Stage, cache: ArtifactCache) -> Path:
    """Where a stage reports to: in its artifact, or in the folder in which it is being made."""
    finished = cache.path_of(stage) / METRICS
    return finished if finished.exists() else cache.work_of(stage) / METRICS


def reported(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The steps of a metrics file at which something was measured, and what."""
    for line in read_metrics(path):
        values = {name: float(value) for name, value in line.items() if name not in ("step", "total")}
        if values:
            yield int(line["step"]), values


def trainings(stages: Sequence[Stage], cache: ArtifactCache) -> tuple[list[Training], list[str]]:
    """What is kept of the trainings among some stages, and the names of those that are not finished here."""
    found, missing = [], []
    for name, stage in named_stages(stages).items():
        file = metrics_file(stage, cache)
        if not file.exists():
            if not (cache.path_of(stage)).is_dir():
                missing.append(name)
            continue
        points: dict[str, list[tuple[int, float]]] = {}
        for step, values in reported(file):
            for metric, value in values.items():
                if abs(value) < float("inf"):
                    points.setdefault(metric, []).append((step, value))
        if points:
            found.append(Training(name, {metric: tuple(each) for metric, each in points.items()}))
    return found, missing


def choice_of_result(path: Path, result: Mapping[str, Any]) -> Choice:
    """The recipe that a finished result is of, from the configuration that lies beside it.

    Raises:
        UserError: There is none, or it is of another recipe than the result says.
    """
    file = path.parent / OPERATIVE
    if not file.is_file():
        raise UserError(
            "The configuration of this result does not lie beside it.",
            where=str(file),
            fix="name a folder that hyprepro run wrote",
        )
    choice = choose(str(file))
    described, said = choice.recipe.described(), dict(result["provenance"].get("config", {}))
    for place in unequal(described, said, type(choice.recipe).__name__):
        raise UserError(
            f"The result was made with another {place} than its configuration says.",
            where=str(file),
            fix="make it again with this version: hyprepro run RECIPE",
        )
    return choice

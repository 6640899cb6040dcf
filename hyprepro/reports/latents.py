"""From records of latents to distances between predicted and true ones (Figure 4 as numbers).

All are relative to the spread of the task's true latents, the root mean squared distance to their mean: 1 is as far
off as true latents are from their own mean.

    own        mean distance of a predicted latent to its prompt's own true latent
    nearest    mean distance of a predicted latent to the nearest true latent of the task
    centroid   distance between the mean predicted and the mean true latent
    energy     energy distance between the two clouds, 2 E|X - Y| - E|X - X'| - E|Y - Y'|: 0 for equal clouds

`own` and `nearest` are taken in the whole latent space, `centroid` and `energy` in the recorded principal coordinates.
Intervals: as for success rates, generator seeds and prompts are resampled, the same for every method. Resampled clouds
lie further apart than the clouds themselves (means of fewer different points), so the resamples of a task and seed are
shifted to have its value as their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports.cells import groups
from hyprepro.reports.latent_records import TRUE, LatentRecord
from hyprepro.reports.statistics import (
    RESAMPLES,
    Bootstrap,
    Cell,
    Estimate,
    FloatArray,
    Statistic,
    average,
    difference,
    estimate,
    weighted_sums,
)
from hyprepro.reports.summary import MAIN, Summary, valued

METRIC = "latent_distance"
PROTOCOL = "latents"
"""Stands where rollouts have their protocol: nothing is rolled out here."""


@dataclass(frozen=True)
class Clouds(Cell):
    """Latents of one method for one task, beside the true ones.

    Attributes:
        own: Distances to the prompts' own true latents over the spread `[S, P]`.
        nearest: Distances to the nearest true latents over the spread `[S, P]`.
        offset: Predicted minus true principal coordinates over the spread in them `[S, P, K]`.
        contrast: |x_i - y_j| + |x_j - y_i| - |x_i - x_j| - |y_i - y_j| over the spread `[S, P, P]`, whose mean is the
            energy distance.
    """

    own: FloatArray
    nearest: FloatArray
    offset: FloatArray
    contrast: FloatArray

    @property
    def scored(self) -> FloatArray:
        return self.own

    def observed(self, statistic: Statistic) -> FloatArray:
        prompts = self.own.shape[1]
        return statistic.score(self, np.full((1, prompts), 1 / prompts))

    def drawn(self, statistic: Statistic, task: str, bootstrap: Bootstrap) -> FloatArray:
        """Prompts as often as they were drawn for the task, shifted to have what was observed as their mean."""
        prompts = self.own.shape[1]
        samples = statistic.score(self, bootstrap.counts(task, prompts) / prompts)
        shifted: FloatArray = samples - samples.mean(axis=0) + self.observed(statistic)
        return shifted


def _own(clouds: Clouds, weights: FloatArray) -> FloatArray:
    return weighted_sums(weights, clouds.own.T)


def _nearest(clouds: Clouds, weights: FloatArray) -> FloatArray:
    return weighted_sums(weights, clouds.nearest.T)


def _centroid(clouds: Clouds, weights: FloatArray) -> FloatArray:
    distance: FloatArray = np.linalg.norm(weighted_sums(weights, clouds.offset.swapaxes(0, 1)), axis=2)
    return distance


def _energy(clouds: Clouds, weights: FloatArray) -> FloatArray:
    each = [(weighted_sums(weights, contrast) * weights).sum(axis=1) for contrast in clouds.contrast]
    energy: FloatArray = np.maximum(np.stack(each, axis=1), 0.0)  # never negative but for rounding
    return energy


SCORES = {"own": _own, "nearest": _nearest, "centroid": _centroid, "energy": _energy}
"""Values `[B, S]` of `Clouds` when prompt p has the weight `weights[b, p]`; weights sum to 1."""
STATISTICS = {name: Statistic(name, score, average, key=name) for name, score in SCORES.items()}


def summarise_latents(records: Sequence[LatentRecord], resamples: int = RESAMPLES) -> Summary:
    """Rows for every method, task (None: their average) and statistic; comparisons: Gen-HypRL minus each other method.

    Raises:
        UserError: The records of a method are incomplete.
    """
    true = {task: _of(records, TRUE, task) for task in dict.fromkeys(record.task for record in records)}
    methods = [name for name in dict.fromkeys(record.method for record in records) if name != TRUE]
    clouds = {method: {task: _clouds(_of(records, method, task), true[task]) for task in true} for method in methods}
    if not methods or any(len({cloud.shape[0] for cloud in each.values()}) > 1 for each in clouds.values()):
        raise UserError("The records are empty, or tasks differ in their generator seeds.", fix="run it again")
    splits: dict[str | None, str] = {task: found[0].split for task, found in true.items()}
    splits[None] = splits[next(iter(true))] if len(set(splits.values())) == 1 else "test"
    bootstrap, rows, estimates = Bootstrap(resamples), [], {}
    for method, by_task in clouds.items():
        for task, chosen in groups(by_task).items():
            for statistic in STATISTICS.values():
                found = estimate(statistic, chosen, bootstrap)
                estimates[method, task, statistic.name] = found
                rows.append(_row(records[0].variant, splits[task], method, task, statistic.name, found, chosen))
    comparisons = [
        _comparison(splits[task], method, task, name, difference(estimates[MAIN, task, name], theirs))
        for (method, task, name), theirs in estimates.items()
        if method != MAIN and MAIN in methods
    ]
    return Summary(rows, comparisons)


def _of(records: Sequence[LatentRecord], method: str, task: str) -> list[LatentRecord]:
    return [record for record in records if record.method == method and record.task == task]


def _clouds(predicted: Sequence[LatentRecord], true: Sequence[LatentRecord]) -> Clouds:
    by_seed: dict[int, list[LatentRecord]] = {}
    for record in predicted:
        by_seed.setdefault(record.seed, []).append(record)
    prompts = [record.prompt for record in true]
    if not true or not by_seed or any([record.prompt for record in found] != prompts for found in by_seed.values()):
        name = predicted[0].method if predicted else "a method"
        raise UserError(f"The records of {name} are incomplete: not every prompt has a latent.", fix="run it again")
    spread = _root_mean_square(np.array([record.distance for record in true]))
    targets = np.array([record.at for record in true])
    flat_spread = _root_mean_square(np.linalg.norm(targets - targets.mean(axis=0), axis=1))
    found = list(by_seed.values())
    points = np.array([[record.at for record in seed] for seed in found])
    return Clouds(
        np.array([[record.distance for record in seed] for seed in found]) / spread,
        np.array([[record.nearest for record in seed] for seed in found]) / spread,
        (points - targets) / flat_spread,
        np.array([_contrast(each, targets) for each in points]) / flat_spread,
    )


def _root_mean_square(distances: FloatArray) -> float:
    """A spread; 1 where there is none, as with a single policy, so that distances stay numbers."""
    return float(np.sqrt((distances**2).mean())) or 1.0


def _contrast(points: FloatArray, targets: FloatArray) -> FloatArray:
    across = _distances(points, targets)
    return across + across.T - _distances(points, points) - _distances(targets, targets)


def _distances(one: FloatArray, other: FloatArray) -> FloatArray:
    found: FloatArray = np.linalg.norm(one[:, None] - other[None], axis=2)
    return found


def _row(
    variant: str,
    split: str,
    method: str,
    task: str | None,
    statistic: str,
    found: Estimate,
    chosen: Mapping[str, Clouds],
) -> dict[str, Any]:
    return {
        "method": method,
        "variant": variant,
        "task": task,
        "split": split,
        "protocol": PROTOCOL,
        "metric": METRIC,
        "statistic": statistic,
        **valued(found),
        "ci95": [max(0.0, end) for end in found.ci95],
        "n_policies": sum(clouds.shape[1] for clouds in chosen.values()),
        "n_episodes": 0,
        "n_seeds": next(iter(chosen.values())).shape[0],
        "n_train": None,
        "paper": None,
    }


def _comparison(split: str, minus: str, task: str | None, statistic: str, found: Estimate) -> dict[str, Any]:
    named = {"method": MAIN, "minus": minus, "split": split, "task": task, "protocol": PROTOCOL}
    return {**named, "metric": METRIC, "statistic": statistic, **valued(found)}

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports.latent_records import TRUE, LatentRecord
from hyprepro.reports.statistics import RESAMPLES, Bootstrap, Estimate, FloatArray, average, difference, weighted_sums
from hyprepro.reports.summary import MAIN, Summary

METRIC = "latent_distance"
PROTOCOL = "latents"
"""Stands where rollouts have their protocol: nothing is rolled out here."""


@dataclass(frozen=True)
class Clouds:
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
    def sizes(self) -> tuple[int, int]:
        """S and P."""
        return self.own.shape[0], self.own.shape[1]


Score = Callable[[Clouds, FloatArray], FloatArray]
"""Values `[B, S]` when prompt p has the weight `weights[b, p]`; weights sum to 1."""


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


STATISTICS: Mapping[str, Score] = {"own": _own, "nearest": _nearest, "centroid": _centroid, "energy": _energy}


def summarise_latents(records: Sequence[LatentRecord], resamples: int = RESAMPLES) -> Summary:
    """Rows for every method, task (None: their average) and statistic; comparisons: Gen-HypRL minus each other method.

    Raises:
        UserError: The records of a method are incomplete.
    """
    true = {task: _of(records, TRUE, task) for task in dict.fromkeys(record.task for record in records)}
    methods = [name for name in dict.fromkeys(record.method for record in records) if name != TRUE]
    bootstrap = Bootstrap(resamples)
    clouds = {method: {task: _clouds(_of(records, method, task), true[task]) for task in true} for method in methods}
    estimates = {
        (method, task, name): _estimate(score, _chosen(clouds[method], task), bootstrap)
        for method in methods
        for task in (*true, None)
        for name, score in STATISTICS.items()
    }
    splits: dict[str | None, str] = {task: found[0].split for task, found in true.items()}
    splits[None] = splits[next(iter(true))] if len(set(splits.values())) == 1 else "test"
    variant = records[0].variant
    rows = [
        _row(variant, splits[task], method, task, name, found, _chosen(clouds[method], task))
        for (method, task, name), found in estimates.items()
    ]
    comparisons = [
        _comparison(splits[task], method, task, name, difference(estimates[MAIN, task, name], theirs))
        for (method, task, name), theirs in estimates.items()
        if method != MAIN and MAIN in methods
    ]
    return Summary(rows, comparisons)


def _of(records: Sequence[LatentRecord], method: str, task: str) -> list[LatentRecord]:
    return [record for record in records if record.method == method and record.task == task]


def _chosen(clouds: Mapping[str, Clouds], task: str | None) -> dict[str, Clouds]:
    return dict(clouds) if task is None else {task: clouds[task]}


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


def _estimate(score: Score, chosen: Mapping[str, Clouds], bootstrap: Bootstrap) -> Estimate:
    seeds = {clouds.sizes[0] for clouds in chosen.values()}
    if len(seeds) != 1:
        raise UserError("The records are incomplete: tasks differ in their generator seeds.", fix="run it again")
    count = seeds.pop()
    observed, resampled = [], []
    for task, clouds in chosen.items():
        prompts = clouds.sizes[1]
        values = score(clouds, np.full((1, prompts), 1 / prompts))
        samples = score(clouds, bootstrap.counts(task, prompts) / prompts)
        observed.append(values)
        resampled.append(samples - samples.mean(axis=0) + values)
    drawn = np.take_along_axis(np.stack(resampled, axis=2), bootstrap.seeds(count)[:, :, None], axis=1)
    return Estimate.of(float(average(np.stack(observed, axis=2))[0]), average(drawn))


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
        "value": found.value,
        "ci95": [max(0.0, end) for end in found.ci95],
        "n_policies": sum(clouds.sizes[1] for clouds in chosen.values()),
        "n_episodes": 0,
        "n_seeds": next(iter(chosen.values())).sizes[0],
        "n_train": None,
        "paper": None,
    }


def _comparison(split: str, minus: str, task: str | None, statistic: str, found: Estimate) -> dict[str, Any]:
    named = {"method": MAIN, "minus": minus, "split": split, "task": task, "protocol": PROTOCOL}
    value = {"metric": METRIC, "statistic": statistic, "value": found.value, "ci95": list(found.ci95)}
    return {**named, **value}

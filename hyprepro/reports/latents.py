"""Records of latents, and the distances between predicted and true ones (Figure 4 as numbers).

A record is one tidy row a latent; CSV like the records of rollouts, gzip for a name ending in `.gz`.

Distances are relative to the spread of the task's true latents, the root mean squared distance to their mean: 1 is as
far off as true latents are from their own mean.

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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyprepro.errors import UserError
from hyprepro.reports.cells import groups
from hyprepro.reports.records import finite, parsed, read_csv, write_csv
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
from hyprepro.reports.summary import MAIN, Summary, row_of, valued

LATENTS = "latents.csv.gz"
"""The file beside a result.json."""
TRUE = "true-latents"
"""The `method` of true latents."""


class LatentRecord(NamedTuple):
    """One latent, predicted or true. Distances are Euclidean, in the whole latent space.

    Attributes:
        method: The method's name, or `TRUE`.
        variant: "ours", "paper" or "released"; empty until a run fills it in.
        seed: The generator seed; 0 for true latents.
        split: Where the prompt comes from: "seen", as the task has training policies, or "unseen".
        task: The Meta-World task.
        prompt: Index of the prompt.
        policy: Row of the prompt's source policy in the policy store: prompts of one policy have one true latent.
        distance: To the prompt's own true latent; of a true latent, to the mean of its task's true latents.
        nearest: To the nearest true latent of the task; of a true latent, to the nearest of another policy (0 if none).
        outside: To the space that the coordinates span.
        at: Principal coordinates, the first two of which the figure shows.
    """

    method: str
    variant: str
    seed: int
    split: str
    task: str
    prompt: int
    policy: int
    distance: float
    nearest: float
    outside: float
    at: tuple[float, ...]


_PLAIN = LatentRecord._fields[:-1]


def write_latents(path: Path, records: Iterable[LatentRecord]) -> None:
    """Write records in the order given, under a header line that ends in pc1, pc2, ..."""
    rows = [(*record[:-1], *record.at) for record in records]
    axes = len(rows[0]) - len(_PLAIN) if rows else 0
    write_csv(path, (*_PLAIN, *(f"pc{number + 1}" for number in range(axes))), rows)


def read_latents(path: Path) -> list[LatentRecord]:
    """Read records.

    Raises:
        UserError: The file is missing, is not a file of latents, or has a malformed line.
    """
    header, lines = read_csv(path, "latents")
    if header[: len(_PLAIN)] != _PLAIN:
        fix = f"its header must begin {','.join(_PLAIN)}"
        raise UserError("This is not a file of latents.", where=str(path), fix=fix)

    def latent(*values: str) -> LatentRecord:
        if len(values) != len(header):
            raise ValueError(f"{len(values)} values instead of {len(header)}")
        method, variant, seed, split, task, prompt, policy = values[:7]
        distance, nearest, outside, *at = map(finite, values[7:])
        return LatentRecord(
            method, variant, int(seed), split, task, int(prompt), int(policy), distance, nearest, outside, tuple(at)
        )

    return list(parsed(lines, latent, "latents"))


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
    across = distances(points, targets)
    return across + across.T - distances(points, points) - distances(targets, targets)


def distances(one: FloatArray, other: FloatArray) -> FloatArray:
    """Euclidean distances `[N, M]` between two sets of points."""
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
    named = {"method": method, "variant": variant, "task": task, "split": split, "protocol": PROTOCOL}
    named |= {"metric": METRIC, "statistic": statistic}
    return {**row_of(named, found, chosen, 0), "ci95": [max(0.0, end) for end in found.ci95], "paper": None}


def _comparison(split: str, minus: str, task: str | None, statistic: str, found: Estimate) -> dict[str, Any]:
    named = {"method": MAIN, "minus": minus, "split": split, "task": task, "protocol": PROTOCOL}
    return {**named, "metric": METRIC, "statistic": statistic, **valued(found)}

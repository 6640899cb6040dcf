"""The latents behind Figure 4: what a method predicts for a task's prompts, and what it should predict.

Principal components of true latents, and where predicted latents lie among them (the paper's Figure 4).

Paper says: 2D PCA of predicted and true latents for three tasks. It leaves open what the components are fitted on, and
which latents are the true ones. We chose: fitted on the true latents of all the tasks together, so that no method can
turn the axes towards itself; true latents are encodings of the policies that recorded the test prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.base import Data, Query
from hyprepro.engine.stage import Report, Stage
from hyprepro.gen_hyprl.autoencoder import TrainAutoencoder
from hyprepro.reports.latents import TRUE, LatentRecord, distances, read_latents, write_latents

if TYPE_CHECKING:
    from torch import Tensor


FILE = "latents.npz"
T = TypeVar("T")


class LatentPredictor(Protocol):
    """The part of a method that these stages use; see `hyprepro.methods.gen_hyprl.LatentMethod`."""

    @property
    def name(self) -> str:
        """The row's name in records and tables."""

    def latents(self, trained: Any, query: Query, seed: int) -> Tensor:
        """Latents `[n, 2, D]`, one a prompt."""


@dataclass(frozen=True)
class TrueLatents(Stage):
    """Encodes the source policies of a task's prompts: what a generator should predict.

    Attributes:
        autoencoder: The trained E and D.
        task: The task.
        prompts: How many prompts, from the first.
        prompt_split: Which prompts: "test" or "validation".
        data: The stores.
    """

    kind: ClassVar[str] = "true-latents"

    autoencoder: TrainAutoencoder
    task: str
    prompts: int
    prompt_split: str
    data: Data

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"true latents {self.task}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write them `[n, 2 D]`, and the policies `[n]` that they are of."""
        import torch

        prompts = self.data.domain.query(self.data, self.task, self.prompts, self.prompt_split).shown
        with self.data.open_policies() as store, torch.no_grad():
            encoder = self.autoencoder.load(inputs["autoencoder"])
            latents = encoder.encode_stored(store, self.task, prompts.policy_rows)
        np.savez(work / FILE, latents=_flat(latents), policies=prompts.policy_rows)

    def load(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Latents and policies."""
        return _read(path, lambda file: (file["latents"], file["policies"]))


@dataclass(frozen=True)
class PredictLatents(Stage):
    """A method's latents for a task's prompts: those that it would decode and deploy.

    Attributes:
        method: The method, a component.
        trained: Its training stage.
        task: The task.
        seed: The generator seed.
        prompts: How many prompts, from the first.
        prompt_split: Which prompts: "test" or "validation".
        data: The stores.
    """

    kind: ClassVar[str] = "predicted-latents"

    method: LatentPredictor
    trained: Stage
    task: str
    seed: int
    prompts: int
    prompt_split: str
    data: Data

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"latents {self.method.name} {self.task} seed {self.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write them `[n, 2 D]`."""
        query = self.data.domain.query(self.data, self.task, self.prompts, self.prompt_split)
        latents = self.method.latents(self.trained.load(inputs["trained"]), query, self.seed)
        np.savez(work / FILE, latents=_flat(latents))

    def load(self, path: Path) -> NDArray[np.float32]:
        """The latents."""
        return _read(path, lambda file: file["latents"])


def _flat(latents: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = latents.flatten(1).detach().cpu().numpy()
    return array


def _read(path: Path, pick: Callable[[Any], T]) -> T:
    with np.load(path / FILE) as file:
        return pick(file)


FloatArray = NDArray[np.float64]

RECORDS = "latents.csv"
DIGITS = 6
"""Significant digits that are kept: what single precision has."""


@dataclass(frozen=True)
class Projection:
    """Principal components.

    Attributes:
        center: Mean of what they were fitted on `[n]`.
        axes: Orthonormal rows `[K, n]`, the one with the largest variance first.
    """

    center: FloatArray
    axes: FloatArray

    @classmethod
    def fit(cls, points: FloatArray, components: int) -> Projection:
        """The components of points `[N, n]`: as many as vary, at least 2, at most `components`."""
        center = points.mean(axis=0)
        _, strength, axes = np.linalg.svd(points - center, full_matrices=False)
        kept = max(2, min(components, int((strength > 1e-6 * strength[0]).sum())))
        axes = axes[:kept]
        # An axis may point either way; its largest entry is made positive.
        largest = np.abs(axes).argmax(axis=1)
        return cls(center, axes * np.sign(axes[np.arange(len(axes)), largest])[:, None])

    def coordinates(self, points: FloatArray) -> FloatArray:
        """Principal coordinates `[N, K]` of points `[N, n]`."""
        return (points - self.center) @ self.axes.T

    def outside(self, points: FloatArray) -> FloatArray:
        """Distances `[N]` of points from the space of the components."""
        rest = points - self.center - self.coordinates(points) @ self.axes
        distance: FloatArray = np.linalg.norm(rest, axis=1)
        return distance


@dataclass(frozen=True)
class ProjectLatents(Stage):
    """Fits the components and writes one record a latent: true ones first, then method by method.

    Attributes:
        true: True latents, one stage a task.
        predicted: Predicted latents of the same tasks.
        splits: "seen" or "unseen" for each of `true`.
        components: How many principal coordinates are recorded at most.
    """

    kind: ClassVar[str] = "projection"

    true: tuple[TrueLatents, ...]
    predicted: tuple[PredictLatents, ...]
    splits: tuple[str, ...]
    components: int

    @property
    def label(self) -> str:
        """For progress lines."""
        return "principal components of true latents"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write the records."""
        found = [stage.load(inputs[f"true.{number}"]) for number, stage in enumerate(self.true)]
        clouds = {
            stage.task: _Cloud(stage.task, split, latents.astype(np.float64), policies)
            for stage, split, (latents, policies) in zip(self.true, self.splits, found, strict=True)
        }
        projection = Projection.fit(np.concatenate([cloud.points for cloud in clouds.values()]), self.components)
        records = [record for cloud in clouds.values() for record in cloud.true_records(projection)]
        for number, stage in enumerate(self.predicted):
            points = stage.load(inputs[f"predicted.{number}"]).astype(np.float64)
            records += clouds[stage.task].predicted_records(projection, points, stage.method.name, stage.seed)
        write_latents(work / RECORDS, records)

    def load(self, path: Path) -> list[LatentRecord]:
        """The records."""
        return read_latents(path / RECORDS)


@dataclass(frozen=True)
class _Cloud:
    """The true latents `[N, n]` of a task's prompts, and the policies `[N]` that they are of."""

    task: str
    split: str
    points: FloatArray
    policies: NDArray[np.int64]

    def true_records(self, projection: Projection) -> Iterator[LatentRecord]:
        between = distances(self.points, self.points)
        between[self.policies[:, None] == self.policies] = np.inf
        nearest = between.min(axis=1)
        distance = np.linalg.norm(self.points - self.points.mean(axis=0), axis=1)
        nearest[np.isinf(nearest)] = 0.0
        return self._records(projection, self.points, TRUE, 0, distance, nearest)

    def predicted_records(
        self, projection: Projection, points: FloatArray, method: str, seed: int
    ) -> Iterator[LatentRecord]:
        distance = np.linalg.norm(points - self.points, axis=1)
        nearest = distances(points, self.points).min(axis=1)
        return self._records(projection, points, method, seed, distance, nearest)

    def _records(
        self,
        projection: Projection,
        points: FloatArray,
        method: str,
        seed: int,
        distance: FloatArray,
        nearest: FloatArray,
    ) -> Iterator[LatentRecord]:
        at, outside = projection.coordinates(points), projection.outside(points)
        for row in range(len(points)):
            yield LatentRecord(
                method, "", seed, self.split, self.task, row, int(self.policies[row]), _short(distance[row]),
                _short(nearest[row]), _short(outside[row]), tuple(map(_short, at[row])),
            )  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")

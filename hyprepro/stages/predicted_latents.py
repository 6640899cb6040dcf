"""The latents behind Figure 4: what a method predicts for a task's prompts, and what it should predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.artifacts import Report, Stage, StoreFile
from hyprepro.stages.autoencoder import TrainAutoencoder
from hyprepro.stores.policy_store import PolicyStore

if TYPE_CHECKING:
    from torch import Tensor

    from hyprepro.stores.prompts import Prompts

FILE = "latents.npz"
T = TypeVar("T")


class LatentPredictor(Protocol):
    """The part of a method that these stages use; see `hyprepro.methods.gen_hyprl.LatentMethod`."""

    @property
    def name(self) -> str:
        """The row's name in records and tables."""

    def latents(self, trained: Any, prompts: Prompts, seed: int) -> Tensor:
        """Latents `[n, 2, D]`, one a prompt."""


@dataclass(frozen=True)
class TrueLatents(Stage):
    """Encodes the source policies of a task's prompts: what a generator should predict.

    Attributes:
        autoencoder: The trained E and D.
        task: The task.
        prompts: How many prompts, from the first.
        prompt_split: Which prompts: "test" or "validation".
        policies: The policy store.
        trajectories: The trajectory store.
    """

    kind: ClassVar[str] = "true-latents"

    autoencoder: TrainAutoencoder
    task: str
    prompts: int
    prompt_split: str
    policies: StoreFile
    trajectories: StoreFile

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"true latents {self.task}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write them `[n, 2 D]`, and the policies `[n]` that they are of."""
        import torch

        prompts = _prompts(self.trajectories, self.task, self.prompt_split, self.prompts)
        with PolicyStore.of(self.policies) as store:
            params = store.read(self.task, prompts.policy_rows)
        with torch.no_grad():
            latents = self.autoencoder.load(inputs["autoencoder"]).encode(torch.from_numpy(params))
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
        trajectories: The trajectory store.
    """

    kind: ClassVar[str] = "predicted-latents"

    method: LatentPredictor
    trained: Stage
    task: str
    seed: int
    prompts: int
    prompt_split: str
    trajectories: StoreFile

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"latents {self.method.name} {self.task} seed {self.seed}"

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write them `[n, 2 D]`."""
        prompts = _prompts(self.trajectories, self.task, self.prompt_split, self.prompts)
        latents = self.method.latents(self.trained.load(inputs["trained"]), prompts, self.seed)
        np.savez(work / FILE, latents=_flat(latents))

    def load(self, path: Path) -> NDArray[np.float32]:
        """The latents."""
        return _read(path, lambda file: file["latents"])


def _prompts(trajectories: StoreFile, task: str, split: str, count: int) -> Prompts:
    """The first prompts of a task and split."""
    from hyprepro.stores.prompts import read_prompts
    from hyprepro.stores.trajectory_store import TrajectoryStore

    with TrajectoryStore.open(Path(trajectories.path)) as store:
        return read_prompts(store, task, split, limit=count)


def _flat(latents: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = latents.flatten(1).detach().cpu().numpy()
    return array


def _read(path: Path, pick: Callable[[Any], T]) -> T:
    with np.load(path / FILE) as file:
        return pick(file)

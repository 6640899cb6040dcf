"""All transitions of a training run, in files that are at once its replay, its checkpoint and its artifact.

Cheetahs are stepped in rounds of whole episodes. Files are written in place and never overwritten, so a run that goes
on from a checkpoint finds what it had then, and steps the rest again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collectors.checkpoint import open_mapped
from hyprepro.domains.cheetah_vel.tasks import HORIZON, velocity_reward

_OBSERVATIONS, _ACTIONS = 17, 6
_FIELDS = ("observations", "actions", "speeds", "velocities")


class Transitions(NamedTuple):
    """Some transitions `[..., ]` without rewards, which depend on the velocity asked for."""

    observations: Tensor
    actions: Tensor
    speeds: Tensor
    next_observations: Tensor
    velocities: Tensor

    def rewards(self, velocities: Tensor) -> Tensor:
        """What they would have earned at other target velocities of the same shape as `speeds`."""
        return torch.as_tensor(velocity_reward(self.speeds, self.actions, velocities))


class Memory:
    """Rounds of episodes of n cheetahs: observations, actions, forward speeds, target velocities.

    Args:
        folder: Where the files are.
        rounds: How many there will be at most.
        cheetahs: n.
        prefix: Of the files' names.
        is_new: Make empty files; else open those that are there.
    """

    def __init__(self, folder: Path, rounds: int, cheetahs: int, prefix: str = "", is_new: bool = False) -> None:
        self.cheetahs, self.rounds, self.folder, self.prefix = cheetahs, rounds, folder, prefix
        shapes = (
            (rounds, HORIZON + 1, cheetahs, _OBSERVATIONS),
            (rounds, HORIZON, cheetahs, _ACTIONS),
            (rounds, HORIZON, cheetahs),
            (rounds, cheetahs),
        )
        self._mapped = [
            open_mapped(folder / name, shape, is_new) for name, shape in zip(self.files(prefix), shapes, strict=True)
        ]
        self.fields = {name: mapped.view(np.ndarray) for name, mapped in zip(_FIELDS, self._mapped, strict=True)}
        self._rows = {
            name: torch.from_numpy(field).flatten(0, -2 + (field.ndim < 4)) for name, field in self.fields.items()
        }

    @staticmethod
    def files(prefix: str) -> list[str]:
        """The files' names."""
        return [f"{prefix}{name}.npy" for name in _FIELDS]

    def flush(self) -> None:
        """Bring new transitions to the disk."""
        for mapped in self._mapped:
            mapped.flush()

    def gather(self, steps: Tensor) -> Transitions:
        """Transitions by number: (round * HORIZON + time) * n + cheetah."""
        rounds = steps // (HORIZON * self.cheetahs)
        rows = steps + rounds * self.cheetahs  # a round has one observation more than it has actions
        return Transitions(
            self._rows["observations"][rows],
            self._rows["actions"][steps],
            self._rows["speeds"][steps],
            self._rows["observations"][rows + self.cheetahs],
            self._rows["velocities"][rounds * self.cheetahs + steps % self.cheetahs],
        )

    def step(self, number: int, time: int, **values: NDArray[Any]) -> None:
        """Write what one step of round `number` adds, each `[n, ...]`; observations belong to `time`, even HORIZON."""
        for name, value in values.items():
            self.fields[name][number, time] = value

    def finish(self, folder: Path) -> None:
        """Put the files under their final names into `folder`."""
        for name in self.fields:
            (self.folder / f"{self.prefix}{name}.npy").replace(folder / f"{name}.npy")

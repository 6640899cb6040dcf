"""All transitions of a training run, in files that are at once its replay, its checkpoint and its artifact.

Environments are stepped in rounds of equal length; where one ends its episode, the next begins in its place. Files are
written in place and never overwritten, so a run that goes on from a checkpoint finds what it had then, and steps the
rest again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collect.sac.checkpoint import open_mapped
from hyprepro.domains.parameter import ParameterDomain

_FIELDS = ("observations", "actions", "signals", "ended", "parameters")


class Transitions(NamedTuple):
    """Some transitions `[...]` without rewards, which may depend on the parameter asked for.

    `observations`, `next_observations` `[..., obs]`, `actions` `[..., act]` in [-1, 1], `signals` and `ended` `[...]`,
    `parameters` `[..., k]`. What is observed next means nothing where the episode ended.
    """

    observations: Tensor
    actions: Tensor
    signals: Tensor
    ended: Tensor
    next_observations: Tensor
    parameters: Tensor


class Memory:
    """Rounds of n environments: observations, actions, signals, ends, and the parameters of each.

    Args:
        domain: What the environments are of.
        folder: Where the files are.
        rounds: How many there will be at most.
        environments: n.
        prefix: Of the files' names.
        is_new: Make empty files; else open those that are there.
    """

    def __init__(
        self,
        domain: ParameterDomain,
        folder: Path,
        rounds: int,
        environments: int,
        prefix: str = "",
        is_new: bool = False,
    ) -> None:
        self.environments, self.rounds, self.folder, self.prefix = environments, rounds, folder, prefix
        self.horizon, size = domain.horizon, domain.layout
        shapes = (
            (rounds, self.horizon + 1, environments, size.observation_size),
            (rounds, self.horizon, environments, size.action_size),
            (rounds, self.horizon, environments),
            (rounds, self.horizon, environments),
            (rounds, environments, len(domain.ranges)),
        )
        self._mapped = [
            open_mapped(folder / name, shape, is_new) for name, shape in zip(self.files(prefix), shapes, strict=True)
        ]
        self.fields = {name: mapped.view(np.ndarray) for name, mapped in zip(_FIELDS, self._mapped, strict=True)}
        self._rows = {
            name: torch.from_numpy(field).flatten(0, 1 if name == "parameters" else 2)
            for name, field in self.fields.items()
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
        """Transitions by number: (round * horizon + time) * n + environment."""
        rounds = steps // (self.horizon * self.environments)
        rows = steps + rounds * self.environments  # a round has one observation more than it has actions
        return Transitions(
            self._rows["observations"][rows],
            self._rows["actions"][steps],
            self._rows["signals"][steps],
            self._rows["ended"][steps],
            self._rows["observations"][rows + self.environments],
            self._rows["parameters"][rounds * self.environments + steps % self.environments],
        )

    def step(self, number: int, time: int, **values: NDArray[Any]) -> None:
        """Write what one step of round `number` adds, each `[n, ...]`; observations belong to `time`, even the last."""
        for name, value in values.items():
            self.fields[name][number, time] = value

    def finish(self, folder: Path) -> None:
        """Put the files under their final names into `folder`."""
        for name in self.fields:
            (self.folder / f"{self.prefix}{name}.npy").replace(folder / f"{name}.npy")

"""The memory of a stack of agents, in the process or in a file that is also its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collect.sac.checkpoint import open_mapped
from hyprepro.collect.sac.update import Batch


class Room(NamedTuple):
    """How many transitions an agent remembers, and for how many there is room.

    What exceeds `capacity` is overwritten only after a checkpoint that does not need it any more. So a ring that has
    come round is restored as it was then, without a copy of what is written over.
    """

    capacity: int
    slots: int

    @classmethod
    def of(cls, remembered: int, steps: int, episode_steps: int) -> Room:
        """For a run of so many steps with checkpoints between episodes; at most an eighth more, or four episodes."""
        capacity = min(remembered, steps)
        return cls(capacity, min(steps, capacity + max(capacity // 8, 4 * episode_steps)))


class Replay:
    """The last `capacity` transitions of each of A agents, all filled in step.

    Args:
        agents: A.
        capacity: Transitions of each agent.
        observation_size: Numbers of an observation.
        action_size: Numbers of an action.
        device: Where they are drawn from.
        slots: Room for this many, `capacity` or more; see `Room`.
        file: Where they lie: on a CPU they are drawn from the mapped file, an accelerator has a copy of its own.
        is_new: Make the file; else open the one that is there.

    Attributes:
        fields: Each field of all slots `[slots, A, ...]`, as views of the memory.
        added: Transitions so far.
    """

    def __init__(
        self,
        agents: int,
        capacity: int,
        observation_size: int,
        action_size: int,
        device: torch.device | str = "cpu",
        slots: int | None = None,
        file: Path | None = None,
        is_new: bool = True,
    ) -> None:
        sizes = replay_sizes(observation_size, action_size)
        self.capacity, self.agents, self.slots = capacity, agents, slots or capacity
        shape = (self.slots, agents, sum(sizes.values()))
        self._mapped = None if file is None else open_mapped(file, shape, is_new)
        self._file = None if self._mapped is None else self._mapped.view(np.ndarray)
        is_drawn_from_file = self._file is not None and torch.device(device).type == "cpu"
        self._memory = torch.from_numpy(self._file) if is_drawn_from_file else torch.zeros(shape, device=device)
        self._widths = list(sizes.values())
        ends = np.cumsum(self._widths).tolist()
        self._columns = {name: slice(end - width, end) for (name, width), end in zip(sizes.items(), ends, strict=True)}
        self._row = np.empty(shape[1:], dtype=np.float32)
        self.fields = self._split(self._memory)
        self.added = self._saved = 0
        self._numbers = torch.arange(agents, device=device)[:, None]
        self._drawn = self._memory.new_empty((0, shape[2]))
        self._oldest = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, **transition: NDArray[np.floating[Any]] | float) -> None:
        """One transition of every agent: each field `[A, ...]`, or one number for all."""
        at = self.added % self.slots
        for name, columns in self._columns.items():
            value = np.asarray(transition[name], dtype=np.float32)
            self._row[:, columns] = value[:, None] if value.ndim == 1 else value
        if self._file is not None:
            self._file[at] = self._row
        if self._file is None or self._memory.device.type != "cpu":
            self._memory[at].copy_(torch.from_numpy(self._row))
        self._count(self.added + 1)

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Uniform transitions with replacement, independently for each agent."""
        rows = rng.integers(min(self.added, self.capacity), size=(self.agents, batch_size))
        return self.rows(torch.from_numpy(rows).to(self._memory.device))

    def rows(self, rows: Tensor) -> Batch:
        """The transitions `[A, B]` of the given numbers modulo the capacity: row `rows[a, b]` of agent a.

        They lie in memory that the next call writes over.
        """
        if self.slots > self.capacity:  # where a transition lies does not change which one is drawn
            rows = (self._oldest + (rows - self._oldest) % self.capacity) % self.slots
        flat = (rows * self.agents + self._numbers).view(-1)
        width = self._memory.shape[2]
        if len(flat) != len(self._drawn):
            self._drawn = self._memory.new_empty((len(flat), width))
        torch.index_select(self._memory.view(-1, width), 0, flat, out=self._drawn)
        return Batch(**self._split(self._drawn.view(*rows.shape, width)))

    def overwrites(self, steps: int) -> bool:
        """Whether the next `steps` transitions would overwrite some that the last checkpoint needs."""
        return self.added + steps - self.slots > max(self._saved - self.capacity, 0)

    def flush(self) -> None:
        """Bring new transitions to the disk, if they lie in a file."""
        if self._mapped is not None:
            self._mapped.flush()

    def saved(self) -> None:
        """A checkpoint was written: what came before it is needed no more."""
        self._saved = self.added

    def restore(self, added: int) -> None:
        """Take the file as it was when so many transitions had been added."""
        if self._file is not None and self._memory.device.type != "cpu":
            filled = min(added, self.slots)
            self._memory[:filled].copy_(torch.from_numpy(self._file[:filled]))
        self._count(added)
        self.saved()

    def _count(self, added: int) -> None:
        self.added = added
        self._oldest.fill_(max(added - self.capacity, 0))

    def _split(self, memory: Tensor) -> dict[str, Tensor]:
        """Each field of transitions `[..., width]`, as views."""
        parts = dict(zip(_FIELDS, torch.split(memory, self._widths, dim=-1), strict=True))
        return {name: part.squeeze(-1) if name in _SCALARS else part for name, part in parts.items()}


_SCALARS = ("rewards", "dones")
_FIELDS = ("observations", "actions", "rewards", "next_observations", "dones", "expert_actions")


def replay_sizes(observation_size: int, action_size: int) -> dict[str, int]:
    """How many numbers each field of a transition has."""
    sizes = (observation_size, action_size, 1, observation_size, 1, action_size)
    return dict(zip(_FIELDS, sizes, strict=True))

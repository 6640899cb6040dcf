"""The trajectory store: episodes laid end to end, with Minari's names, so that a task is a few flat arrays.

    /trajectories/<task>/observations           [sum(T + 1), O] float32
                         actions                [sum(T), A]     float32
                         rewards                [sum(T)]        float32
                         terminations, truncations [sum(T)]     uint8 (0 or 1)
                         episodes/id            [N] position in this table
                                  seed          [N] the goal's seed
                                  total_steps   [N] T
                                  policy_row    [N] row in the policy store of the same task, -1 if not stored
                                  success_step  [N] 0-based index of the first step with the success flag, -1 if none
                                  split         [N] uint8, index into (train, validation, test)
    attributes (JSON): spaces, units, splits, versions, route, policies (digest of the policy store)
    text: kind, digest; integer: schema

Action t leads from observation t to observation t + 1, so the first observation with success is success_step + 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyprepro.errors import UserError
from hyprepro.stores import hdf5, once
from hyprepro.stores.base import Column, Rows, StoreReader, StoreWriter, split_code

if TYPE_CHECKING:
    from hyprepro.engine.stage import StoreFile

TABLE: dict[str, Column] = {
    "id": Column(("int64",)),
    "seed": Column(("int64",)),
    "total_steps": Column(("int32",)),
    "policy_row": Column(("int32",)),
    "success_step": Column(("int32",)),
    "split": Column(("uint8",)),
}
UNITS = {
    "observations": "as the environment gives them (Meta-World: metres)",
    "actions": "-1 to 1",
    "rewards": "dense reward of the environment",
    "seed": "seed that identifies the goal",
    "success_step": "0-based step whose success flag is first true, -1 if none",
}
MAX_EPISODES = 1_000_000
MAX_STEPS = 1_000_000
ROWS_AT_ONCE = 8192
"""Steps of neighbouring episodes that are read at once, about; it bounds the memory."""


@dataclass(frozen=True)
class Episode:
    """One stored episode of T steps."""

    task: str
    id: int
    split: str
    goal_seed: int
    policy_row: int
    success_step: int
    observations: NDArray[np.float32]
    """`[T + 1, O]`"""
    actions: NDArray[np.float32]
    """`[T, A]`"""
    rewards: NDArray[np.float32]
    """`[T]`"""
    terminated: bool = False
    """Whether the environment ended it, and not the recording."""


class TrajectoryStore(StoreReader):
    """A trajectory store opened for reading; see the module for its format.

    Attributes:
        observation_size: O.
        action_size: A.
        policies_digest: Digest of the policy store that `policy_row` refers to, empty if there is none.
        route, versions, digest: As in the policy store.
    """

    kind = "trajectory"
    root = "trajectories"
    json_attributes = ("spaces", "units", "splits", "versions", "route", "policies")
    shape_attribute, counted = "spaces", "episodes/seed"

    def _validate(self) -> None:
        self.observation_size = self._size("observation")
        self.action_size = self._size("action")
        self.policies_digest = str(self.attributes["policies"].get("digest", ""))
        self._tables = once.once_a_process(self.file, lambda: {task: self._checked(task) for task in self.tasks})

    @classmethod
    def open(cls, path: str | Path) -> TrajectoryStore:
        """Open and validate a store.

        Raises:
            UserError: Missing, truncated, not HDF5, another kind or schema, malformed.
        """
        return cls(path)

    @classmethod
    def of(cls, file: StoreFile) -> TrajectoryStore:
        """Open the store that a stage holds; one that trains sees the episodes for training alone."""
        return cls(file.path)._see(file)

    def table(self, task: str) -> dict[str, NDArray[Any]]:
        """The episode table `[N]`: id, seed, total_steps, policy_row, success_step, split as words; not to be written.

        `start` is the row of an episode's first action.
        """
        self.group(task)
        return self._tables[task]

    def count(self, task: str, split: str | None = None) -> int:
        """Number of episodes of a task, in one split or in all."""
        return len(self.ids(task, split))

    def ids(self, task: str, split: str | None = None) -> NDArray[np.int64]:
        """Ids of a task's episodes, ascending `[k]`."""
        table = self.table(task)
        if split is not None:
            split_code(split, hdf5.SPLITS)
        return self._shown(task, table["split"], split)

    def episodes(self, task: str, split: str | None = None) -> Iterator[Episode]:
        """The episodes of a task one by one, in the order in which they were written."""
        yield from self.some(task, self.ids(task, split))

    def episode(self, task: str, index: int) -> Episode:
        """One episode (`UserError` if it is damaged or not finite)."""
        (found,) = self.some(task, [index])
        return found

    def some(self, task: str, ids: Sequence[int] | NDArray[np.integer[Any]]) -> Iterator[Episode]:
        """Episodes of a task by their ids, in that order; those that lie one after the other are read at once.

        Raises:
            UserError: There is no such episode, or it is not to be seen, is damaged or not finite.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        starts = self.table(task)["start"]
        count = len(starts)
        for index in wanted[(wanted < 0) | (wanted >= count)]:
            raise UserError(
                f"Episode {index} of {count} was asked for.",
                where=f"{self.where}:{task}",
                fix=f"episodes count from 0 to {count - 1}",
            )
        if not len(wanted):
            return
        if self._part is not None and not np.isin(wanted, self.ids(task)).all():
            raise self._hidden(f"another episode of {task}")
        is_new = (np.diff(wanted) != 1) | (np.diff(starts[wanted] // ROWS_AT_ONCE) != 0)
        for row in np.split(wanted, np.flatnonzero(is_new) + 1):
            yield from self._neighbours(task, row)

    def _neighbours(self, task: str, ids: NDArray[np.int64]) -> Iterator[Episode]:
        """Episodes that lie one after the other, by one read of every dataset."""
        table, first, last = self.table(task), int(ids[0]), int(ids[-1])
        begin, end = int(table["start"][first]), int(table["start"][last]) + int(table["total_steps"][last])
        rows = {
            name: hdf5.read_rows(self.column(task, name), begin, end, self.where)
            for name in ("actions", "rewards", "terminations")
        }
        frames = hdf5.read_rows(self.column(task, "observations"), begin + first, end + last + 1, self.where)
        for index in range(first, last + 1):
            steps, start = int(table["total_steps"][index]), int(table["start"][index])
            at = start - begin
            observed = frames[at + index - first : at + index - first + steps + 1]
            own = {name: values[at : at + steps] for name, values in rows.items()}
            yield Episode(
                task,
                index,
                str(table["split"][index]),
                int(table["seed"][index]),
                int(table["policy_row"][index]),
                int(table["success_step"][index]),
                self._finite(task, "observations", start + index, observed),
                self._finite(task, "actions", start, own["actions"]),
                self._finite(task, "rewards", start, own["rewards"]),
                bool(own["terminations"][-1]),
            )

    def owners(self, task: str) -> NDArray[np.int64]:
        return self.table(task)["policy_row"].astype(np.int64)

    def split_mask(self, task: str, column: str, split: str, kept: Rows = None) -> NDArray[np.bool_]:
        """Which episodes, or which of their steps, belong to a split, and to one of some policies."""
        table = self.table(task)
        mask: NDArray[np.bool_] = table["split"] == split
        if kept is not None:
            mask &= np.isin(self.owners(task), kept)
        if column.startswith("episodes/"):
            return mask
        return np.repeat(mask, table["total_steps"] + (column == "observations"))

    def names(self) -> tuple[str, ...]:
        return (*self._flat(), *(f"episodes/{name}" for name in TABLE))

    def _finite(self, task: str, name: str, start: int, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """A copy of an episode's rows, which begin at row `start` of their dataset."""
        if not np.isfinite(rows).all():
            raise UserError(
                "A stored episode has values that are not finite.",
                where=f"{self.where}:/trajectories/{task}/{name}, rows {start} to {start + len(rows)}",
                fix=f"hyprepro store verify {self.path} lists all of them",
            )
        return rows.copy()

    def _flat(self) -> dict[str, Column]:
        return flat_columns(self.observation_size, self.action_size)

    def _size(self, space: str) -> int:
        size = self.attributes["spaces"].get(space)
        if not isinstance(size, int) or not 0 < size <= 100_000:
            raise UserError(
                f"The store does not state the size of its {space} space.", where=self.where, fix=hdf5.FOREIGN
            )
        return size

    def _checked(self, task: str) -> dict[str, NDArray[Any]]:
        """Validate a task's shapes against its episode table; the table."""
        group = self.group(task)
        episodes = hdf5.hard_member(group, "episodes", h5py.Group, self.where)
        columns = {name: hdf5.dataset(episodes, name, c.dtypes, (), self.where) for name, c in TABLE.items()}
        count = columns["id"].shape[0]
        if count > MAX_EPISODES or any(data.shape[0] != count for data in columns.values()):
            raise self._damaged("The columns of the episode table differ in length or are too long.", task)
        table = {name: hdf5.read_rows(data, 0, count, self.where) for name, data in columns.items()}
        table["split"] = self._split_column(columns["split"])
        steps = table["total_steps"].astype(np.int64)
        if count and not (steps.min() >= 1 and steps.max() <= MAX_STEPS and np.all(table["success_step"] < steps)):
            raise self._damaged("The episode table has impossible step counts.", task)
        for name, column in self._flat().items():
            data = hdf5.dataset(group, name, column.dtypes, column.tail, self.where)
            wanted = int(steps.sum()) + (count if name == "observations" else 0)
            if data.shape[0] != wanted:
                raise self._damaged(f"{name!r} has {data.shape[0]} rows, the episode table asks for {wanted}.", task)
        table["start"] = np.cumsum(steps) - steps
        for values in table.values():
            values.flags.writeable = False  # all that open the file here share them
        return table


class TrajectoryStoreWriter(StoreWriter):
    """Writes a trajectory store episode by episode; the file appears under its name when `close()` has finished it.

    Args:
        path: The store to write.
        route: How the episodes were made (JSON-ready).
        policies_digest: Digest of the policy store that `policy_row` refers to.
        observation_size: O.
        action_size: A.
        versions: Library versions; the installed ones if None.
    """

    kind = "trajectory"
    root = "trajectories"
    shape_attribute, counted = "spaces", "episodes/seed"

    def __init__(
        self,
        path: str | Path,
        route: dict[str, Any],
        policies_digest: str = "",
        observation_size: int = 39,
        action_size: int = 4,
        versions: dict[str, str] | None = None,
    ) -> None:
        attributes = {
            "spaces": {"observation": observation_size, "action": action_size},
            "units": UNITS,
            "route": route,
            "policies": {"digest": policies_digest},
        }
        super().__init__(path, attributes, versions)
        self._flat = flat_columns(observation_size, action_size)
        self._counts: dict[str, int] = {}

    def append(
        self,
        task: str,
        observations: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        success_step: int,
        goal_seed: int,
        policy_row: int,
        split: str,
        terminated: bool = False,
    ) -> int:
        """Append one episode: observations `[T + 1, O]`, actions `[T, A]`, rewards `[T]`; returns its id in the task.

        It ends where the environment ended it (`terminated`), or where recording stopped.

        Raises:
            UserError: Values that are not finite, shapes that do not fit together, a success step outside the episode.
        """
        flat = {
            name: np.ascontiguousarray(value, np.float32)
            for name, value in (("observations", observations), ("actions", actions), ("rewards", rewards))
        }
        steps = len(flat["actions"])
        problem, fix = self._problem(flat, steps, success_step)
        if problem:
            raise UserError(f"A {task} episode {problem}; it was not stored.", where=str(self.path), fix=fix)
        ends = np.zeros((2, steps), dtype=np.uint8)
        ends[0 if terminated else 1, -1] = 1
        columns: dict[str, NDArray[Any]] = {**flat, "terminations": ends[0], "truncations": ends[1]}
        index = self._counts.get(task, 0)
        row = {
            "id": index,
            "seed": goal_seed,
            "total_steps": steps,
            "policy_row": policy_row,
            "success_step": success_step,
            "split": split_code(split, hdf5.SPLITS),
        }
        for name, column in self._flat.items():
            self._append(task, name, column, columns[name], split)
        for name, value in row.items():
            entry = np.array([value], dtype=TABLE[name].dtypes[0])
            self._append(task, f"episodes/{name}", TABLE[name], entry, split)
        self._counts[task] = index + 1
        return index

    def _problem(self, flat: dict[str, NDArray[np.float32]], steps: int, success_step: int) -> tuple[str, str]:
        """What is wrong with an episode, and what to do; empty where nothing is."""
        lengths = {"observations": steps + 1, "actions": steps, "rewards": steps}
        wanted = {name: (n, *self._flat[name].tail) for name, n in lengths.items()}
        found = {name: array.shape for name, array in flat.items()}
        if found != wanted or not 1 <= steps <= MAX_STEPS:
            fix = "give one observation more than actions and rewards, all of one episode"
            return f"has arrays that do not fit together: {found}", fix
        if not all(np.isfinite(array).all() for array in flat.values()):
            return "has values that are not finite", "leave this episode out; the simulation has diverged"
        if not -1 <= success_step < steps:
            fix = "count steps from 0 within the episode, -1 for no success"
            return f"has a success step, {success_step}, that lies outside its {steps} steps", fix
        return "", ""


def flat_columns(observation_size: int, action_size: int) -> dict[str, Column]:
    """The flat datasets of a task; 256-row chunks of whole frames compressed best (to a quarter, on 24 episodes)."""
    return {
        "observations": Column(("float32",), (observation_size,), 256),
        "actions": Column(("float32",), (action_size,), 1024),
        "rewards": Column(("float32",), (), 1024),
        "terminations": Column(("uint8",), (), 4096),
        "truncations": Column(("uint8",), (), 4096),
    }

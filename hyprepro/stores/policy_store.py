"""The policy store: trained policies as flat parameter vectors, with what is known about each.

/policies/<task>/params    [N, P]  float16 or float32, gzip, chunks of rows
                 seed      [N]     the SAC seed of the run
                 step      [N]     environment steps of training at the checkpoint
                 success   [N]     success rate in [0, 1] over `episodes` fresh goals; NaN if the task has no success
                 episodes  [N]
                 return    [N]     mean undiscounted return of these episodes
                 split     [N]     uint8, index into (train, validation, test)
attributes (JSON): layout, units, splits, versions, route; text: kind, digest; integer: schema
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout, Precision
from hyprepro.stores import hdf5, once
from hyprepro.stores.base import SPLIT_CODES, Column, Rows, StoreReader, StoreWriter, split_code

if TYPE_CHECKING:
    from hyprepro.engine.stage import StoreFile

POLICY_SPLITS = ("train", "test")
META: dict[str, Column] = {
    "seed": Column(("int32",)),
    "step": Column(("int64",)),
    "success": Column(("float32",)),
    "episodes": Column(("int32",)),
    "return": Column(("float32",)),
    "split": Column(("uint8",)),
}
UNITS = {
    "params": "dimensionless weights and biases",
    "step": "environment steps",
    "success": "fraction of episodes, 0 to 1; NaN where the environment has no success flag",
    "return": "undiscounted sum of the environment's reward",
}
CHUNK_ROWS = 4
MAX_POLICIES = 1_000_000


class PolicyStore(StoreReader):
    """A policy store opened for reading; see the module for its format.

    Attributes:
        layout: The layout of every policy, activations included.
        route: How the policies were made (JSON-ready).
        versions: Versions of the libraries that made them.
        digest: The recorded SHA-256 of the content.
    """

    kind = "policy"
    root = "policies"
    json_attributes = ("layout", "units", "splits", "versions", "route")
    may_be_nan = frozenset({"success"})
    shape_attribute, counted = "layout", "seed"

    def __init__(self, path: str | Path, layout: PolicyLayout | None = None, withheld: Collection[str] = ()) -> None:
        self._wanted = layout
        self._withheld = frozenset(withheld)
        self._meta: dict[str, dict[str, NDArray[Any]]] = {}
        self._splits: dict[str, NDArray[np.str_]] = {}
        super().__init__(path)

    def _validate(self) -> None:
        self.layout = PolicyLayout.from_json(self.attributes["layout"])
        if self._wanted is not None and self._wanted.layers != self.layout.layers:
            found, wanted = (f"{each.shape} ({each.size} parameters)" for each in (self.layout, self._wanted))
            raise UserError(
                f"The store holds policies of another layout: {found}; expected {wanted}.",
                where=self.where,
                fix=f"name a store of this layout; what this one holds: hyprepro store info {self.path}",
            )
        once.once_a_process(self.file, self._check)

    @classmethod
    def open(cls, path: str | Path, layout: PolicyLayout | None = None) -> PolicyStore:
        """Open and validate a store; with `layout`, one whose layers are exactly those (its activations may differ).

        Raises:
            UserError: Missing, truncated, not HDF5, another kind, schema or layout, malformed.
        """
        return cls(path, layout)

    @classmethod
    def of(cls, file: StoreFile) -> PolicyStore:
        """Open the store that a stage holds: of split "train" no policies of withheld tasks, of others those kept."""
        return cls(file.path, withheld=file.withheld)._see(file)

    @property
    def weights(self) -> Precision:
        """The widest type that weights are kept in."""
        return "float32" if any(self.column(task, "params").dtype == np.float32 for task in self.tasks) else "float16"

    def count(self, task: str, split: str | None = None) -> int:
        """Number of policies of a task, in one split or in all."""
        return len(self.rows(task, split))

    def training_tasks(self) -> list[str]:
        """The tasks with training policies, in the store's order.

        Raises:
            UserError: There is none.
        """
        tasks = [task for task in self.tasks if self.count(task, "train")]
        if not tasks:
            raise UserError(
                "The policy store has no training policies.", where=self.where, fix=f"hyprepro store info {self.path}"
            )
        return tasks

    def rows(self, task: str, split: str | None = None) -> NDArray[np.int64]:
        """Row numbers of a task's policies, ascending `[k]`."""
        if split is not None:
            split_code(split, POLICY_SPLITS)
            if split == "train" and task in self._withheld:
                return np.empty(0, dtype=np.int64)
        return self._shown(task, self._split(task), split)

    def training_seeds(self, task: str, left_out: bool = False) -> NDArray[np.int64]:
        """The seeds of a task's training runs, ascending `[k]`, withheld tasks' too; -1 is no run.

        Args:
            task: The task.
            left_out: Those too that have training policies of which none is shown.
        """
        meta = self.meta(task)
        trained = meta["split"] == "train"
        if not left_out and task in self._kept:
            trained &= np.isin(self.owners(task), self._kept[task])
        return np.unique(meta["seed"][trained & (meta["seed"] >= 0)])

    def meta(self, task: str) -> dict[str, NDArray[Any]]:
        """What is known about each policy: seed, step, success, episodes, return `[N]`, and split as words `[N]`."""
        if task not in self._meta:
            columns = {name: self.column(task, name) for name in META}
            table = {name: hdf5.read_rows(data, 0, data.shape[0], self.where) for name, data in columns.items()}
            table["split"] = self._split(task)
            if not _are_rates(table["success"]):
                raise self._damaged("A recorded success rate is not between 0 and 1.", task)
            self._meta[task] = table
        return self._meta[task]

    def read(self, task: str, rows: ArrayLike) -> NDArray[np.float32]:
        """Parameters of the given rows, in the given order `[k, P]` float32, read chunk by chunk.

        Raises:
            UserError: A row that does not exist, a damaged chunk, a value that is not finite.
        """
        data, wanted = self.column(task, "params"), np.asarray(rows, dtype=np.int64).reshape(-1)
        place = f"{self.where}:/policies/{task}/params"
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < data.shape[0]):
            raise UserError(
                f"Row {int(wanted.max())} of {data.shape[0]} policies was asked for.",
                where=place,
                fix=f"rows count from 0 to {data.shape[0] - 1}",
            )
        if self._part is not None and not np.isin(wanted, self.rows(task)).all():
            raise self._hidden(f"another policy of {task}")
        out = np.empty((wanted.size, self.layout.size), dtype=np.float32)
        chunk = data.chunks[0] if data.chunks else 64
        for index in np.unique(wanted // chunk):
            members = np.flatnonzero(wanted // chunk == index)
            low = int(index) * chunk
            block = hdf5.read_rows(data, low, min(low + chunk, data.shape[0]), self.where)
            out[members] = block[wanted[members] - low]
        finite = np.isfinite(out).all(axis=1)
        if not finite.all():
            raise UserError(
                "A stored policy has parameters that are not finite.",
                where=f"{place}, row {wanted[~finite][0]}",
                fix=f"hyprepro store verify {self.path} lists all of them",
            )
        return out

    def owners(self, task: str) -> NDArray[np.int64]:
        return np.arange(self.column(task, "split").shape[0])

    def split_mask(self, task: str, column: str, split: str, kept: Rows = None) -> NDArray[np.bool_]:
        codes = self.column(task, "split")
        mask: NDArray[np.bool_] = hdf5.read_rows(codes, 0, codes.shape[0], self.where) == SPLIT_CODES[split]
        return mask if kept is None else mask & np.isin(self.owners(task), kept)

    def names(self) -> tuple[str, ...]:
        return ("params", *META)

    def _split(self, task: str) -> NDArray[np.str_]:
        """The split of each policy in words `[N]`."""
        if task not in self._splits:
            self._splits[task] = self._split_column(self.column(task, "split"))
        return self._splits[task]

    def _check(self) -> bool:
        """Whether all tasks are well-formed (`UserError` if one is not)."""
        for task in self.tasks:
            self._check_task(self.group(task), task)
        return True

    def _check_task(self, group: h5py.Group, task: str) -> None:
        params = hdf5.dataset(group, "params", ("float16", "float32"), (self.layout.size,), self.where)
        if params.shape[0] > MAX_POLICIES:
            raise UserError(
                f"More than {MAX_POLICIES} policies of one task.",
                where=f"{self.where}:/policies/{task}",
                fix="split the store into several",
            )
        for name, column in META.items():
            data = hdf5.dataset(group, name, column.dtypes, (), self.where)
            if data.shape[0] != params.shape[0]:
                raise self._damaged(f"{params.shape[0]} policies but {data.shape[0]} entries in {name!r}.", task)


class PolicyStoreWriter(StoreWriter):
    """Writes a policy store row block by row block; the file appears under its name when `close()` has finished it.

    Args:
        path: The store to write.
        layout: The layout of every policy.
        route: How the policies are made (JSON-ready), declared in the store and in every result.
        dtype: float16 halves the file; the rounding is checked to be without overflow.
        versions: Library versions; the installed ones if None.
    """

    kind = "policy"
    root = "policies"
    shape_attribute, counted = "layout", "seed"

    def __init__(
        self,
        path: str | Path,
        layout: PolicyLayout,
        route: dict[str, Any],
        dtype: Precision = "float16",
        versions: dict[str, str] | None = None,
    ) -> None:
        super().__init__(path, {"layout": layout.to_json(), "units": UNITS, "route": route}, versions)
        self.layout = layout
        self._params = Column((dtype,), (layout.size,), CHUNK_ROWS)

    def append(
        self,
        task: str,
        params: ArrayLike,
        seed: ArrayLike,
        step: ArrayLike,
        success: ArrayLike,
        episodes: ArrayLike,
        returns: ArrayLike,
        split: str,
    ) -> None:
        """Append `k` policies of a task: parameters `[k, P]`, the rest `[k]` or one number for all.

        Raises:
            UserError: Values that are not finite or overflow the store's dtype, a success rate outside [0, 1] (NaN says
                that the environment has none).
        """
        flat = np.asarray(params)
        if flat.ndim != 2 or flat.shape[1] != self.layout.size:
            raise UserError(
                f"Expected policies of {self.layout.size} parameters, got an array of shape {flat.shape}.",
                where=str(self.path),
                fix="append whole policies of the store's layout, one a row",
            )
        rates = np.asarray(success, dtype=np.float32)
        if not _are_rates(rates) or not np.isfinite(np.asarray(returns, dtype=np.float64)).all():
            raise UserError(
                f"A success rate of a {task} policy is outside [0, 1], or its return is not finite.",
                fix="give shares from 0 to 1, NaN where success is unknown, and finite returns",
            )
        rows = self._rounded(task, flat)
        values: dict[str, ArrayLike] = {
            "seed": seed,
            "step": step,
            "success": success,
            "episodes": episodes,
            "return": returns,
            "split": split_code(split, POLICY_SPLITS),
        }
        table = {name: _column(name, value, len(flat)) for name, value in values.items()}
        self._append(task, "params", self._params, rows, split)
        for name, column in table.items():
            self._append(task, name, META[name], column, split)

    def _rounded(self, task: str, flat: NDArray[Any]) -> NDArray[Any]:
        if not np.isfinite(flat).all():
            raise UserError(
                f"A {task} policy has parameters that are not finite; it was not stored.",
                where=str(self.path),
                fix="leave this policy out; its training has diverged",
            )
        with np.errstate(over="ignore"):
            rows = flat.astype(self._params.dtypes[0])
        if not np.isfinite(rows).all():
            raise UserError(
                f"A {task} policy has a parameter of {np.abs(flat).max():.3g}, too large for {rows.dtype.name}.",
                where=str(self.path),
                fix="write the store with dtype float32",
            )
        return rows


def _are_rates(values: NDArray[np.floating[Any]]) -> bool:
    return bool(np.all(np.isnan(values) | ((values >= 0) & (values <= 1))))


def _column(name: str, value: ArrayLike, count: int) -> NDArray[Any]:
    full = np.broadcast_to(np.asarray(value), count)
    column = np.ascontiguousarray(full, META[name].dtypes[0])
    if column.dtype.kind in "iu" and not np.array_equal(column, full):
        raise ValueError(f"{name} does not fit {column.dtype}")
    return column

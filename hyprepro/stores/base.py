"""What the policy store and the trajectory store share: columns, attributes, digest, verification, writing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.provenance import versions as installed_versions
from hyprepro.errors import UserError, closest_match, refuse_unknown
from hyprepro.stores import atomic, hdf5, once

if TYPE_CHECKING:
    from hyprepro.engine.stage import StoreFile

SPLIT_CODES = {name: code for code, name in enumerate(hdf5.SPLITS)}
PARTS = "parts"
"""Attribute of a task: the digest of its rows, by split (JSON); stores of older versions have none."""
ROW = "row"
"""In these digests, the place of each row in its task: episodes name policies by it."""

Rows = tuple[int, ...] | None
"""Policies of a task by their rows; None: all of them."""


@dataclass(frozen=True)
class Column:
    """One dataset of a task: its allowed dtypes (the first is written), its shape after the row axis, chunk rows."""

    dtypes: tuple[str, ...]
    tail: tuple[int, ...] = ()
    chunk_rows: int = 1024


class StoreReader(ABC):
    """An open store. Use as a context manager, or `close()` it. Only the small per-row tables are held in memory."""

    kind: ClassVar[str]
    schema: ClassVar[int] = 1
    root: ClassVar[str]
    json_attributes: ClassVar[tuple[str, ...]]
    may_be_nan: ClassVar[frozenset[str]] = frozenset()
    """Columns in which NaN stands for what is unknown."""
    shape_attribute: ClassVar[str]
    """The attribute that says what a row means; with the rows it is all that training reads."""
    counted: ClassVar[str]
    """The column that has one entry a policy or episode."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.where = str(path)
        self.file: h5py.File = hdf5.open_store(self.path, self.kind, self.schema)
        try:
            self.attributes = {name: hdf5.read_json(self.file, name, self.where) for name in self.json_attributes}
            self.digest = hdf5.read_text(self.file, "digest", self.where)
            if self.attributes["splits"] != SPLIT_CODES:
                raise UserError(f"The store's splits are not {SPLIT_CODES}.", where=self.where, fix=hdf5.FOREIGN)
            self.versions: dict[str, str] = {k: str(v) for k, v in self.attributes["versions"].items()}
            self.route: dict[str, Any] = self.attributes["route"]
            self._groups = hdf5.task_groups(self.file, self.root, self.where)
            self._part: StoreFile | None = None
            self._kept: dict[str, tuple[int, ...]] = {}
            self._validate()
        except UserError:
            self.file.close()
            raise
        except Exception as error:  # h5py raises many kinds on what HDF5 cannot make sense of
            self.file.close()
            raise hdf5.damaged(self.where, error) from error
        except BaseException:
            self.file.close()
            raise

    @abstractmethod
    def _validate(self) -> None:
        """Check what a kind of store holds, before anything is read of it."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the store holds, sorted."""
        return tuple(self._groups)

    def task(self, name: str = "") -> str:
        """The task of a name, or the store's only one (`UserError` if there is none, or several to choose from)."""
        if not name and len(self.tasks) != 1:
            raise UserError(
                f"The store has {len(self.tasks)} tasks, and none was named.",
                where=self.where,
                fix=f"name one of its tasks: {', '.join(self.tasks)}",
            )
        found = name or self.tasks[0]
        self.group(found)
        return found

    @property
    def size_on_disk(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def group(self, task: str) -> h5py.Group:
        """The group of a task (`UserError` with the closest name if the store does not have it)."""
        if task not in self._groups:
            raise UserError(
                f"The {self.kind} store has no task {task!r}.",
                where=self.where,
                closest=closest_match(task, self.tasks),
                fix=f"it has {', '.join(self.tasks) or 'no task'}",
            )
        return self._groups[task]

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The datasets of a task, by their paths in its group."""

    def columns(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """Every dataset with its path below the root, such as `door-open/params`."""
        for task, name in product(self.tasks, self.names()):
            yield f"{task}/{name}", self.column(task, name)

    def column(self, task: str, name: str) -> h5py.Dataset:
        """A dataset of a task by its path in the task's group."""
        return hdf5.stored(self.group(task), name, self.where)

    def _damaged(self, what: str, task: str) -> UserError:
        return UserError(what, where=f"{self.where}:/{self.root}/{task}", fix=hdf5.DAMAGED)

    def computed_digest(self) -> str:
        """The digest of what the file really holds: a full scan."""
        digest = hdf5.ContentDigest()
        for name, data in self.columns():
            for _, rows in hdf5.blocks(data, self.where):
                digest.update(name, rows)
        return digest.hexdigest(semantic(self.kind, self.schema, self.attributes))

    @abstractmethod
    def owners(self, task: str) -> NDArray[np.int64]:
        """The policy, by its row, that each of a task's rows is or is of; -1 where it is not stored `[N]`."""

    @abstractmethod
    def split_mask(self, task: str, column: str, split: str, kept: Rows = None) -> NDArray[np.bool_]:
        """Which rows of a task's column belong to a split, and to one of the policies `kept`; None: to any."""

    def part_digest(self, task: str, split: str, kept: Rows = None) -> str:
        """The digest of a task's rows of one split, as recorded or, in a store without, computed; empty without rows.

        It stays when rows of other tasks or splits are appended.

        Args:
            task: The task.
            split: The split.
            kept: Of these policies alone; None: of all.
        """
        group = self.group(task)
        if kept is not None and np.isin(self.owners(task)[self.split_mask(task, self.counted, split)], kept).all():
            kept = None
        with hdf5.reading(self.where):
            is_recorded = PARTS in group.attrs
        if is_recorded and kept is None:
            return str(hdf5.read_json(group, PARTS, self.where).get(split, ""))
        name = f"{task}/{split}" + (f"/{','.join(map(str, kept))}" if kept is not None else "")
        return once.once_for_all(self.file, name, lambda: self.computed_part(task, split, kept))

    def computed_part(self, task: str, split: str, kept: Rows = None) -> str:
        """The same of what the file really holds."""
        digest, found = hdf5.ContentDigest(), False
        for column in self.names():
            full, data, mask = f"{task}/{column}", self.column(task, column), self.split_mask(task, column, split, kept)
            found = found or bool(mask.any())
            digest.update(full, np.zeros((0, *data.shape[1:]), data.dtype.newbyteorder("=")))
            for low, rows in hdf5.blocks(data, self.where, mask):
                digest.update(full, rows[mask[low : low + len(rows)]])
            if column == self.counted:
                digest.update(f"{task}/{ROW}", np.flatnonzero(mask))
        return (
            digest.hexdigest(semantic(self.kind, self.schema, self.attributes, self.shape_attribute)) if found else ""
        )

    def _see(self, file: StoreFile) -> Self:
        """Show the rows alone that a file's holder may read."""
        self._part = file if file.splits else None
        self._kept = dict(file.kept)
        return self

    def _shown(self, task: str, splits: NDArray[np.str_], split: str | None) -> NDArray[np.int64]:
        """Which rows of a task, whose splits are these, belong to a split, or to any, and are to be seen.

        Raises:
            UserError: Training asks for a split that its stages' keys do not cover.
        """
        part, shown = self._part, np.ones(len(splits), dtype=bool)
        if task in self._kept:
            shown = (splits == "test") | np.isin(self.owners(task), self._kept[task])
        if part is None:
            return np.flatnonzero(shown if split is None else shown & (splits == split))
        if split not in (None, *part.splits):
            raise self._hidden(f"the split {split}")
        wanted = part.splits if split is None else (split,)
        return np.flatnonzero(shown & np.isin(splits, wanted) & (task in part.tasks))

    def _hidden(self, what: str) -> UserError:
        splits = () if self._part is None else self._part.splits
        return UserError(
            f"Training reads the splits {' and '.join(splits)} of the training tasks alone; {what} was asked for.",
            where=self.where,
            fix="read it in Method.deploy: a training stage is kept by the content of what training reads",
        )

    def verify(self) -> list[str]:
        """Problems found by reading everything: values that are not finite, content that does not match the digest."""
        return hdf5.collect_problems(self._problems)

    def _problems(self) -> Iterator[str]:
        for name, data in self.columns():
            is_bad = np.isinf if name.rpartition("/")[2] in self.may_be_nan else _is_not_finite
            bad = sum(int(is_bad(rows).sum()) for _, rows in hdf5.blocks(data, self.where))
            if bad:
                yield f"{name}: {bad} values are not finite"
        found = self.computed_digest()
        if found != self.digest:
            yield f"the content does not match the digest: recorded {self.digest[:16]}, found {found[:16]}"
        for task, split in product(self.tasks, hdf5.SPLITS):
            if self.part_digest(task, split) != self.computed_part(task, split):
                yield f"{task}: the rows of the split {split} do not match their digest"

    def _split_column(self, data: h5py.Dataset) -> NDArray[np.str_]:
        codes = hdf5.read_rows(data, 0, data.shape[0], self.where)
        if codes.size and int(codes.max()) >= len(hdf5.SPLITS):
            raise UserError(
                f"Unknown split code {int(codes.max())}.", where=f"{self.where}:{data.name}", fix=hdf5.DAMAGED
            )
        words: NDArray[np.str_] = np.array(hdf5.SPLITS)[codes]
        return words


def _is_not_finite(rows: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = ~np.isfinite(rows)
    return found


class StoreWriter:
    """Base of the writers: append rows, then `close()`. Leaving the context by an exception leaves no file."""

    kind: ClassVar[str]
    schema: ClassVar[int] = 1
    root: ClassVar[str]
    shape_attribute: ClassVar[str]
    counted: ClassVar[str]

    def __init__(self, path: str | Path, attributes: dict[str, Any], versions: dict[str, str] | None) -> None:
        self.path = Path(path)
        versions = installed_versions() if versions is None else versions
        self._attributes = {**attributes, "splits": SPLIT_CODES, "versions": versions}
        self._digest = hdf5.ContentDigest()
        self._columns: dict[str, h5py.Dataset] = {}
        self._parts: dict[str, dict[str, hdf5.ContentDigest]] = {}
        self._open = True
        self._out = atomic.AtomicFile(self.path)
        with self._out.guard():
            self._out.file.create_group(self.root)
            for name, data in self._attributes.items():
                hdf5.write_json(self._out.file, name, data)

    def _append(self, task: str, name: str, column: Column, rows: NDArray[Any], split: str) -> None:
        """Append `rows` of a split, already of the column's dtype, to the dataset `<root>/<task>/<name>`."""
        hdf5.check_task_name(task)
        full = f"{task}/{name}"
        if rows.shape[1:] != column.tail or rows.dtype.name not in column.dtypes:
            raise ValueError(f"{full}: expected rows of {column.tail} {column.dtypes}, got {rows.shape} {rows.dtype}")
        with self._out.guard():
            if full not in self._columns:
                group = self._out.file.require_group(f"{self.root}/{full}".rpartition("/")[0])
                leaf = name.rpartition("/")[2]
                self._columns[full] = atomic.growing(group, leaf, rows.dtype.name, column.tail, column.chunk_rows)
            atomic.extend(self._columns[full], rows)
        self._digest.update(full, rows)
        part = self._parts.setdefault(task, {}).setdefault(split, hdf5.ContentDigest())
        part.update(full, rows)
        if name == self.counted:
            last = self._columns[full].shape[0]
            part.update(f"{task}/{ROW}", np.arange(last - len(rows), last))

    def close(self) -> str:
        """Finish the store: write its digest, flush it to disk, rename it into place. Returns the digest."""
        digest = self._digest.hexdigest(semantic(self.kind, self.schema, self._attributes))
        with self._out.guard():
            hdf5.write_text(self._out.file, "kind", self.kind)
            self._out.file.attrs["schema"] = np.int64(self.schema)
            hdf5.write_text(self._out.file, "digest", digest)
            meaning = semantic(self.kind, self.schema, self._attributes, self.shape_attribute)
            for task, parts in self._parts.items():
                digests = {split: part.hexdigest(meaning) for split, part in parts.items()}
                hdf5.write_json(self._out.file[f"{self.root}/{task}"], PARTS, digests)
        self._out.commit()
        self._open = False
        return digest

    def discard(self) -> None:
        """Give up: remove what was written so far."""
        self._out.discard()
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            if error is None:
                self.close()
            else:
                self.discard()


def semantic(kind: str, schema: int, attributes: dict[str, Any], *some: str) -> dict[str, Any]:
    """The attributes that belong to a digest: all of them, or some."""
    return {"kind": kind, "schema": schema, **{name: attributes[name] for name in some or attributes}}


def split_code(split: str, allowed: tuple[str, ...]) -> int:
    """The uint8 code of a split (`UserError` for another word)."""
    refuse_unknown(split, allowed, f"Unknown split {split!r}.", fix=f"one of {', '.join(allowed)}")
    return SPLIT_CODES[split]

"""What the policy store and the trajectory store share: columns, attributes, digest, verification, writing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.provenance import versions as installed_versions
from hyprepro.errors import UserError, closest_match
from hyprepro.stores import atomic, hdf5

SPLIT_CODES = {name: code for code, name in enumerate(hdf5.SPLITS)}


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
            self._validate()
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
    def names(self) -> Iterable[str]:
        """The datasets of every task."""

    def columns(self) -> list[tuple[str, h5py.Dataset]]:
        """Every dataset with its path below the root, such as `door-open/params`."""
        names = list(self.names())
        return [(f"{task}/{name}", self.group(task)[name]) for task in self.tasks for name in names]

    def _damaged(self, what: str, task: str) -> UserError:
        return UserError(what, where=f"{self.where}:/{self.root}/{task}", fix=hdf5.DAMAGED)

    def computed_digest(self) -> str:
        """The digest of what the file really holds: a full scan."""
        digest = hdf5.ContentDigest()
        for name, data in self.columns():
            for _, rows in hdf5.blocks(data, self.where):
                digest.update(name, rows)
        return digest.hexdigest(semantic(self.kind, self.schema, self.attributes))

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

    def __init__(self, path: str | Path, attributes: dict[str, Any], versions: dict[str, str] | None) -> None:
        self.path = Path(path)
        versions = installed_versions() if versions is None else versions
        self._attributes = {**attributes, "splits": SPLIT_CODES, "versions": versions}
        self._digest = hdf5.ContentDigest()
        self._columns: dict[str, h5py.Dataset] = {}
        self._open = True
        self._out = atomic.AtomicFile(self.path)
        with self._out.guard():
            self._out.file.create_group(self.root)
            for name, data in self._attributes.items():
                hdf5.write_json(self._out.file, name, data)

    def _append(self, task: str, name: str, column: Column, rows: NDArray[Any]) -> None:
        """Append `rows`, already of the column's dtype, to the dataset `<root>/<task>/<name>`."""
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

    def close(self) -> str:
        """Finish the store: write its digest, flush it to disk, rename it into place. Returns the digest."""
        digest = self._digest.hexdigest(semantic(self.kind, self.schema, self._attributes))
        with self._out.guard():
            hdf5.write_text(self._out.file, "kind", self.kind)
            self._out.file.attrs["schema"] = np.int64(self.schema)
            hdf5.write_text(self._out.file, "digest", digest)
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


def semantic(kind: str, schema: int, attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that belong to the digest."""
    return {"kind": kind, "schema": schema, **attributes}


def split_code(split: str, allowed: tuple[str, ...]) -> int:
    """The uint8 code of a split (`UserError` for another word)."""
    if split not in allowed:
        raise UserError(
            f"Unknown split {split!r}.", closest=closest_match(split, allowed), fix=f"one of {', '.join(allowed)}"
        )
    return SPLIT_CODES[split]

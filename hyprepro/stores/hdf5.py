"""Reading HDF5 files that may be hostile.

A store comes from somebody else as often as from us. Nothing in it is executed or unpickled; only plain numeric
datasets with known names, dtypes, ranks and common filters are read, in blocks, and text is JSON of limited size.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError, closest_match

SPLITS = ("train", "validation", "test")
"""The splits; a store's uint8 `split` column holds the index into this tuple."""

MAX_TEXT = 60_000
MAX_ROWS = 100_000_000
MAX_CHUNK_BYTES = 64 * 2**20
MOST_EXPANDED = 1032
"""What deflate makes of a byte at most; more is claimed only by rows that nobody wrote."""
SMALL = 2**20
"""Bytes that nobody needs to hold: rows of zeros."""
BLOCK_BYTES = 8 * 2**20
_TASK_NAME = re.compile(r"(?=.{1,64}$)[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*")
_SAFE_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_UPGRADE = "pip install -U hyprepro"
DAMAGED = "fetch the store again (git checkout restores a bundled one), or collect it anew: hyprepro collect"
FOREIGN = "name a store that hyprepro wrote, or fetch this one again; other people's policies: hyprepro store --help"
"""What to do with a file that was once a store, and with one that never was."""


def write_text(holder: Any, name: str, text: str) -> None:
    """Write an attribute as fixed-length UTF-8, whose size a reader knows before reading it."""
    data = text.encode()
    if len(data) > MAX_TEXT:
        raise UserError(
            f"The attribute {name!r} has {len(data)} bytes; a store holds at most {MAX_TEXT}.",
            fix="shorten what the store says of itself",
        )
    holder.attrs.create(name, np.bytes_(data), dtype=h5py.string_dtype("utf-8", max(len(data), 1)))


def write_json(holder: Any, name: str, data: Any) -> None:
    """Write JSON-ready data as an attribute, in canonical form."""
    write_text(holder, name, json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False))


def read_text(holder: Any, name: str, where: str) -> str:
    """Read a text attribute, refusing missing ones, other types and oversized values (`UserError`)."""
    with reading(where):
        if name not in holder.attrs:
            raise UserError(f"The store lacks the attribute {name!r}.", where=where, fix=FOREIGN)
        stored = holder.attrs.get_id(name)
        if stored.dtype.kind != "S" or stored.dtype.itemsize > MAX_TEXT or stored.shape != ():
            raise UserError(
                f"The attribute {name!r} is not text of at most {MAX_TEXT} bytes.", where=where, fix=FOREIGN
            )
        try:
            value = holder.attrs[name]
            return str(value.decode() if isinstance(value, bytes) else value)
        except (UnicodeDecodeError, OSError) as error:
            raise UserError(f"The attribute {name!r} cannot be read.", where=f"{where}: {error}", fix=DAMAGED) from None


def read_json(holder: Any, name: str, where: str) -> dict[str, Any]:
    """Read a JSON object from an attribute (`UserError` unless it is a well-formed object without NaN)."""
    try:
        data = json.loads(read_text(holder, name, where), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The attribute {name!r} is not valid JSON.", where=f"{where}: {error}", fix=FOREIGN) from None
    if not isinstance(data, dict):
        raise UserError(f"The attribute {name!r} must be a JSON object.", where=where, fix=FOREIGN)
    return data


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not allowed")


def open_store(path: Path, kind: str, schema: int) -> h5py.File:
    """Open a store for reading after checking that it is one, of this kind and of a schema that we know.

    Raises:
        UserError: Missing, truncated, not HDF5, another kind, a newer schema.
    """
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.h5")] if path.parent.is_dir() else []
        raise UserError(
            f"There is no {kind} store here.",
            where=str(path),
            closest=closest_match(path.name, near),
            fix="check the path, or make a store with: hyprepro collect",
        )
    file = open_unlocked(path, f"{kind} store")
    try:
        _check_header(file, path, kind, schema)
    except UserError:
        file.close()
        raise
    except Exception as error:  # h5py raises many kinds on what HDF5 cannot make sense of
        file.close()
        raise damaged(str(path), error) from error
    return file


def open_unlocked(path: Path, what: str = "store") -> h5py.File:
    """Open an HDF5 file for reading, without a lock: nothing is written, and many file systems have no locks.

    Raises:
        UserError: It is truncated, not HDF5, not readable, or in the hands of another process.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        problem, fix = _why_closed(error, path)
        raise UserError(f"The {what} {problem}.", where=f"{path}: {error}", fix=fix) from None


def _why_closed(error: OSError, path: Path) -> tuple[str, str]:
    """What is wrong with a file that HDF5 does not open, and what to do."""
    text = str(error)
    if "already open for" in text:  # a flag that its writer sets in the file
        return (
            "is open for writing in another process, or was when one died",
            f"wait until it is closed there; if none has it open: h5clear -s {path}, or copy it anew",
        )
    if "lock file" in text:  # only where the environment asks for locks
        return (
            "cannot be locked: another process has it open for writing, or its file system is one without locks",
            "it is read without a lock unless the environment asks for one: export HDF5_USE_FILE_LOCKING=FALSE",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return "cannot be read", "change its permissions, or copy it to a place of yours"
    problem = "is truncated" if "truncated" in text else "cannot be opened as an HDF5 file"
    return problem, f"fetch it again (git checkout, or copy it anew), then: hyprepro store verify {path}"


def damaged(where: str, error: Exception) -> UserError:
    """What to say of a file in which HDF5 or h5py found something that it cannot read."""
    return UserError("The store is damaged.", where=f"{where}: {type(error).__name__}: {error}"[:500], fix=DAMAGED)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what h5py raises on what HDF5 cannot read into a `UserError`.

    HDF5 reads an object when it is first used, which may be long after the file was opened.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, SystemError) as error:
        raise damaged(where, error) from None


def stored(group: h5py.Group, name: str, where: str) -> h5py.Dataset:
    """A dataset that was checked when its file was opened (`UserError` if it cannot be read any more)."""
    with reading(where):
        return group[name]


def _check_header(file: h5py.File, path: Path, kind: str, schema: int) -> None:
    found = read_text(file, "kind", str(path))
    if found != kind:
        raise UserError(
            f"This is a {found} store, not a {kind} store.",
            where=str(path),
            fix=f"name a {kind} store; perhaps two paths are swapped. It is shown by: hyprepro store info {path}",
        )
    stored = file.attrs.get_id("schema") if "schema" in file.attrs else None
    if stored is None or stored.dtype.kind not in "iu" or stored.shape != ():
        raise UserError("The store does not state its schema number.", where=str(path), fix=FOREIGN)
    number = int(file.attrs["schema"])
    if number != schema:
        age = "a newer hyprepro" if number > schema else "an older hyprepro"
        raise UserError(
            f"The store was written by {age}: schema {number}; this version reads schema {schema}.",
            where=str(path),
            fix=_UPGRADE if number > schema else "collect it again: hyprepro collect",
        )


def task_groups(file: h5py.File, root: str, where: str) -> dict[str, h5py.Group]:
    """The task groups under `root`, by name, in sorted order (`UserError` for links and odd names)."""
    group = hard_member(file, root, h5py.Group, where)
    names = sorted(group)
    for name in names:
        if not _TASK_NAME.fullmatch(name):
            raise UserError(
                f"The store has a task with an unusual name: {name[:80]!r}.", where=f"{where}:/{root}", fix=FOREIGN
            )
    return {name: hard_member(group, name, h5py.Group, where) for name in names}


def check_task_name(task: str) -> None:
    """Refuse names that a reader would refuse."""
    if not _TASK_NAME.fullmatch(task):
        raise UserError(
            f"A task name has lower-case letters, digits, hyphens and single dots; got {task[:80]!r}.",
            fix="--task NAME, or rename the task where its policies come from",
        )


def hard_member(group: h5py.Group, name: str, kind: type, where: str) -> Any:
    """A member of a group, which must lie in this very file (no soft or external link) and be of the given class."""
    try:
        is_hard = group.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
    except (KeyError, RuntimeError):  # no such name
        is_hard = False
    if not is_hard:
        place = _place(group, name, where)
        raise UserError("The store lacks a member, or it is a link to elsewhere.", where=place, fix=FOREIGN)
    try:
        member = group[name]
    except (OSError, KeyError, RuntimeError) as error:
        place = _place(group, name, where)
        raise UserError("The store is damaged.", where=f"{place}: {error}", fix=DAMAGED) from None
    if not isinstance(member, kind):
        what = f"A member of the store is not a {kind.__name__.lower()}."
        raise UserError(what, where=_place(group, name, where), fix=FOREIGN)
    return member


def _place(group: h5py.Group, name: str, where: str) -> str:
    """A member's place, for messages; HDF5 takes long to tell it."""
    return f"{where}:{group.name.rstrip('/')}/{name}"


def dataset(group: h5py.Group, name: str, dtypes: tuple[str, ...], tail: tuple[int, ...], where: str) -> h5py.Dataset:
    """A dataset `[rows, *tail]` of one of `dtypes`, checked before a byte of it is read.

    Raises:
        UserError: Another dtype or shape, too many rows, external or virtual storage, an unknown filter, huge chunks.
    """
    data = hard_member(group, name, h5py.Dataset, where)
    with reading(where):
        problem = _unfit(data, dtypes, tail)
    if problem:
        raise UserError(problem, where=_place(group, name, where), fix=FOREIGN)
    return data


def _unfit(data: h5py.Dataset, dtypes: tuple[str, ...], tail: tuple[int, ...]) -> str:
    """What keeps a dataset from being read; empty if nothing does."""
    dtype, shape, made = data.dtype, data.shape, data.id.get_create_plist()
    layout = made.get_layout()
    if dtype.newbyteorder("=").name not in dtypes:
        return f"Expected {' or '.join(dtypes)}, found {dtype}."
    if shape is None or len(shape) != 1 + len(tail) or shape[1:] != tail:
        return f"Expected the shape [{', '.join(['rows', *map(str, tail)])}], found {shape}."
    if shape[0] > MAX_ROWS:
        return f"The dataset claims {shape[0]} rows; at most {MAX_ROWS} are read."
    filters = {made.get_filter(number)[0] for number in range(made.get_nfilters())}
    if layout == h5py.h5d.VIRTUAL or made.get_external_count() or not filters <= _SAFE_FILTERS:
        return "The dataset is stored outside the file or with an unknown filter."
    if layout == h5py.h5d.CHUNKED and math.prod(made.get_chunk()) * dtype.itemsize > MAX_CHUNK_BYTES:
        return "The dataset has chunks of more than 64 MiB."
    if made.get_nfilters() > len(filters):
        return "The dataset goes through one filter several times."
    claimed, held = math.prod(shape) * dtype.itemsize, data.id.get_storage_size()
    if claimed > held * MOST_EXPANDED + SMALL:
        return f"The dataset claims {claimed} bytes, of which the file holds {held}."
    return ""


def read_rows(data: h5py.Dataset, low: int, high: int, where: str) -> NDArray[Any]:
    """Rows `low` to `high`, in native byte order (`UserError` if the file is damaged there)."""
    try:
        block = data[low:high]
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            "The store is damaged.", where=f"{where}:{data.name}, rows {low} to {high}: {error}", fix=DAMAGED
        ) from None
    return np.asarray(block, dtype=data.dtype.newbyteorder("="))


def blocks(
    data: h5py.Dataset, where: str, wanted: NDArray[np.bool_] | None = None
) -> Iterator[tuple[int, NDArray[Any]]]:
    """All rows in order as (first row, block), at most about 8 MiB at a time and aligned to chunks.

    Args:
        data: The dataset `[N, ...]`.
        where: Its place, for messages.
        wanted: Blocks without any of these rows `[N]` are left out; None: all are wanted.
    """
    row_bytes = max(1, data.dtype.itemsize * math.prod(data.shape[1:]))
    chunk = data.chunks[0] if data.chunks else 1
    step = max(1, BLOCK_BYTES // (row_bytes * chunk)) * chunk
    for low in range(0, data.shape[0], step):
        if wanted is None or wanted[low : low + step].any():
            yield low, read_rows(data, low, min(low + step, data.shape[0]), where)


class ContentDigest:
    """SHA-256 over what a store says (names, shapes, dtypes, little-endian bytes, attributes), not over file bytes."""

    def __init__(self) -> None:
        self._data: dict[str, tuple[list[int], str, Any]] = {}

    def update(self, name: str, rows: NDArray[Any]) -> None:
        """Rows appended to the dataset `name`."""
        little = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
        shape, _, sha = self._data.setdefault(name, ([0, *rows.shape[1:]], little.dtype.name, hashlib.sha256()))
        shape[0] += len(little)
        sha.update(little.tobytes())

    def hexdigest(self, attributes: dict[str, Any]) -> str:
        """64 hexadecimal digits for the data so far together with the semantic attributes (JSON-ready)."""
        table = [[name, shape, dtype, sha.hexdigest()] for name, (shape, dtype, sha) in sorted(self._data.items())]
        text = json.dumps([attributes, table], sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def collect_problems(check: Callable[[], Iterator[str]]) -> list[str]:
    """Run a generator of problems; a `UserError` inside is the last problem."""
    problems: list[str] = []
    try:
        problems.extend(check())
    except UserError as error:
        problems.append(f"{error.what} {error.where}".rstrip())
    return problems

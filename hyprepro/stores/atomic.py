"""Writing HDF5 so that a store appears complete or not at all, whatever happens to the process or to the disk."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.cache import lock
from hyprepro.errors import UserError


class AtomicFile:
    """An HDF5 file that appears under its name only when it is complete.

    It is written as `<name>.partial` beside the target; `commit` flushes it to disk and renames it. Without a commit
    nothing is left, and what stood under the name before is untouched. Its writer holds a lock on it, so that a second
    one is refused; the lock ends with the process.

    Raises:
        UserError: Another process is writing this file, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        with self.guard():
            self._sink = _Sink(_locked(self.partial))
            self.file = h5py.File(self._sink, "w", libver=("v110", "v110"), rdcc_nbytes=4 * 2**20)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn a failed write into a `UserError` and remove the half-written file."""
        try:
            yield
            self._sink.raise_failure()
        except BlockingIOError:
            raise UserError(
                "Another process is writing this store.",
                where=str(self.path),
                fix="wait for it to finish, or choose another name or folder",
            ) from None
        except UserError:
            raise
        except (OSError, RuntimeError) as error:
            self.discard()
            raise _as_user_error(error, self.path) from None

    def commit(self) -> None:
        """Close, flush to disk and rename into place."""
        with self.guard():
            self.file.close()
            self._sink.raise_failure()
            self._sink.sync()
            os.replace(self.partial, self.path)  # still under the lock
            self._sink.close()

    def discard(self) -> None:
        """Close and remove the half-written file."""
        with suppress(OSError, RuntimeError, AttributeError):
            self.file.close()
        if hasattr(self, "_sink"):
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)  # still under the lock
            with suppress(OSError):
                self._sink.close()


def _locked(path: Path) -> io.FileIO:
    """The file, empty, opened and locked; what a killed process left of it is gone.

    Raises:
        BlockingIOError: Another process has the lock.
        UserError: There are no locks here; so nobody else writes the file, and it is removed.
    """
    fix = "write the store to a local disk and move it here when it is complete"
    while True:
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            lock(file, path, fix)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                return file
        except UserError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        except BaseException:
            file.close()
            raise
        file.close()  # its writer renamed it before we had the lock


class _Sink:
    """The file below HDF5, which never sees a failed write.

    HDF5 crashes the process at exit when it could not flush a file. So the first failure is kept for `raise_failure`;
    what is written from then on (caches that HDF5 flushes while it closes) stays in memory until the file is discarded.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._failure: OSError | None = None
        self._lost: list[tuple[int, bytes]] = []
        self._position = 0

    def raise_failure(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise OSError(self._failure.errno, self._failure.strerror)

    def sync(self) -> None:
        """Have the bytes on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._lost.clear()
        self._file.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; only the start and the end are used as reference."""
        self._position = offset + (self._end() if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def read(self, size: int) -> bytes:
        """The next `size` bytes; h5py knows a file by this method and reads with `readinto`."""
        data = bytearray(size)
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; bytes that were never written are zero."""
        view, start = memoryview(buffer).cast("B"), self._position
        data = bytearray(os.pread(self._file.fileno(), len(view), start).ljust(len(view), b"\0"))
        for offset, lost in self._lost:
            low, high = max(offset, start), min(offset + len(lost), start + len(view))
            if low < high:
                data[low - start : high - start] = lost[low - offset : high - offset]
        view[:] = data
        self._position += len(view)
        return len(view)

    def write(self, buffer: Any) -> int:
        """Write all of the buffer, to the file or, after a failure, to memory."""
        data, start = bytes(buffer), self._position
        self._position += len(data)
        try:
            done = 0
            while self._failure is None and done < len(data):
                done += os.pwrite(self._file.fileno(), data[done:], start + done)
        except OSError as error:
            self._failure = error
        if self._failure is not None:
            self._lost.append((start, data))
        return len(data)

    def truncate(self, size: int) -> int:
        """Set the length."""
        try:
            if self._failure is None:
                self._file.truncate(size)
        except OSError as error:
            self._failure = error
        return size

    def flush(self) -> None:
        """Nothing is buffered."""

    def _end(self) -> int:
        return max([os.fstat(self._file.fileno()).st_size, *(offset + len(data) for offset, data in self._lost)])


def growing(group: h5py.Group, name: str, dtype: str, tail: tuple[int, ...], chunk_rows: int) -> h5py.Dataset:
    """Create a dataset `[0, *tail]` that grows by rows, compressed as well as gzip can, with reproducible bytes."""
    return group.create_dataset(
        name,
        shape=(0, *tail),
        maxshape=(None, *tail),
        dtype=np.dtype(dtype).newbyteorder("<"),
        chunks=(chunk_rows, *tail),
        compression="gzip",
        compression_opts=9,
        shuffle=True,
        track_times=False,
    )


def extend(data: h5py.Dataset, rows: NDArray[Any]) -> None:
    """Append rows to a growing dataset."""
    start = data.shape[0]
    data.resize(start + len(rows), axis=0)
    data[start:] = rows


def _as_user_error(error: Exception, path: Path) -> UserError:
    """What to tell the user about a failed write."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            "The disk is full: the store was not written.",
            where=str(path),
            fix="free some space and run the same command again; earlier files are untouched",
        )
    return UserError(
        "The store could not be written.",
        where=f"{path}: {error}",
        fix="check that the folder exists and is writable, then run the same command again",
    )

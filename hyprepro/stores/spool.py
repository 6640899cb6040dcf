"""Random batches of stored policies, as fast as from memory and in memory that does not grow with the store.

A store is compressed in chunks of rows, so a random row costs a whole chunk. A spool reads every chunk once, in order,
into an unnamed temporary file of plain rows, from which any row is one small read; the system caches what fits.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyprepro.errors import UserError

if TYPE_CHECKING:
    from hyprepro.stores.policy_store import PolicyStore

_BLOCK = 64


class PolicySpool:
    """The policies of some tasks as plain float32 rows on disk; a context manager.

    Args:
        store: An open policy store; it is not needed any more afterwards.
        tasks: Whose policies, task by task; all tasks if None.
        split: Only policies of this split; all if None.
        folder: Where the temporary file lies: as large as the policies in float32. The system's place if None.

    Raises:
        UserError: A damaged store, or a full disk.
    """

    def __init__(
        self,
        store: PolicyStore,
        tasks: tuple[str, ...] | None = None,
        split: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.size = store.layout.size
        self._rows = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        try:
            for task in store.tasks if tasks is None else tasks:
                self._copy(store, task, store.rows(task, split))
        except OSError as error:
            self.close()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise UserError(
                "The disk is full: policies could not be unpacked.",
                where=str(folder or tempfile.gettempdir()),
                fix="free some space, or set TMPDIR to a folder with more",
            ) from None
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._rows

    def __enter__(self) -> PolicySpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the space on disk back."""
        self._file.close()

    def read(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Parameters of the given rows, in the given order `[k, P]` float32.

        Raises:
            IndexError: A row that does not exist.
        """
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < self._rows):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {self._rows} policies")
        out = np.empty((wanted.size, self.size), dtype=np.float32)
        for row, target in zip(wanted.tolist(), out, strict=True):
            os.preadv(self._file.fileno(), [target.data], row * self.size * 4)
        return out

    def _copy(self, store: PolicyStore, task: str, rows: NDArray[np.int64]) -> None:
        for low in range(0, len(rows), _BLOCK):
            block = store.read(task, rows[low : low + _BLOCK])
            left = block.reshape(-1).view(np.uint8).data
            while left:
                left = left[self._file.write(left) :]
            self._rows += len(block)

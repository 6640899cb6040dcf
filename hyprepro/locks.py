"""Locks between processes, which the kernel releases when their holder dies, and file systems that have none."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any

from hyprepro.errors import UserError


def lock(file: IO[Any], path: Path, fix: str, wait: bool = False) -> None:
    """Lock an open file for this process alone, until it is closed.

    Args:
        file: The open file.
        path: Its path, for the message.
        fix: What to do where there are no locks: which other folder to name, and how.
        wait: Wait for another process that holds the lock.

    Raises:
        BlockingIOError: Another process holds the lock; not with `wait`.
        UserError: The file system has no locks, as some network, cluster and user-space ones.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if isinstance(error, BlockingIOError) and not wait:
            raise
        raise UserError(
            f"The file system gives no lock: {error.strerror}.",
            where=f"{path} (two processes that write the same file are kept apart by flock)",
            fix=fix,
        ) from None

"""Who opens what: inotify on a folder that nobody has any business in (Linux)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ACCESS, _MODIFY, _OPEN, _CREATE, _DELETE = 0x1, 0x2, 0x20, 0x100, 0x200
_LISTED = 0x40000000
"""Of an event: it is about a folder; the folder itself is listed by whoever looks for files."""


class Watch:
    """A folder whose files are watched."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def seen(self) -> bool:
        """Whether a file in it was opened, read, written, made or removed since this was last asked."""
        found = False
        while True:
            try:
                events = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            place = 0
            while place < len(events):
                mask = int.from_bytes(events[place + 4 : place + 8], "little")
                found = found or not mask & _LISTED
                place += 16 + int.from_bytes(events[place + 12 : place + 16], "little")


@contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """Watch the files of a folder for the time of a block.

    Raises:
        OSError: The system gives no watch.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    try:
        if libc.inotify_add_watch(descriptor, os.fsencode(folder), _ACCESS | _MODIFY | _OPEN | _CREATE | _DELETE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        yield Watch(descriptor)
    finally:
        os.close(descriptor)

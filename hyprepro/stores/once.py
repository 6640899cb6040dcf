"""What is found in a store's file, once for each state of the file: in a process, or for all processes.

The state is the file's identity, size and times. A file that was written a moment ago is searched every time, since a
further change might not show in them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import h5py

from hyprepro.engine.memory import Memory
from hyprepro.engine.source import source_digest

SETTLED_NS = 2 * 10**9
"""Age of a file from which on a further change shows in its times, however coarse these are."""
FILES = 16
Found = TypeVar("Found")
_FOUND: dict[tuple[int, ...], Any] = {}


def once_a_process(file: h5py.File, find: Callable[[], Found]) -> Found:
    """What `find` finds in an open file; one kind of search a file."""
    state = _state(file)
    if state in _FOUND:
        kept: Found = _FOUND[state]
        return kept
    found = find()
    if state:
        if len(_FOUND) >= FILES:
            _FOUND.clear()
        _FOUND[state] = found
    return found


def once_for_all(file: h5py.File, name: str, find: Callable[[], str]) -> str:
    """The text of a name that `find` finds in an open file, by the code of the stores as it is now."""
    state, memory, entry = _state(file), _memory(), f"{os.path.realpath(file.filename)}:{name}"
    known = memory.recall(entry, str(state)) if state else None
    if known is not None:
        return str(known)
    found = find()
    if state:
        memory.remember(entry, str(state), found)
        memory.keep()
    return found


def _state(file: h5py.File) -> tuple[int, ...]:
    """The state of an open file; empty if it may change without a trace."""
    stat = os.fstat(file.id.get_vfd_handle())
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) < SETTLED_NS:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@cache
def _memory() -> Memory:
    return Memory.beside(__file__, source_digest({"hyprepro.stores.policy_store", "hyprepro.stores.trajectory_store"}))

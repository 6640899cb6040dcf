"""What is found in a store's file holds for one state of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from hyprepro.engine.memory import Memory
from hyprepro.stores import once
from hyprepro.stores.hdf5 import open_unlocked

Search = Callable[[], int]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that was written a moment ago."""
    memory = Memory(tmp_path / "memory.json", "test")
    monkeypatch.setattr(once, "_memory", lambda: memory)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = [1]
    return tmp_path / "s.h5"


@pytest.fixture(params=["process", "all"])
def search(request: pytest.FixtureRequest, path: Path) -> tuple[Search, list[int]]:
    """A search, and how often it really took place."""
    searches: list[int] = []

    def look(file: h5py.File) -> str:
        searches.append(1)
        return str(file["x"][0])

    def found() -> int:
        with open_unlocked(path) as file:
            if request.param == "process":
                return int(once.once_a_process(file, lambda: look(file)))
            return int(once.once_for_all(file, "x", lambda: look(file)))

    return found, searches


def test_a_file_that_was_written_a_moment_ago_is_searched_every_time(search: tuple[Search, list[int]]) -> None:
    found, searches = search
    assert (found(), found(), len(searches)) == (1, 1, 2)


def test_another_is_searched_once_until_it_changes(
    path: Path, search: tuple[Search, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, searches = search
    monkeypatch.setattr(once, "SETTLED_NS", 0)
    assert (found(), found(), len(searches)) == (1, 1, 1)
    times = path.stat()
    with h5py.File(path, "r+") as file:
        file["x"][0] = 2
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns - 1))  # as a tool that restores times may leave it
    assert (found(), found(), len(searches)) == (2, 2, 2)


def test_what_is_found_for_all_is_known_to_another_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "SETTLED_NS", 0)
    with open_unlocked(path) as file:
        assert once.once_for_all(file, "x", lambda: "1") == "1"
        again = Memory(path.with_name("memory.json"), "test")
        monkeypatch.setattr(once, "_memory", lambda: again)
        assert once.once_for_all(file, "x", lambda: "2") == "1"
        assert once.once_for_all(file, "y", lambda: "2") == "2"

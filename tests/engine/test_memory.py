"""What is remembered of a file holds for its very state, whatever became of the memory's own file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hyprepro.engine import memory
from hyprepro.engine.memory import Memory

VALUE = ["5" * 64, ["lab.parts"]]


@pytest.fixture(autouse=True)
def writes_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A memory of one file, kept."""
    path = tmp_path / "__pycache__" / "memory.json"
    kept = Memory(path, "maker")
    kept.remember("lab.model", "state", VALUE)
    kept.keep()
    return path


def test_another_process_recalls_what_was_kept(file: Path) -> None:
    assert Memory(file, "maker").recall("lab.model", "state") == VALUE
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("maker", "name", "state"),
    [("another", "lab.model", "state"), ("maker", "lab.other", "state"), ("maker", "lab.model", "another")],
)
def test_it_holds_for_nothing_else(file: Path, maker: str, name: str, state: str) -> None:
    assert Memory(file, maker).recall(name, state) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: data.replace(b"lab.parts", b"lab.parks"),
        lambda data: b"\xff" + data,
        lambda data: b"",
        lambda data: data.split(b"\n")[1],
    ],
    ids=["cut short", "a letter", "no text", "empty", "no checksum"],
)
def test_a_damaged_file_is_made_again(file: Path, damage) -> None:
    file.write_bytes(damage(file.read_bytes()))
    found = Memory(file, "maker")
    assert found.recall("lab.model", "state") is None
    found.remember("lab.model", "state", VALUE)
    found.keep()
    assert Memory(file, "maker").recall("lab.model", "state") == VALUE


def test_where_nothing_can_be_written_nothing_is_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    in_the_way = Memory(file / "inside.json", "maker")
    in_the_way.remember("lab.model", "state", VALUE)
    in_the_way.keep()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    unwanted = Memory(file, "maker")
    unwanted.remember("lab.model", "another", VALUE)
    unwanted.keep()
    assert file.read_bytes() == before


def test_it_does_not_grow_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ENTRIES", 2)
    found = Memory(file, "maker")
    found.remember("second", "state", 2)
    found.remember("third", "state", 3)
    assert [found.recall(name, "state") for name in ("lab.model", "second", "third")] == [None, 2, 3]


def test_it_stands_beside_the_bytecode_of_its_module(tmp_path: Path) -> None:
    module = str(tmp_path / "module.py")
    found = Memory.beside(module, "maker")
    found.remember("lab.model", "state", VALUE)
    found.keep()
    assert [path.suffix for path in (tmp_path / "__pycache__").iterdir()] == [".json"]
    assert Memory.beside(module, "maker").recall("lab.model", "state") == VALUE
    assert Memory.beside(module, "another").recall("lab.model", "state") is None

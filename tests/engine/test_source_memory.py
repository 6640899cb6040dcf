"""What is remembered of a module holds for its very bytes, whatever became of the file that holds the memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hyprepro.engine.source_memory import Read, SourceMemory

READ = Read("5" * 64, ["lab.parts"])
CODE = b"x = 1\n"


@pytest.fixture(autouse=True)
def writes_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A memory of one module, kept."""
    path = tmp_path / "__pycache__" / "memory.json"
    memory = SourceMemory(path, "reader")
    memory.remember("lab.model", "lab", CODE, READ)
    memory.keep()
    return path


def test_another_process_recalls_what_was_kept(file: Path) -> None:
    assert SourceMemory(file, "reader").recall("lab.model", "lab", CODE) == READ
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("reader", "name", "package", "content"),
    [
        ("another", "lab.model", "lab", CODE),
        ("reader", "lab.other", "lab", CODE),
        ("reader", "lab.model", "lab.model", CODE),
        ("reader", "lab.model", "lab", b"x = 2\n"),
    ],
)
def test_it_holds_for_nothing_else(file: Path, reader: str, name: str, package: str, content: bytes) -> None:
    assert SourceMemory(file, reader).recall(name, package, content) is None


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
    memory = SourceMemory(file, "reader")
    assert memory.recall("lab.model", "lab", CODE) is None
    memory.remember("lab.model", "lab", CODE, READ)
    memory.keep()
    assert SourceMemory(file, "reader").recall("lab.model", "lab", CODE) == READ


def test_where_nothing_can_be_written_nothing_is_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    in_the_way = SourceMemory(file / "inside.json", "reader")
    in_the_way.remember("lab.model", "lab", CODE, READ)
    in_the_way.keep()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    unwanted = SourceMemory(file, "reader")
    unwanted.remember("lab.model", "lab", b"x = 2\n", READ)
    unwanted.keep()
    assert file.read_bytes() == before


def test_a_memory_belongs_to_its_reader_and_stands_beside_its_bytecode(tmp_path: Path) -> None:
    reader = tmp_path / "reader.py"
    reader.write_bytes(b"a = 1\n")
    memory = SourceMemory.beside(reader)
    memory.remember("lab.model", "lab", CODE, READ)
    memory.keep()
    assert SourceMemory.beside(reader).recall("lab.model", "lab", CODE) == READ
    reader.write_bytes(b"a = 2\n")
    assert SourceMemory.beside(reader).recall("lab.model", "lab", CODE) is None
    assert SourceMemory.beside(tmp_path / "none.py").recall("lab.model", "lab", CODE) is None

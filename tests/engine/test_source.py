from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hyprepro.engine import source
from hyprepro.engine.memory import Memory
from hyprepro.engine.source import source_digest

MODEL = '''
"""A model."""
from __future__ import annotations
from typing import TYPE_CHECKING
from lab.parts import half
from . import parts
from hyprepro.component import setting

if TYPE_CHECKING:
    from lab import notes


def forward(x: float, times: int = 3) -> float:
    """Apply the model."""
    # a comment
    from lab import late
    if x < 0:
        raise ValueError("negative")
    return half(x) * times + late.OFFSET


rate = setting(0.1, "The rate.", source="paper", ge=0.0)
'''
FILES = {"model": MODEL, "parts": "def half(x):\n    return x / 2\n", "late": "OFFSET = 1\n", "notes": "N = 1\n"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    """A package that is known but not imported."""
    folder = tmp_path / "lab"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    package = ModuleType("lab")
    package.__path__ = [str(folder)]
    sys.modules["lab"] = package
    yield folder
    del sys.modules["lab"]
    forget()


def forget() -> None:
    source._digest.cache_clear()
    source._read.cache_clear()


def digest_after(lab: Path, file: str, old: str, new: str) -> tuple[str, str]:
    forget()
    before = source_digest(["lab.model"])
    path = lab / f"{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    forget()
    return before, source_digest(["lab.model"])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("model", "* times", "+ times"),
        ("model", "times: int = 3", "times: int = 4"),
        ("model", "setting(0.1", "setting(0.2"),
        ("model", "x < 0", "x < 1"),
        ("parts", "x / 2", "x / 3"),
        ("late", "OFFSET = 1", "OFFSET = 2"),
    ],
)
def test_code_that_can_change_a_result_changes_the_digest(lab: Path, file: str, old: str, new: str) -> None:
    before, after = digest_after(lab, file, old, new)
    assert before != after


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("model", "Apply the model.", "Apply it."),
        ("model", '"""A model."""', ""),
        ("model", "# a comment", "# another\n\n"),
        ("model", "x: float", "x: int"),
        ("model", "-> float", "-> int"),
        ("model", '"negative"', '"x must not be negative"'),
        ("model", '"The rate."', '"The learning rate."'),
        ("model", 'source="paper"', 'source="ours"'),
        ("notes", "N = 1", "N = 2"),
    ],
)
def test_wording_and_types_do_not(lab: Path, file: str, old: str, new: str) -> None:
    before, after = digest_after(lab, file, old, new)
    assert before == after


def test_a_source_is_parsed_once_for_all_processes_and_again_however_soon_it_is_edited(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = source._parsed
    monkeypatch.setattr(source, "_parsed", lambda name, *rest: parsed.append(name) or parse(name, *rest))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def digest() -> str:
        """As a process of its own finds it."""
        memory = Memory(tmp_path / "memory.json", "reader")
        monkeypatch.setattr(source, "_memory", lambda: memory)
        forget()
        return source_digest(["lab.model"])

    before = digest()
    assert {"lab.model", "lab.parts", "lab.late"} <= set(parsed)
    parsed.clear()
    assert digest() == before
    assert not parsed
    times = (lab / "parts.py").stat()
    (lab / "parts.py").write_text(FILES["parts"].replace("2", "3"))
    os.utime(lab / "parts.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest() != before
    assert parsed == ["lab.parts"]


def test_modules_that_are_not_imported_do_not_count(lab: Path) -> None:
    forget()
    assert source_digest(["lab.late"]) != source_digest(["lab.parts"])
    late = source_digest(["lab.late"])
    (lab / "parts.py").write_text("")
    forget()
    assert source_digest(["lab.late"]) == late


def test_the_code_behind_a_real_stage_is_found() -> None:
    from hyprepro.experiments.rollouts import Rollouts

    assert source._file_of(Rollouts.__module__) is not None
    _, imported = source._read(Rollouts.__module__, Path(str(sys.modules[Rollouts.__module__].__file__)))
    assert {"hyprepro.domains.episodes", "hyprepro.domains.base", "hyprepro.reports.records"} <= set(imported)

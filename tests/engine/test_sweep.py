"""What killed processes leave behind, and what living ones are at work on."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import attempt
from hyprepro.engine.memory import SETTLED, Memory
from hyprepro.engine.stage import Report, explain_os_error, staging_folder, sweep, write_atomically
from hyprepro.errors import UserError
from tests.engine.toy_stages import Toy

AT_WORK = """
import sys, time
from pathlib import Path
from hyprepro.engine.stage import _opened, staging_folder
file = _opened(Path(sys.argv[1]) / ".result.json.1.partial")
with staging_folder(Path(sys.argv[1])) as folder:
    (folder / "records").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_living_process_makes_stays_and_what_a_killed_one_left_goes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sweep(tmp_path, ".*.partial")
        assert len(names(tmp_path)) == 2
        process.kill()
        process.wait()
    assert len(names(tmp_path)) == 2
    (tmp_path / "table.md").write_text("whole")
    (tmp_path / ".mine.partial").mkdir()  # of somebody who holds no lock
    sweep(tmp_path)
    assert names(tmp_path) == [".mine.partial", ".result.json.1.partial", "table.md"]
    write_atomically(tmp_path / "result.json", b"whole")
    assert names(tmp_path) == [".mine.partial", "result.json", "table.md"]


def test_writing_a_file_removes_what_was_left_of_it_alone(tmp_path: Path) -> None:
    for left in (".a[1].json.99999.partial", ".b.json.99999.partial"):
        (tmp_path / left).write_text("half")
    write_atomically(tmp_path / "a[1].json", b"whole")
    assert names(tmp_path) == [".b.json.99999.partial", "a[1].json"]
    assert (tmp_path / "a[1].json").read_bytes() == b"whole"


def test_a_folder_in_the_making_is_gone_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with staging_folder(tmp_path) as folder:
            (folder / "x").write_text("half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert names(tmp_path) == []


def test_where_there_are_no_locks_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    (tmp_path / ".x.1.partial").write_text("perhaps another machine's")
    sweep(tmp_path, ".*.partial")
    write_atomically(tmp_path / "y", b"whole")
    assert names(tmp_path) == [".x.1.partial", "y"]


def test_the_memory_beside_bytecode_forgets_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    old, new = (tmp_path / f"x.cpython-311.{number}-1.partial" for number in (1, 2))
    for path in (old, new):
        path.write_text("half")
    long_ago = time.time() - 2 * SETTLED
    os.utime(old, (long_ago, long_ago))
    memory = Memory(tmp_path / "x.cpython-311.json", "maker")
    memory.remember("a", "state", 1)
    memory.keep()
    assert names(tmp_path) == ["x.cpython-311.2-1.partial", "x.cpython-311.json"]


class Greedy(Toy):
    """Needs more memory than there is."""

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        (work / "half.txt").write_text("half")
        bytearray(2**62)


def test_a_stage_without_memory_is_told_so(tmp_path: Path) -> None:
    kind, error = attempt(Greedy(), ArtifactCache(tmp_path), lambda: None)
    assert kind == "user"
    assert isinstance(error, UserError)
    assert error.what == "Memory ran out."
    assert "--workers" in error.fix


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "The disk is full."),
        (OSError(errno.EFBIG, "File too large", "x"), "A file may not become so large here."),
        (RuntimeError("I/O error: File too large (os error 27)"), "A file may not become so large here."),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "The disk is full."),
        (OSError(errno.EMFILE, "Too many open files", "x"), "Too many files are open."),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Memory ran out."),
        (MemoryError(), "Memory ran out."),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "Memory ran out."),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "x"), "The file system failed"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), "A folder stands where a file is needed."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_system_refuses_is_explained(error: Exception, says: str) -> None:
    found = explain_os_error(error, Path("folder"))
    assert found is not None
    assert says in found.what
    assert found.fix
    assert explain_os_error(ValueError("ours"), Path("folder")) is None

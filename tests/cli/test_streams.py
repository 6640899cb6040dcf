"""Closed, absent, full and abandoned output: work is done all the same, and exit codes say what happened."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hyprepro.stores.policy_store import PolicyStore
from tests.conftest import TinyStores

PROGRAM = f"{sys.executable} -m hyprepro"


def shell(command: str, folder: Path) -> tuple[int, str]:
    """The exit code of a command line in bash, and what it wrote to files named out and err."""
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    shown = "".join(path.read_text() for path in sorted(folder.glob("*.txt")))
    return done.returncode, shown + done.stdout + done.stderr


@pytest.mark.parametrize(
    ("redirection", "code", "panels"),
    [
        (">&- 2>err.txt", 0, 0),
        (">/dev/full 2>err.txt", 2, 1),
        ("--json >/dev/full 2>err.txt", 2, 1),
        ("--help >/dev/full 2>err.txt", 2, 1),
        (">out.txt 2>&-", 0, 0),
        (">out.txt 2>/dev/full", 0, 0),
        ("<&- >&- 2>&-", 0, 0),
        (">/dev/full 2>/dev/full", 2, 0),
    ],
)
def test_results_that_nobody_can_read(tmp_path: Path, redirection: str, code: int, panels: int) -> None:
    found, shown = shell(f"{PROGRAM} list {redirection}", tmp_path)
    assert found == code, shown
    assert shown.count("cannot do this") == panels, shown
    assert "mistake in hyprepro" not in shown
    assert "Exception ignored" not in shown


@pytest.mark.parametrize(
    "redirection",
    [">&- 2>err.txt", ">/dev/full 2>err.txt", "2>&-", "2>/dev/full", ">&- 2>&- <&-", "2> >(true)", "--json >/dev/full"],
)
def test_a_users_mistake_keeps_its_code_and_its_one_panel(tmp_path: Path, redirection: str) -> None:
    code, shown = shell(f"{PROGRAM} run nosuch {redirection}", tmp_path)
    assert code == 2, shown
    assert shown.count("cannot do this") <= 1
    assert "mistake in hyprepro" not in shown


@pytest.mark.parametrize(
    "state", ["sys.stdout = None", "sys.stdout.close()", "sys.stderr = None", "sys.stderr.close()"]
)
def test_a_program_without_streams(tmp_path: Path, state: str) -> None:
    program = f"import sys; {state}; from hyprepro.cli import main; main()"
    for arguments, code in ((["list"], 0), (["run", "nosuch"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == code, done.stderr


def test_a_file_never_takes_the_place_of_a_closed_output(tmp_path: Path, tiny_stores: TinyStores) -> None:
    """Whatever is written to descriptor 1 or 2 while a store is open must not end up in the store."""
    program = (
        "import os, sys; from hyprepro.cli import app, console; from hyprepro.stores import policy_store as p\n"
        "@app.command()\n"
        "def copy(source: str, out: str) -> None:\n"
        "    with p.PolicyStore.open(source) as store, p.PolicyStoreWriter(out, store.layout, store.route) as writer:\n"
        "        writer.append('reach', store.read('reach', [0]), 0, 0, 1.0, 1, 0.0, 'train')\n"
        "        os.write(1, b'of a library'); os.write(2, b'of another'); console.line('done'); console.note('done')\n"
        "app()\n"
    )
    (tmp_path / "copier.py").write_text(program)
    code, shown = shell(f"{sys.executable} copier.py copy {tiny_stores.policies} new.h5 <&- >&- 2>&-", tmp_path)
    assert code == 0, shown
    with PolicyStore.open(tmp_path / "new.h5") as store:
        assert store.verify() == []


def test_letters_that_an_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    code, shown = shell(f"PYTHONIOENCODING=ascii {PROGRAM} run nosüch >out.txt 2>err.txt", tmp_path)
    assert code == 2
    assert "nos\\xfcch" in shown


@pytest.mark.sim
@pytest.mark.parametrize(
    ("redirection", "code"), [(">/dev/full 2>/dev/full", 2), (">&- 2>&- <&-", 0), ("2> >(true) | true", 0)]
)
def test_a_run_writes_its_result_whoever_reads_along(
    tmp_path: Path, tiny_stores: TinyStores, redirection: str, code: int
) -> None:
    bindings = [
        f"MetaWorld.policies='{tiny_stores.policies}'",
        f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
        "Recipe.methods=(@Expert(),)",
        "Recipe.protocols=(@StrictProtocol(),)",
        "Recipe.below=()",
        "Recipe.prompts_per_task=1",
    ]
    options = shlex.join(
        ["--scale", "smoke", "--workers", "1", "--out", "out", *(f"--bind={each}" for each in bindings)]
    )
    found, shown = shell(f"{PROGRAM} run table1 {options} {redirection}", tmp_path)
    assert found == code, shown
    assert "mistake in hyprepro" not in shown
    assert json.loads((tmp_path / "out" / "result.json").read_text())["rows"]

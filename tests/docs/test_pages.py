"""Every command and block of the README and of the site is run, those that take long as dry runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hyprepro.cli import COMMANDS, app
from hyprepro.component import COMPONENTS
from tests.docs.pages import PAGES, ROOT, blocks, commands, typed

DRY = ("run", "sweep", "check")
"""Commands that take a dry run, and get one; at smoke scale if the page names none."""
READ = (
    *("collect", "curves", "film", "generate", "pull", "push"),
    *("store fetch", "store import-maa", "store merge", "store subset", "store verify"),
)
"""Commands of which the line is read, and no more: each takes long even when dry, asks a server, or needs what another
one makes in minutes, and has tests of its own. So is a line with an executor, whose cluster is not here, or a tracker,
whose package may not be."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Other tests know the shipped components alone."""
    path, before = list(sys.path), set(COMPONENTS)
    yield
    sys.path[:] = path
    for name in set(COMPONENTS) - before:
        sys.modules.pop(COMPONENTS.pop(name).__module__, None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder like the repository's, in which nothing can be harmed."""
    for name in ("results", "examples", "paper_tables"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "stores").mkdir()
    for path in (ROOT / "stores").iterdir():
        (tmp_path / "stores" / path.name).symlink_to(path)
    for name in ("runs/table1/smoke", "theirs"):
        shutil.copytree(ROOT / "results" / "table1" / "desktop", tmp_path / name)
    for kind in ("policies", "trajectories"):  # what a page collects, and no test does
        (tmp_path / f"zoo.{kind}.h5").symlink_to(ROOT / "stores" / f"metaworld-independent.{kind}.h5")
    (tmp_path / "maa.h5").symlink_to(ROOT / "stores" / "metaworld.policies.h5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYPREPRO_CACHE", str(tmp_path / "cache"))
    return tmp_path


def _hyprepro(words: list[str]) -> None:
    name = next((each for each in READ if words[: len(each.split())] == each.split()), words[0])
    if name in READ or "--executor" in words or "--track" in words:
        _read(words)
        return
    dry = ["--dry-run"] if name in DRY and "--dry-run" not in words else []
    dry += ["--scale", "smoke"] if name in ("run", "sweep") and "--scale" not in words else []
    done = CliRunner().invoke(app, [*words, *dry])
    assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}"


def _read(words: list[str]) -> None:
    """Read a command line as typer does, and stop."""
    command = COMMANDS[words[0]].load(words[0])
    context = command.make_context(words[0], words[1:], resilient_parsing=False)
    if hasattr(command, "commands"):
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        inner.make_context(name, rest)


def _pip(words: list[str]) -> None:
    """What is installed is this project, an extra that it has, or a package that is pinned."""
    assert words[0] == "install"
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for word in words[1:]:
        extras = re.fullmatch(r"(?:\.|hyprepro)(?:\[([\w,]+)\])?", word)
        if extras:
            assert set(filter(None, (extras[1] or "").split(","))) <= set(PROJECT["optional-dependencies"])
        else:
            assert word in ("-e", "-c", "constraints.txt") or re.search(rf"^{word}==", pinned, re.MULTILINE)


def _nox(words: list[str]) -> None:
    sessions = re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert words == [] or (words[0] == "-s" and words[1] in sessions)


def _echo(words: list[str]) -> None:
    subprocess.run("echo " + shlex.join(words).replace("'>'", ">"), shell=True, check=True)


PROGRAMS: dict[str, Callable[[list[str]], None]] = {"hyprepro": _hyprepro, "pip": _pip, "nox": _nox, "echo": _echo}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(page: Path, folder: Path) -> None:
    for line in commands(page):
        program, *words = shlex.split(line)
        PROGRAMS[program](words)


def test_what_is_typed_on_machines_that_are_not_here_is_at_least_read() -> None:
    lines = [shlex.split(line) for page in PAGES for line in typed(page)]
    assert {words[0] for words in lines} == {"docker", "hyprepro", "ray"}
    for words in lines:
        for place, pair in enumerate(pairwise(words)):  # after an image's name, too
            if pair[0] == "hyprepro" and pair[1] in COMMANDS:
                _read(words[place + 1 :])


def test_there_is_no_block_that_nothing_tries() -> None:
    found = {block.language for page in PAGES for block in blocks(page)}
    shown = {"mermaid", "{eval-rst}", "{include}", "{literalinclude}", "{toctree}"}
    assert found - shown == {"bash", "console", "python"}
    with_python = {page.stem for page in PAGES for block in blocks(page) if block.language == "python"}
    assert with_python == {"README", "tutorial"}  # which tests/test_api.py runs


def test_the_container_runs_the_first_command_of_the_readme() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    install, run = list(commands(ROOT / "README.md"))[:2]
    assert f"CMD {json.dumps(shlex.split(run))}" in lines
    assert f"RUN {install.replace('install', 'install --no-cache-dir')}" in lines


def test_the_hosted_checks_are_those_of_nox() -> None:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    (line,) = re.findall(r"options\.sessions = (.*)", (ROOT / "noxfile.py").read_text(encoding="utf-8"))
    assert job["strategy"]["matrix"]["session"] == json.loads(line)
    test_command = next(line for line in commands(ROOT / "README.md") if line.startswith("nox"))
    assert job["steps"][-1]["run"].endswith(test_command.replace("tests", "${{ matrix.session }}"))

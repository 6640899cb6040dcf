"""What a command imports: each imports what it needs, so that help, completion and lists answer at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.main import get_command

from hyprepro.cli import COMMANDS, app

SIMULATORS = {"torch", "mujoco", "metaworld", "gymnasium", "scipy", "matplotlib", "ray", "submitit"}
NUMBERS = {"numpy", "h5py", "yaml", "gin"}
PROGRAM = (
    "import atexit, sys; from hyprepro.cli import app\n"
    "atexit.register(lambda: sys.stderr.write('\\n' + ' '.join(sys.modules)))\n"
    "app(prog_name='hyprepro')"
)


def imported(arguments: list[str], **variables: str) -> set[str]:
    """The modules that a command line has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    return set(done.stderr.splitlines()[-1].split())


def completed(line: str) -> set[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    return imported([], _HYPREPRO_COMPLETE="complete_bash", **words)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_imports_no_command(arguments: list[str]) -> None:
    found = imported(arguments)
    assert not found & (SIMULATORS | NUMBERS | {"pydantic"})
    assert not found & {command.module for command in COMMANDS.values()}


@pytest.mark.parametrize("line", ["hyprepro r", "hyprepro run ta", "hyprepro run table1 --sc", "hyprepro store inf"])
def test_completion_draws_nothing_and_converts_nothing(line: str) -> None:
    assert not completed(line) & (SIMULATORS | NUMBERS | {"pydantic", "rich"})


@pytest.mark.parametrize("line", ["hyprepro run table1 -b HypFormer.", "hyprepro generate table2 --method "])
def test_completion_of_settings_imports_no_simulator(line: str) -> None:
    assert not completed(line) & SIMULATORS


def test_a_list_imports_no_component() -> None:
    found = imported(["list"])
    assert not found & (SIMULATORS | NUMBERS)
    assert not {
        name for name in found if name.startswith(("hyprepro.gen_hyprl", "hyprepro.methods", "hyprepro.collect"))
    }


@pytest.mark.parametrize("arguments", [["run", "table1", "--dry-run"], ["explain", "HypFormer"]], ids=" ".join)
def test_a_plan_and_an_explanation_import_no_simulator(arguments: list[str]) -> None:
    assert not imported(arguments) & SIMULATORS


def test_a_plan_imports_what_the_recipe_names() -> None:
    found = imported(["run", "table1", "--dry-run"])
    assert "hyprepro.methods.retrieval" in found
    unasked = (
        "hyprepro.collect",
        "hyprepro.methods.macaw",
        "hyprepro.methods.care",
        "hyprepro.methods.multitask",
        "hyprepro.domains.cheetah_vel",
    )
    assert not {name for name in found if name.startswith(unasked)}
    assert "yaml" not in found


def test_a_mistake_is_told_by_all_components() -> None:
    wrong = [sys.executable, "-c", PROGRAM, "run", "table1", "--dry-run", "-b", "SACTrainin.updates=3"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "SACTraining" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_a_command_what_the_command_says_of_itself(name: str) -> None:
    command = COMMANDS[name].load(name)
    assert command.name == name
    assert command.help.split("\n\n")[0] == COMMANDS[name].help


def test_every_command_module_is_in_the_table(hyprepro) -> None:
    assert list(get_command(app).commands) == list(COMMANDS)
    assert all(name in hyprepro("--help").stdout for name in COMMANDS)


def test_an_installed_package_says_that_benchmarks_stay_in_the_repository() -> None:
    program = "import sys; sys.modules['benchmarks'] = None; from hyprepro.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "bench", "store"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "checkout of the repository" in done.stderr
    assert "Traceback" not in done.stderr

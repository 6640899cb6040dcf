"""Every way to fail ends in one panel and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hyprepro.config import catalogue
from hyprepro.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lsit"], "closest list"),
        (["run"], "Missing"),
        (["run", "table1", "--sclae", "smoke"], "closest --scale"),
        (["run", "table1", "--workers", "many"], "--workers"),
        (["run", "table1", "--workers", "-1"], "--workers"),
        (["run", "table1", "--scale"], "--scale"),
        (["list", "too", "much"], "too"),
        (["store", "inof"], "closest info"),
    ],
)
def test_mistakes_in_flags_are_panels_too(hyprepro, arguments: list[str], says: str) -> None:
    outcome = hyprepro(*arguments).assert_one_panel()
    assert says in outcome.words
    assert "--help" in outcome.words


def test_a_mistake_of_ours_asks_for_a_report(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(catalogue, "by_slot", broken)
    monkeypatch.delenv("HYPREPRO_DEBUG", raising=False)
    outcome = hyprepro("list")
    assert outcome.code == 1
    assert "ZeroDivisionError: oh" in outcome.words
    assert "HYPREPRO_DEBUG=1" in outcome.words
    assert "Traceback" not in outcome.stderr
    monkeypatch.setenv("HYPREPRO_DEBUG", "1")
    assert "Traceback" in hyprepro("list").stderr


def test_a_users_mistake_shows_all_it_knows(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken() -> None:
        raise UserError("It is [red]wrong[/].", where="a.gin:3: x = y", closest="z", fix="Write z.")

    monkeypatch.setattr(catalogue, "by_slot", mistaken)
    words = hyprepro("list").assert_one_panel().words
    assert "It is [red]wrong[/]." in words, "a message is text, not markup"
    for part in ("where a.gin:3: x = y", "closest z", "do Write z."):
        assert part in words


def test_an_interrupted_run_says_how_to_go_on(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "by_slot", interrupted)
    outcome = hyprepro("list")
    assert outcome.code == 130
    assert "The same command goes on" in outcome.words


def test_help_and_version(hyprepro) -> None:
    assert "run" in hyprepro("--help").stdout
    assert hyprepro("--version").stdout.startswith("hyprepro ")
    assert hyprepro().code == 0


def test_the_installed_program_exits_with_the_code() -> None:
    command = [sys.executable, "-c", "from hyprepro.cli import main; main()", "run", "tabel1"]
    environment = {name: value for name, value in os.environ.items() if name != "HYPREPRO_DEBUG"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "There is no recipe named 'tabel1'." in done.stderr
    assert not done.stdout


def test_a_reader_that_leaves_is_no_mistake_of_ours() -> None:
    program = f"{sys.executable} -c 'from hyprepro.cli import main; main()' list | head -n 1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""

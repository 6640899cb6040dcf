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

    monkeypatch.setattr(catalogue, "listed", broken)
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

    monkeypatch.setattr(catalogue, "listed", mistaken)
    words = hyprepro("list").assert_one_panel().words
    assert "It is [red]wrong[/]." in words, "a message is text, not markup"
    for part in ("where a.gin:3: x = y", "closest z", "do Write z."):
        assert part in words


def test_an_interrupted_run_says_how_to_go_on(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "listed", interrupted)
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
    program = f"{sys.executable} -c 'from hyprepro.cli import main; main()'"
    for arguments, code in (("list", 0), ("run nosuch --json 2>/dev/null", 2)):
        left = f"set -o pipefail; {program} {arguments} | true"
        done = subprocess.run(["bash", "-c", left], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "tabel1"],
        ["run", "table1", "--dry-run", "-b", "HypFormer.heads=7"],
        ["run", "table1", "--workers", "many"],
        ["run"],
        ["run", "table1", "--sclae", "smoke"],
        ["list", "too", "much"],
        ["explain", "HypFormre"],
        ["diff", "tabel1", "table1"],
        ["check", "tabel1"],
        ["generate", "tabel1", "--out", "x.h5"],
        ["generate", "table1"],
        ["figure", "tabel1"],
        ["store", "info", "nowhere.h5"],
        ["store", "verify", "nowhere.h5"],
        ["store", "diversity", "nowhere.h5"],
        ["store", "import-maa", "nowhere.pt", "--out", "x.h5"],
        ["store", "export-minari", "nowhere.h5", "--out", "d/n"],
        ["bench", "collector", "--variant", "129-wide"],
        ["bench", "evaluation", "--task", "hamer"],
        ["bench", "learning", "--task", "hamer"],
        ["bench", "generation", "--scale", "smokey"],
        ["lsit"],
    ],
    ids=" ".join,
)
def test_a_program_that_asks_for_json_gets_the_mistake_as_json(hyprepro, arguments: list[str]) -> None:
    outcome = hyprepro(*arguments, "--json")
    assert outcome.code == 2, outcome.stderr
    assert set(outcome.json) == {"error"}
    error = outcome.json["error"]
    assert set(error) == {"what", "where", "closest", "do"}
    assert error["what"]
    assert error["do"]
    assert outcome.stderr.count("╭") == 1, "the panel stays on standard error"
    assert "".join(error["what"].split()) in "".join(outcome.words.split())


def test_a_mistake_of_ours_is_json_too_where_it_is_asked_for(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(catalogue, "listed", broken)
    outcome = hyprepro("list", "--json")
    assert outcome.code == 1
    assert outcome.json["error"]["what"] == "ZeroDivisionError: oh"


def test_without_the_flag_standard_output_stays_empty(hyprepro) -> None:
    hyprepro("run", "tabel1").assert_one_panel()
    hyprepro("explain", "--", "--json").assert_one_panel()


def test_a_path_that_the_system_does_not_take_is_a_panel(hyprepro) -> None:
    name = "x" * 300
    for arguments in (
        ("run", "tokens", "--scale", "smoke", "--dry-run", "--cache", name),
        ("store", "info", name),
        ("report", name),
    ):
        assert name[:50] in hyprepro(*arguments).assert_one_panel().words


def test_a_panel_shows_the_ends_of_what_is_longer_than_anybody_reads(hyprepro) -> None:
    outcome = hyprepro("explain", "tokens", "-b", f"Recipe.title = {'x' * 100_000}").assert_one_panel()
    assert len(outcome.stderr) < 20_000
    assert "characters" in outcome.stderr

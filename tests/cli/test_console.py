"""Text of any origin reaches no terminal as a command to it, whatever prints it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from hyprepro.cli import console
from hyprepro.cli.progress import RunProgress
from hyprepro.config import catalogue
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
from tests.cli.test_progress import event

HOSTILE = {
    "escape sequence": "\x1b[2J\x1b]0;title\x07",
    "carriage return": "true\rfalse",
    "backspace": "a\b\bb",
    "one-byte sequence": "\x9b2J",
    "delete": "\x7f",
    "right to left": "a\u202eb\u2066c",
    "no width": "a\u200b\ufeffb",
    "line separator": "a\u2028b",
    "half a character": "a\udc80b",
}
"""By what a terminal, or an encoder, makes of it."""


def assert_harmless(text: str) -> None:
    shown = {c for c in text if not c.isprintable()}
    assert shown <= {"\n"}, shown


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_every_kind_of_output_is_harmless(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.note(f"before {hostile} after")
    console.line(f"before {hostile} after", style="bold")
    console.columns([("before", hostile, "after")])
    console.show_user_error(UserError(hostile, where=hostile, closest=hostile, fix=hostile))
    console.show_unexpected(ValueError(hostile))
    console.print_json({hostile: [hostile]})
    with RunProgress() as progress:
        progress(event("started", label=hostile))
    shown = capsys.readouterr()
    assert_harmless(shown.out)
    assert_harmless(shown.err)
    assert "after" in shown.out.splitlines()[0], "only what is hostile is changed"
    document = shown.out[shown.out.index("{\n") :]
    assert json.loads(document) == {hostile: [hostile]}, "programs get the text itself"


def test_bars_are_harmless_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with RunProgress() as progress:
        progress(event("progress", label="train \x1b[2J\x9b5n\u202e", step=1, steps=5, metrics={"\x1b[9m": 0.5}))
        progress(event("finished", label="train \x1b[2J\x9b5n\u202e", finished=2))
    shown = capsys.readouterr().err
    assert "train \\x1b" in shown
    for sequence in ("\x1b[2J", "\x9b", "\u202e", "\x1b[9m"):
        assert sequence not in shown
    assert "\x1b[" in shown, "the bars' own sequences stay"


def test_lines_and_letters_of_all_languages_stay(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("µ → 日本語 Ωé\nsecond")
    assert capsys.readouterr().err == "µ → 日本語 Ωé\nsecond\n"
    console.line("a\tb")
    assert capsys.readouterr().out.split() == ["a", "b"]


def test_a_foreign_files_names_and_the_reasons_of_its_reader(hyprepro, tmp_path: Path) -> None:
    torch.save({"\x1b[2J\x1b]0;name\x07": torch.zeros(3)}, tmp_path / "key.pt")
    torch.save({"param": torch.zeros(3).numpy()}, tmp_path / "numpy.pt")  # torch's refusal is in bold
    for name in ("key.pt", "numpy.pt", "\x1b[2J.pt"):
        outcome = hyprepro("store", "import-maa", tmp_path / name, "--task", "reach", "--out", tmp_path / "x.h5")
        assert_harmless(outcome.assert_one_panel().stderr)


def test_a_stores_account_of_itself(hyprepro, tmp_path: Path) -> None:
    route = {"route": "\x1b]0;title\x07", "name": "\u202egnp.exe", "summary": "a\x9bb"}
    versions = {"metaworld": "\x1b[2J", "mujoco": "3"}
    with PolicyStoreWriter(tmp_path / "x.h5", METAWORLD_LAYOUT, route, versions=versions):
        pass
    outcome = hyprepro("store", "info", tmp_path / "x.h5")
    assert outcome.code == 0
    assert_harmless(outcome.stdout)
    assert "\\x1b]0;title" in outcome.stdout
    assert hyprepro("store", "info", tmp_path / "x.h5", "--json").json["route"] == route


@pytest.mark.parametrize("line", ["Recipe.seeds = '\x1b[2J'", "Nothing\x9b = 1", "Recipe.seeds = \x1b"])
def test_lines_of_gin_files(hyprepro, tmp_path: Path, line: str) -> None:
    (tmp_path / "mine.gin").write_text(f"{line}\n", encoding="utf-8")
    assert_harmless(hyprepro("explain", "table1", "-g", tmp_path / "mine.gin").assert_one_panel().stderr)
    assert_harmless(hyprepro("explain", "table1", "-b", line).assert_one_panel().stderr)


def test_flags_and_their_values(hyprepro) -> None:
    for arguments in (["run", "\x1b[2J"], ["\x1b[2J"], ["list", "--\x1b[2J"], ["run", "table1", "--workers", "\x9b"]):
        assert_harmless(hyprepro(*arguments).assert_one_panel().stderr)


def test_warnings_and_tracebacks_within_a_command(hyprepro, monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy() -> None:
        sys.stderr.write("a library says \x1b[2J\n")
        raise ValueError("\x1b]0;title\x07")

    monkeypatch.setattr(catalogue, "listed", noisy)
    monkeypatch.setenv(console.DEBUG, "1")
    shown = hyprepro("list").stderr
    assert "Traceback" in shown
    assert "a library says \\x1b[2J" in shown
    assert_harmless(shown)

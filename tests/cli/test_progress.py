"""Progress: plain lines off a terminal, nothing when quiet, times in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from hyprepro.cli.progress import RunProgress, duration
from hyprepro.engine.schedule import Event
from hyprepro.engine.stage import Stage


@dataclass(frozen=True)
class Named:
    """The part of a stage that progress looks at."""

    label: str
    key: str


def event(kind: Any, finished: int = 0, label: str = "train [seed 0]", **more: Any) -> Event:
    return Event(kind, cast("Stage", Named(label, "abc")), finished, 2, **more)


def test_plain_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress() as progress:
        progress(event("started"))
        for step in range(5):
            progress(event("progress", step=step, steps=5, metrics={"loss": 0.5}))
        progress(event("finished", finished=1))
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.splitlines()[0] == "[0/2] started train [seed 0]"
    assert shown.err.splitlines()[-1] == "[1/2] finished train [seed 0]"
    assert shown.err.count("progress") <= 1, "a stage reports once in ten seconds"


def test_a_log_says_how_long_a_stage_will_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter((0.0, 60.0, 120.0))
    monkeypatch.setattr("hyprepro.cli.progress.time.monotonic", lambda: next(times))
    with RunProgress() as progress:
        for step in (10, 20, 30):
            progress(event("progress", step=step, steps=50))
    lines = capsys.readouterr().err.splitlines()
    assert "left" not in lines[0]
    assert lines[1].endswith("20/50, about 3.0 min left")
    assert lines[2].endswith("30/50, about 2.0 min left")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress(quiet=True) as progress:
        progress(event("started"))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with RunProgress() as progress:
        progress(event("started"))
        progress(event("progress", step=1, steps=5, metrics={"loss": 0.5}))
        progress(event("waiting"))
        progress(event("finished", finished=2))
    shown = capsys.readouterr().err
    assert "all stages" in shown
    assert "train [seed 0]" in shown, "a label is text, not markup"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (150, "2.5 min"), (7200, "2.0 h")])
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text

"""A small share of the campaign: kills and a file system without locks, on a program of toy stages."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.chaos import Chaos, differences, listed
from campaign.command_line import REFUSED
from campaign.processes import Started
from campaign.programs import Program
from campaign.report import Report

TOY = Program(
    "toy",
    lambda folder: [sys.executable, "-m", "tests.campaign.toy_program", str(folder)],
    lambda folder: (folder / "result.txt").read_text(),
)


@pytest.mark.timeout(600)
def test_a_toy_survives_kills_and_is_refused_without_locks(tmp_path: Path) -> None:
    report = Report("chaos", 0)
    chaos = Chaos(TOY, tmp_path, random.Random(0), report)
    while not chaos.kills:
        chaos.judged(lambda folder: chaos.killed(folder, 2), "killed")
        chaos.seconds /= 2  # where it was over before its kill, since the undisturbed run took longer
    chaos.judged(chaos.no_locks, "no locks")
    assert report.faults == {}
    assert report.endings["toy, no locks: 2"] == 1


@pytest.mark.timeout(600)
def test_what_a_program_does_wrong_is_told(tmp_path: Path) -> None:
    script = "import pathlib, random, sys; folder = pathlib.Path(sys.argv[1]); folder.mkdir(exist_ok=True); "
    script += "(folder / f'left-{random.random()}').touch(); (folder / 'x').write_text(str(random.random()))"
    sloppy = Program(
        "sloppy",
        lambda folder: [sys.executable, "-c", script, str(folder)],
        lambda folder: (folder / "x").read_text(),
    )
    report = Report("chaos", 0)
    chaos = Chaos(sloppy, tmp_path, random.Random(0), report)
    chaos.judged(lambda folder: None, "nothing")
    assert "sloppy, nothing: another digest" in report.faults
    assert report.finish(None) == 1


ONE_AT_A_TIME = f"""import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
try:
    (folder / "busy").mkdir()
except FileExistsError:
    (folder / "refused").touch()
    print("{REFUSED}", file=sys.stderr)
    sys.exit(2)
while (folder.parent / "together").exists() and not (folder / "refused").exists():
    time.sleep(0.05)  # until the other one came
(folder / "busy").rmdir()
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("together", "faults"), [((0, 2), 0), ((0,), 1)])
def test_of_two_at_once_one_may_be_refused_if_the_program_says_so(
    tmp_path: Path, together: tuple[int, ...], faults: int
) -> None:
    program = Program(
        "one at a time",
        lambda folder: [sys.executable, "-c", ONE_AT_A_TIME, str(folder)],
        lambda folder: "",
        together=together,
    )
    report = Report("chaos", 0)
    chaos = Chaos(program, tmp_path, random.Random(0), report)
    (tmp_path / "together").touch()
    chaos.together(tmp_path / "trial")
    assert sorted(report.endings.values()) == [1, 1]
    assert len(report.faults) == faults


def test_orphans_are_found_by_their_mark(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    command = Started([sys.executable, "-c", script], tmp_path)
    assert command.end(60) == 0
    (left,) = command.all()
    assert subprocess.run(["kill", "-9", str(left)], check=True).returncode == 0


def test_what_is_left_is_compared_by_name_and_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("12")
    (tmp_path / "manifest.json").write_text("1")
    found = listed(tmp_path)
    assert list(differences(found, found)) == []
    assert list(differences(found, {**found, "a": 3})) == ["a: 2 undisturbed, 3 here"]
    assert list(differences(found, {"a": 2})) == ["manifest.json: -1 undisturbed, nothing here"]

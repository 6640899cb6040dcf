"""A small share of the campaign: some generated configurations, some damaged files; and that faults are seen."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaign import configs, samples
from campaign.bounds import Overrun, measured
from campaign.command_line import Ending
from campaign.damage import damage
from campaign.report import Report
from campaign.watch import watched


def figures(*words: str) -> dict[str, dict[str, object]]:
    """What a part of the campaign says, run as its session runs it."""
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    assert (done.returncode == 0) == (not found["faults"])
    return found


@pytest.mark.timeout(600)
def test_generated_configurations_are_resolved_or_refused() -> None:
    found = figures("campaign.fuzz_config", "--count", "60", "--seed", "1", "--cold", "--seconds", "20")
    assert found["faults"] == {}
    assert found["endings"].keys() == {"refused", "resolved"}


@pytest.mark.timeout(600)
def test_damaged_stores_are_refused_or_read() -> None:
    found = figures("campaign.fuzz_files", "--count", "30", "--seed", "1", "--kind", "policy store")
    assert found["faults"] == {}
    assert "policy store: refused" in found["endings"]


def test_a_case_is_told_by_its_seed_and_number() -> None:
    assert configs.case(3, 17) == configs.case(3, 17)
    assert configs.case(3, 17) != configs.case(4, 17)


def test_damage_is_told_by_its_random_numbers(tmp_path: Path) -> None:
    kind = samples.named("arrays of numpy")
    (tmp_path / "outside").mkdir()
    ends = []
    for name in ("a", "b"):
        kind.make(tmp_path / name)
        how = damage(tmp_path / name, kind.form, tmp_path / "outside", random.Random(5))
        ends.append((how, (tmp_path / name).read_bytes()))
    kind.make(tmp_path / "sound")
    assert ends[0] == ends[1]
    assert ends[0][1] != (tmp_path / "sound").read_bytes()


@pytest.mark.parametrize(
    ("ending", "wrong"),
    [
        (Ending(0, "a table", ""), ""),
        (Ending(2, "", "╭─ hyprepro cannot do this ─╮"), ""),
        (Ending(2, "a table", "hyprepro cannot do this"), "a panel and a result"),
        (Ending(2, "", "hyprepro cannot do this, hyprepro cannot do this"), "2 panels"),
        (Ending(2, "", ""), "0 panels"),
        (Ending(0, "", "Traceback (most recent call last)"), "a traceback"),
        (Ending(1, "", "│ KeyError: 'x' │ where  /a/b.py:3 in f │"), "exit code 1: KeyError at b.py in f"),
    ],
)
def test_what_is_wrong_with_an_ending_is_seen(ending: Ending, wrong: str) -> None:
    assert ending.wrong().startswith(wrong)
    assert bool(ending.wrong()) == bool(wrong)


def test_what_is_opened_is_seen(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    with watched(tmp_path) as watch:
        assert not watch.seen()
        (tmp_path / "target").read_text()
        assert watch.seen()
        list(tmp_path.iterdir())
        assert not watch.seen()


def test_a_case_that_hangs_is_stopped_and_its_cost_measured() -> None:
    def hang() -> None:
        while True:
            pass

    with measured(0.1) as spent, pytest.raises(Overrun):
        hang()
    assert 0 < spent.seconds < 5  # the timer counts in ticks, and on a busy machine the clock may stop it first
    with measured(60) as spent:
        held = bytearray(b"x") * 100_000_000
    assert spent.megabytes > 90
    del held
    assert time.process_time() > 0


def test_a_report_counts_and_names_each_kind_of_fault_once() -> None:
    report = Report("x", 0)
    for number in range(7):
        report.ended("refused", f"case {number}", seconds=number, megabytes=number)
        report.fault("too slow", f"case {number}")
    found = report.described()
    assert found["cases"] == 7
    assert found["slowest"] == (6, "case 6")
    assert found["faults"] == {"too slow": {"cases": 7, "such_as": [f"case {number}" for number in range(5)]}}

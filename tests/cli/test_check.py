"""`hyprepro check` passes on the committed numbers, fails when one moves, and refuses what must not be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.sim

RECIPE = """\
include 'recipes/table1.gin'
Recipe.name = 'tiny'
Recipe.seen = ('door-open',)
Recipe.below = ()
Recipe.prompts_per_task = 5
Recipe.methods = (@Expert(), @MeanPolicy())
Recipe.protocols = (@StrictProtocol(),)
MetaWorld.policies = '{policies}'
MetaWorld.trajectories = '{trajectories}'
"""


@pytest.fixture(scope="module")
def folder(tiny_stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small recipe and, in time, its cache and its committed result."""
    folder = tmp_path_factory.mktemp("check")
    text = RECIPE.format(policies=tiny_stores.policies, trajectories=tiny_stores.trajectories)
    (folder / "tiny.gin").write_text(text)
    (folder / "scale.gin").write_text("# A scale that changes nothing.\n")
    return folder


@pytest.fixture
def check(hyprepro, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Checks the small recipe against its committed result, which is made first."""
    monkeypatch.chdir(folder)
    common = ["tiny.gin", "--scale", "scale.gin", "--workers", 0, "--cache", folder / "cache"]
    if not (folder / "committed").exists():
        assert hyprepro("run", *common, "--out", folder / "committed").code == 0

    def invoke(*arguments: object, committed: Path = folder / "committed" / "result.json"):
        return hyprepro("check", *common, "--committed", committed, *arguments)

    return invoke


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The committed result with a change, in a file of its own."""
    data = json.loads((folder / "committed" / "result.json").read_text())
    change(data)
    path = folder / "edited.json"
    path.write_text(json.dumps(data))
    return path


def test_a_fresh_run_reproduces_the_committed_numbers(check) -> None:
    outcome = check()
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout.startswith("Reproduced: all ")


def test_it_says_what_it_holds_the_numbers_against(check, folder: Path) -> None:
    reference = folder / "committed" / "result.json"
    made = json.loads(reference.read_text())["provenance"]["date"]
    outcome = check()
    assert f"{reference}, made {made}" in outcome.stdout
    assert check("--json", "--result", edited(folder, lambda data: None)).json["made"] == made


def test_it_announces_the_work_and_a_dry_run_does_none(check, folder: Path) -> None:
    outcome = check("--dry-run", "--cache", folder / "empty")
    assert outcome.code == 0
    assert "2 stages to do, 0 finished or not needed" in outcome.stdout
    assert "on 0 workers" in outcome.stdout
    assert "would be held against" in outcome.stdout
    assert not (folder / "empty").exists()
    assert "stages to do" in check().stderr


def test_a_result_file_can_stand_for_the_run(check, folder: Path) -> None:
    assert check("--result", edited(folder, lambda data: None), "--json").json["violations"] == []


def test_the_reference_is_not_held_against_itself(check, folder: Path) -> None:
    words = check("--result", folder / "committed" / "result.json").assert_one_panel().words
    assert "held against itself" in words


def test_a_run_writes_beside_the_reference_and_a_falsified_number_of_it_fails_the_check(
    hyprepro, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    common = ["tiny.gin", "--scale", "scale.gin", "--workers", 0, "--cache", folder / "cache"]
    assert hyprepro("run", *common, "--out", "fresh").code == 0
    reference = Path.cwd() / hyprepro("adopt", "fresh", "--json").json["reference"] / "result.json"
    before = reference.read_bytes()

    assert hyprepro("run", *common, "-b", "Recipe.title = 'x'").code == 0  # where it writes by default
    assert hyprepro("check", *common).code == 0
    (fresh,) = (folder / "runs" / "tiny").glob("*/result.json")
    result = json.loads(fresh.read_text())
    row = result["rows"][0]
    row.update(value=1.0 - row["value"], ci95=[1.0 - row["value"]] * 2)
    fresh.write_text(json.dumps(result))
    outcome = hyprepro("check", *common, "--result", fresh)
    assert outcome.code == 1, outcome.stderr
    assert f"differences from {reference}" in outcome.stdout
    assert reference.read_bytes() == before


@pytest.mark.parametrize("field", ["value", "n_policies"])
def test_a_number_that_was_never_measured_fails_the_check_however_few_policies_there_are(
    check, folder: Path, field: str
) -> None:
    shutil.copytree(folder / "committed", folder / f"few-{field}")
    fresh = folder / f"few-{field}" / "result.json"
    result = json.loads(fresh.read_text())
    row = result["rows"][0]
    row[field] = row[field] + 0.01 if field == "value" else 1
    fresh.write_text(json.dumps(result))
    outcome = check("--result", fresh)
    assert outcome.code == 1
    assert f"{field} {row[field]} in {fresh}" in outcome.stdout


def test_a_folder_stands_for_its_result(check, folder: Path) -> None:
    shutil.copytree(folder / "committed", folder / "again")
    assert check("--result", folder / "again", committed=folder / "committed").code == 0
    assert "held against itself" in check("--result", folder / "committed").assert_one_panel().words


@pytest.mark.parametrize("flag", ["--result", "--committed"])
def test_a_result_that_is_not_there_is_named_with_what_makes_it(check, folder: Path, flag: str) -> None:
    words = check(flag, "nowhere/result.json").assert_one_panel().words
    assert f"{flag} nowhere/result.json" in words
    assert "hyprepro run tiny.gin --scale scale.gin" in words


def test_the_run_that_was_adopted_is_told_from_a_fresh_one(check, folder: Path) -> None:
    same = check("--result", edited(folder, lambda data: None))
    assert "the very run that the reference was adopted from" in same.words
    later = edited(folder, lambda data: data["provenance"].update(date="2030-01-01T00:00:00Z"))
    assert "the very run" not in check("--result", later).words


def test_no_run_writes_among_the_references(hyprepro, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "results").mkdir(exist_ok=True)
    words = hyprepro("run", "tiny.gin", "--out", folder / "results" / "tiny" / "mine").assert_one_panel().words
    assert "hyprepro adopt" in words


def test_a_number_that_moved_fails_the_check(check, folder: Path) -> None:
    def all_succeed(data: dict[str, Any]) -> None:
        for row in data["rows"]:
            row.update(value=1.0, ci95=[1.0, 1.0], n_policies=1000)

    def many_policies(data: dict[str, Any]) -> None:
        for row in data["rows"]:
            row.update(n_policies=1000)

    (folder / "many.json").write_text(edited(folder, many_policies).read_text())
    outcome = check("--result", folder / "many.json", committed=edited(folder, all_succeed))
    assert outcome.code == 1
    assert "expert, door-open, strict protocol, mean: 0.0% now, committed 100.0%" in outcome.stdout
    assert "Traceback" not in outcome.stderr


def test_results_of_another_simulator_are_not_compared(check, folder: Path) -> None:
    def other(data: dict[str, Any]) -> None:
        data["provenance"]["versions"]["mujoco"] = "3.5.0"

    words = check(committed=edited(folder, other)).assert_one_panel().words
    assert "mujoco 3.5.0 committed" in words


@pytest.mark.parametrize("content", ["", "{}", "no json"])
def test_a_damaged_committed_result_is_refused_before_the_work(check, folder: Path, content: str) -> None:
    (folder / "damaged.json").write_text(content)
    assert "damaged.json" in check(committed=folder / "damaged.json").assert_one_panel().words


def test_nothing_to_check_against(hyprepro, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    words = hyprepro("check", folder / "tiny.gin", "--scale", folder / "scale.gin").assert_one_panel().words
    assert "no committed result" in words

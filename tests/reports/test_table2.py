from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyprepro.reports.markdown import WIDTH, with_interval
from hyprepro.reports.table2 import AveragesTable
from tests.reports.synthetic import BELOW, RATES, TABLE1_TASKS, TABLE3_TASKS, make_records, make_result

TASKS = TABLE1_TASKS + BELOW + TABLE3_TASKS
NAMES = ("Gen-HypRL", "Gen-HypRL w/o HypFormer", "MAA", "CARE", "DT")


def averages(rates: dict[str, float] = RATES, tasks: tuple[str, ...] = TASKS, **arguments: Any) -> dict[str, Any]:
    return make_result(make_records(rates, tasks=tasks, **arguments), report="AveragesTable")


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return averages(validation=1)


@pytest.fixture(scope="module")
def text(result: dict[str, Any]) -> str:
    return AveragesTable().markdown(result)


def cells(text: str, section: str, name: str) -> list[str]:
    """The cells of the first row of that name after a heading, without the name."""
    rows = [line.strip("|").split("|") for line in text.split(section, 1)[1].splitlines() if line.startswith("| ")]
    return next([cell.strip() for cell in row[1:]] for row in rows if row[0].strip() == name)


def row(result: dict[str, Any], rows: str = "rows", **wanted: Any) -> dict[str, Any]:
    (found,) = [row for row in result[rows] if all(row.get(name) == value for name, value in wanted.items())]
    return found


def test_the_paper_stands_beside_ours_on_both_splits(text: str, result: dict[str, Any]) -> None:
    common = {"method": "gen-hyprl", "protocol": "paper", "task": None, "statistic": "mean"}
    seen, unseen = (with_interval(row(result, split=split, **common)) for split in ("seen", "unseen"))
    assert cells(text, "## Paper protocol", "Gen-HypRL") == ["70.3", seen, "19.8", unseen]
    assert cells(text, "## Strict protocol", "Gen-HypRL") != [seen, unseen]
    assert len(cells(text, "## Strict protocol", "Gen-HypRL")) == 2


def test_the_rows_are_the_papers_in_its_order(text: str) -> None:
    section = text.split("## Paper protocol")[1].split("##")[0]
    names = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][2:]
    assert names[:5] == ["CARE", "DT", "MAA", "Gen-HypRL w/o HypFormer", "Gen-HypRL"]
    assert names[5:] == [f"Gen-HypRL {side} HypFormer (top {k})" for k in (10, 5) for side in ("w/o", "w")]


@pytest.mark.parametrize(
    ("name", "paper"), [("CARE", ["82.1", "58.5"]), ("DT", ["80.3", "60.4"]), ("MAA", ["36", "16.25"])]
)
def test_a_method_that_has_not_run_says_so(text: str, name: str, paper: list[str]) -> None:
    absent = "not yet reproduced"
    assert cells(text, "## Paper protocol", name) == [paper[0], absent, paper[1], absent]
    assert cells(text, "## Strict protocol", name) == [absent, absent]
    assert "states no protocol for CARE and DT" in " ".join(text.split())


@pytest.mark.parametrize(
    ("method", "name"), [("make-an-agent", "MAA"), ("care", "CARE"), ("decision-transformer", "DT")]
)
def test_a_method_that_has_run_gets_its_numbers(method: str, name: str) -> None:
    text = AveragesTable().markdown(averages({**RATES, method: 0.4}, policies=6))
    seeds = "" if name == "MAA" else " (1 seed)"  # the others have two
    _, seen, _, unseen = cells(text, "## Paper protocol", name + seeds)
    assert "[" in seen
    assert "[" in unseen
    assert f"protocol for {name} " not in text
    assert cells(text, "## Ceilings and competitors, strict", method)[1].startswith("+")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_top_k_stands_beside_the_papers_and_is_empty_where_it_cannot_be(text: str) -> None:
    assert cells(text, "## Paper protocol", r"Gen-HypRL w HypFormer (top 5)")[::2] == ["100", "87.5"]
    assert all("[" in cell for cell in cells(text, "## Strict protocol", "Gen-HypRL w HypFormer (top 10)"))
    few = AveragesTable().markdown(averages(policies=7, validation=1))
    assert cells(few, "## Paper protocol", r"Gen-HypRL w HypFormer (top 10)")[1::2] == ["-", "-"]
    assert all("[" in cell for cell in cells(few, "## Strict protocol", "Gen-HypRL w HypFormer (top 5)"))
    assert "top-k needs k policies a task" in few


def test_every_competitor_has_its_paired_difference_on_both_splits(text: str, result: dict[str, Any]) -> None:
    for protocol in ("paper", "strict"):
        common = {"minus": "retrieval", "protocol": protocol, "task": None, "statistic": "mean"}
        gains = [with_interval(row(result, "comparisons", split=s, **common), "+") for s in ("seen", "unseen")]
        assert cells(text, f"## Ceilings and competitors, {protocol} protocol", "retrieval")[1::2] == gains
        assert cells(text, f"## Ceilings and competitors, {protocol} protocol", "gen-hyprl")[1::2] == ["-", "-"]


def test_robust_statistics_are_of_the_strict_protocol(text: str, result: dict[str, Any]) -> None:
    chance = row(
        result,
        "comparisons",
        minus="expert",
        protocol="strict",
        split="unseen",
        statistic="probability_of_improvement",
    )
    found = cells(text, "## By the field's statistics, strict protocol", "expert")
    assert found[3] == with_interval(chance)
    assert chance["value"] < 0.3


def test_the_tasks_of_both_splits_are_listed_one_by_one(text: str) -> None:
    assert len(cells(text, "## Every method, seen tasks", r"*reach*")) == len(RATES)
    assert len(cells(text, "## Every method, unseen tasks", "reach-wall")) == len(RATES)


def test_averages_of_other_tasks_do_not_stand_beside_the_papers() -> None:
    text = AveragesTable().markdown(averages(tasks=(*TABLE1_TASKS, "reach-wall")))
    assert cells(text, "## Paper protocol", "Gen-HypRL")[::2] == ["70.3", "-"]
    assert "other tasks than the paper (unseen)" in text


@pytest.mark.parametrize(("tasks", "paper"), [(TABLE1_TASKS, "70.3"), (TABLE3_TASKS, "19.8")], ids=["seen", "unseen"])
def test_a_run_of_one_split_is_a_table_of_that_split(tasks: tuple[str, ...], paper: str) -> None:
    result = averages(tasks=tasks)
    text = AveragesTable().markdown(result)
    assert len(cells(text, "## Strict protocol", "Gen-HypRL")) == 1
    assert cells(AveragesTable().side_by_side(result), "\n\n", "Gen-HypRL")[0] == paper
    assert text.count("## Every method") == 1


@pytest.mark.parametrize(
    "fact", ["8 candidates on seen and of 32 on unseen", "optimistic order statistic", "older Meta-World"]
)
def test_the_notes_state(fact: str, text: str, result: dict[str, Any]) -> None:
    for found in (text, AveragesTable().side_by_side(result)):
        assert fact in " ".join(found.split())
        assert max(map(len, found.splitlines())) <= WIDTH


def test_costs_are_listed_where_the_run_knows_them(result: dict[str, Any], text: str) -> None:
    assert "What each costs" not in text
    seconds = {"gen-hyprl": 62.4, "expert": 0.0, "retrieval": None}
    methods = {name: {"knows": "", "training_seconds": value} for name, value in seconds.items()}
    timed = AveragesTable().markdown({**result, "methods": methods})
    found = [cells(timed, "## What each costs", name) for name in seconds]
    assert [row[:3] for row in found] == [
        ["prompt", "2", "62"],
        ["source policy", "1", "none"],
        ["prompt, stored policies", "1", "-"],
    ]
    assert all(cell.replace(".", "").isdigit() for row in found for cell in row[3:])
    assert max(map(len, timed.splitlines())) <= WIDTH
    methods["gen-hyprl"]["uses"] = "a crystal ball"
    assert "a crystal ball" in AveragesTable().markdown({**result, "methods": methods})


def test_a_learning_curve_is_printed_where_one_was_recorded(result: dict[str, Any], text: str) -> None:
    assert "Learning curve" not in text
    points = [{"steps_a_task": 2000 * n, "updates": 500 * n, "success": {"reach": 0.2 * n, "a": 0.0}} for n in (1, 2)]
    charted = AveragesTable().markdown({**result, "methods": {"care": {"knows": "", "curve": points}}})
    assert cells(charted, "## Learning curve of care", "2,000") == ["500", "10.0"]
    assert cells(charted, "## Learning curve of care", "4,000") == ["1,000", "20.0"]
    assert "2,000,000 environment steps" in " ".join(charted.split())


def test_the_profiles_are_drawn(result: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = AveragesTable().files(result, tmp_path)
    assert set(files) == {"table.md", "performance_profiles.png", "performance_profiles.svg"}
    assert files == AveragesTable().files(json.loads(json.dumps(result)), tmp_path)


def test_the_side_by_side_is_short(result: dict[str, Any]) -> None:
    found = AveragesTable().side_by_side(json.loads(json.dumps(result)))
    assert found.startswith("# Table 2: the paper and this reproduction")
    assert cells(found, "# Table 2", "CARE")[0] == "82.1"


def test_without_matplotlib_a_run_still_has_its_table(
    result: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hyprepro.reports.figures.profiles.can_draw", lambda: False)
    assert set(AveragesTable().files(result, tmp_path)) == {"table.md"}

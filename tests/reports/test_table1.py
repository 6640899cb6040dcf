from __future__ import annotations

import json
from typing import Any

import pytest

from hyprepro.reports.markdown import WIDTH, percent, printed, table, with_interval
from hyprepro.reports.table1 import TaskTable
from tests.reports.synthetic import RATES, TABLE1_TASKS, TABLE3_TASKS, make_records, make_result


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return make_result(make_records(validation=1))


@pytest.fixture(scope="module")
def text(result: dict[str, Any]) -> str:
    return TaskTable().markdown(result)


def cells(text: str, section: str, name: str) -> list[str]:
    """The cells of the first row of that name after a heading."""
    after = text.split(section, 1)[1]
    line = next(line for line in after.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_no_line_is_wider_than_a_page(text: str, result: dict[str, Any]) -> None:
    assert max(map(len, (text + TaskTable().side_by_side(result)).splitlines())) <= WIDTH


def test_the_paper_stands_beside_ours_task_by_task(text: str, result: dict[str, Any]) -> None:
    rows = {(r["method"], r["protocol"], r["task"], r["statistic"]): r for r in result["rows"]}
    for task, theirs in (("window-open", ["33", "51", "64"]), ("faucet-close", ["45", "77", "82"])):
        _, *numbers = cells(text, "## Paper protocol", task)
        ours = [with_interval(rows[m, "paper", task, "mean"]) for m in ("gen-hyprl-wo-hypformer", "gen-hyprl")]
        assert numbers[:5] == theirs + ours


def test_the_average_and_hypformers_gain_come_with_intervals(text: str, result: dict[str, Any]) -> None:
    (gain,) = [
        row
        for row in result["comparisons"]
        if (row["minus"], row["task"], row["protocol"]) == ("gen-hyprl-wo-hypformer", None, "paper")
        and row["statistic"] == "mean"
    ]
    row = cells(text, "## Paper protocol", r"**average of 8**")
    assert row[1:4] == ["36", "51", "70.3"]
    assert row[6] == with_interval(gain, "+")
    assert row[6].startswith("+")


def test_the_strict_protocol_has_no_numbers_of_the_paper(text: str) -> None:
    assert len(cells(text, "## Strict protocol", "window-open")) == 4


def test_door_unlock_and_reach_stand_below_the_average(text: str) -> None:
    section = text.split("## Paper protocol")[1].split("##")[0]
    names = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    assert names[-3:] == ["**average of 8**", "*door-unlock*", "*reach*"]
    assert cells(text, "## Paper protocol", r"*reach*")[1:4] == ["-", "-", "-"]


def test_ceilings_and_competitors_say_what_they_know(text: str) -> None:
    row = cells(text, "## Ceilings", "retrieval")
    assert len(row) == 5
    assert row[4] != "-"
    assert cells(text, "## Ceilings", "gen-hyprl")[4] == "-"
    assert "- `retrieval`: the prompt and all training prompts" in text


def test_top_k_stands_beside_the_papers(text: str) -> None:
    assert cells(text, "## Top-k", "top-5")[:3] == ["top-5", "100", "100"]


def test_without_validation_the_strict_top_k_is_empty() -> None:
    assert cells(TaskTable().markdown(make_result()), "## Top-k", "top-10")[-2:] == ["-", "-"]


@pytest.mark.parametrize(
    "fact",
    [
        "metaworld 3.1.1 on mujoco 3.3.0",
        "older Meta-World",
        "Route to the experts: SAC from clones.",
        "any step of a 500-step episode",
        "optimistic order statistic",
        "prints 36 as MAA's average; the mean of its 8 rows is 37.1",
    ],
)
def test_the_notes_state(fact: str, text: str, result: dict[str, Any]) -> None:
    for found in (text, TaskTable().side_by_side(result)):
        assert fact in " ".join(found.split())


def test_a_recipe_without_gen_hyprl_or_of_two_tasks_still_has_a_table() -> None:
    text = TaskTable().markdown(make_result(make_records({"expert": 1.0}, tasks=("reach", "door-open"), policies=3)))
    assert cells(text, "## Paper protocol", "door-open") == ["door-open", "27", "35", "62", "-", "-", "-"]
    assert cells(text, "## Paper protocol", r"**average of 1**")[1:4] == ["-", "-", "-"]
    assert "## Top-k" not in text
    assert "100 [100, 100]" in text


def test_the_side_by_side_has_the_means_of_the_papers_rows(result: dict[str, Any]) -> None:
    assert "MAA 37.1" in TaskTable().side_by_side(json.loads(json.dumps(result)))


def test_numbers_are_printed_as_a_reader_expects() -> None:
    assert [percent(rate) for rate in (0.9123, 1.0, 0.0, -0.001, None)] == ["91.2", "100", "0", "-0.1", "-"]
    assert [printed(rate) for rate in (0.703, 0.1625, 0.36, None)] == ["70.3", "16.25", "36", "-"]
    assert with_interval({"value": -0.02, "ci95": [-0.05, 0.01]}, "+") == "-2.0 [-5.0, 1.0]"
    assert with_interval({"value": None, "ci95": None}) == "-"


def test_a_table_is_aligned() -> None:
    assert table(["task", "n"], [["reach", "1"], ["door-open", "10"]]).splitlines() == [
        "| task      |   n |",
        "| --------- | --: |",
        "| reach     |   1 |",
        "| door-open |  10 |",
    ]


def test_the_unseen_tasks_stand_beside_the_papers_table_3() -> None:
    result = make_result(make_records(tasks=TABLE3_TASKS, validation=1))
    text = TaskTable().markdown(result)
    assert cells(text, "## Paper protocol", "drawer-close")[1:4] == ["55", "53", "80"]
    assert cells(text, "## Paper protocol", r"**average of 8**")[1:4] == ["16.25", "12.13", "19.8"]
    assert cells(text, "## Top-k", "top-5")[1:3] == ["75.1", "87.5"]
    assert "of 32 on unseen tasks" in text
    assert "italics" not in text
    assert max(map(len, (text + TaskTable().side_by_side(result)).splitlines())) <= WIDTH
    assert TaskTable().side_by_side(result).startswith("# Table 3: the paper and this reproduction")


@pytest.mark.parametrize("tasks", [TABLE1_TASKS, TABLE3_TASKS])
def test_make_an_agent_has_its_column_where_it_was_run(tasks: tuple[str, ...]) -> None:
    result = make_result(make_records({**RATES, "make-an-agent": 0.377}, tasks=tasks, policies=9, validation=1))
    text = TaskTable().markdown(result)
    rows = {(r["method"], r["protocol"], r["task"], r["statistic"]): r for r in result["rows"]}
    for protocol, heading, column in (("paper", "## Paper protocol", 4), ("strict", "## Strict protocol", 1)):
        head = cells(text, heading, "task")
        assert head[column:] == ["ours MAA", "ours w/o HF", "ours w/ HF"]
        for task in tasks:
            found = cells(text, heading, task)
            assert found[column] == with_interval(rows["make-an-agent", protocol, task, "mean"])
        gains = {
            r["task"]: r for r in result["comparisons"] if (r["minus"], r["protocol"]) == ("make-an-agent", protocol)
        }
        section = text.split(heading)[1]
        assert cells(section, "Gains, paired", tasks[0])[2] == with_interval(gains[tasks[0]], "+")
    assert "none of its own" not in text
    assert max(map(len, (text + TaskTable().side_by_side(result)).splitlines())) <= WIDTH


def test_without_make_an_agent_the_notes_say_so(text: str) -> None:
    assert "this run has none of its own" in " ".join(text.split())

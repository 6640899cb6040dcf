"""The table of the multi-task field: dashes with their reason, curves and opposed gradients, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.multitask import MultiTaskTable
from hyprepro.reports.numbers import Numbers
from hyprepro.reports.records import Record
from hyprepro.reports.summary import summarise
from tests.reports.synthetic import BELOW, TABLE1_TASKS, TABLE3_TASKS, make_records, make_result
from tests.reports.test_table2 import cells

TASKS = TABLE1_TASKS[:2] + TABLE3_TASKS[:2]
WHY = "it is told a task by its label, and these have none"
LABELLED = ("mt-sac", "moore")
CURVE = [
    {"updates": 500, "steps_a_task": 1000, "success": {"a": 0.0, "b": 0.5, "c": 1.0}},
    {"updates": 900, "steps_a_task": 1800, "success": {"a": 1.0, "b": 1.0, "c": 1.0}},
]
SHARES = {"critic": [0.0, 0.5, 1.0], "actor": [0.0, 0.0, 1.0]}


def recorded(refused: tuple[str, ...]) -> list[Record]:
    found = make_records({"mt-sac": 0.9, "moore": 0.95, "care": 0.8}, tasks=TASKS, policies=4)
    return [record for record in found if record.method not in LABELLED or record.task not in refused]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    unseen = TASKS[2:]
    refused = dict.fromkeys(LABELLED, unseen)
    summary = summarise(
        recorded(unseen), recipe="multitask", tasks=TASKS, reference="mt-sac", refused=refused, resamples=100
    )
    told: dict[str, Any] = {"knows": "the label", "training_seconds": 60.0, "refused": {"tasks": [*unseen], "why": WHY}}
    methods = {
        "mt-sac": {**told, "parameters": {"actor": 80_600, "critics": 160_400}, "curve": CURVE},
        "moore": {**told, "curve": [{**point, "conflicts": SHARES} for point in CURVE]},
        "care": {"knows": "a sentence", "training_seconds": 75.0},
    }
    found = make_result(report="MultiTaskTable", methods=methods)
    found["provenance"]["config"]["reference"] = "mt-sac"
    return {**found, "rows": summary.rows, "comparisons": summary.comparisons, "profiles": summary.profiles}


def test_what_cannot_be_told_a_task_has_a_dash_and_its_reason(result: dict[str, Any]) -> None:
    text = MultiTaskTable().markdown(result)
    assert cells(text, "## Strict protocol", "moore")[2] == "-"
    assert cells(text, "## Strict protocol", "care")[2] != "-"
    words = " ".join(text.split())
    assert f"`mt-sac`, `moore`: no number on {', '.join(TASKS[2:])}: {WHY}." in words


def test_a_reason_stands_where_the_note_on_dashes_says(result: dict[str, Any]) -> None:
    words = " ".join(MultiTaskTable().markdown(result).split())
    reason, note = (words.index(text) for text in (f": {WHY}.", "An empty cell (-)"))
    assert reason < note
    assert "is said above" in words[note:]
    assert "below it is said" not in words


def test_the_reference_has_a_dash_beside_itself_and_the_table_says_so(result: dict[str, Any]) -> None:
    text = MultiTaskTable().markdown(result)
    assert cells(text, "## Strict protocol", "mt-sac")[1] == "-"
    assert "mt-sac itself has a dash there" in " ".join(text.split("## Strict protocol")[0].split())


def test_the_reference_is_compared_on_tasks_that_it_has(result: dict[str, Any]) -> None:
    assert {row["split"] for row in result["comparisons"] if row["method"] == "mt-sac"} == {"seen"}


def test_curves_and_opposed_gradients_stand_in_one_table_each(result: dict[str, Any]) -> None:
    text = MultiTaskTable().markdown(result)
    assert cells(text, "## Learning curves", "moore") == ["50.0", "100"]
    opposed = cells(text, "## Opposed gradients", "moore")
    assert opposed[:2] == ["50.0", "33.3"]
    assert opposed[2].startswith("b and c 100; a and c 25.0")


def test_parameters_stand_beside_the_cost(result: dict[str, Any]) -> None:
    text = MultiTaskTable().markdown(result)
    assert cells(text, "## What each costs", "mt-sac")[3] == "81k + 160k"
    assert cells(text, "## What each costs", "care")[3] != "0k"


def test_rows_that_are_told_the_same_are_named_together(result: dict[str, Any]) -> None:
    assert "- `mt-sac`, `moore`: the label" in MultiTaskTable().markdown(result)


def test_a_method_without_some_tasks_of_a_split_has_no_average_of_the_others() -> None:
    refused = {"mt-sac": (TASKS[0],), "moore": (TASKS[0],)}
    records = recorded((TASKS[0],))
    with pytest.raises(UserError, match="lack mt-sac"):
        summarise(records, recipe="multitask", tasks=TASKS, resamples=20)
    found = summarise(records, recipe="multitask", tasks=TASKS, refused=refused, resamples=20)
    seen = {(row["method"], row["task"]) for row in found.rows if row["split"] == "seen"}
    assert ("moore", TASKS[1]) in seen
    assert ("moore", None) not in seen
    assert ("care", None) in seen


@pytest.mark.parametrize("others", [{}, {"care": TASKS[1]}], ids=["one has an average", "none has"])
def test_tasks_of_the_average_where_the_first_row_is_refused_one(others: dict[str, str]) -> None:
    """It has no average, so that tasks below could be taken for tasks of it."""
    tasks, below = TASKS[:2], BELOW[:1]
    lacking = {**dict.fromkeys(LABELLED, TASKS[0]), **others}
    records = make_records({"mt-sac": 0.9, "moore": 0.95, "care": 0.8}, tasks=tasks + below, policies=4)
    records = [record for record in records if lacking.get(record.method) != record.task]
    refused = {name: (task,) for name, task in lacking.items()}
    summary = summarise(records, recipe="multitask", tasks=tasks + below, below=below, refused=refused, resamples=20)
    found = make_result(report="MultiTaskTable")
    found["provenance"]["config"] |= {"seen": list(tasks), "below": list(below)}
    numbers = Numbers({**found, "rows": summary.rows, "comparisons": summary.comparisons}, "seen")
    averaged = [name for name in numbers.methods if numbers.row(name, "strict", None)]
    assert (numbers.methods[0], averaged) == ("mt-sac", [] if others else ["care"])
    assert numbers.tasks == list(tasks)
    assert numbers.below == list(below)

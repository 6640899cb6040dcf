"""The ablation's table from synthetic records: averages, paired differences, and what each row changes."""

from __future__ import annotations

from typing import Any

import pytest

from hyprepro.reports.ablation import AblationTable, differences
from hyprepro.reports.markdown import WIDTH, with_interval
from hyprepro.reports.records import Record
from hyprepro.reports.summary import summarise
from tests.reports.synthetic import make_records

SEEN, UNSEEN = ("door-open", "window-open"), ("drawer-close", "door-lock", "reach-wall")
RATES = {"gen-hyprl": 0.8, "no Q": 0.5, "retrieval": 0.9}
METHODS = [
    {
        "component": "GenHypRL",
        "row": row,
        "hyplatent": {"component": "HypLatent", "lambda_reg": weight, "betas": [0.5, 0.999]},
        "hypformer": {"component": "HypFormer", "attention": "candidates"},
    }
    for row, weight in (("", 0.1), ("no Q", 0.0))
]


def records() -> list[Record]:
    split = {task: name for name, tasks in (("seen", SEEN), ("unseen", UNSEEN)) for task in tasks}
    found = make_records(RATES, tasks=SEEN + UNSEEN, policies=20)
    return [record._replace(split=split[record.task]) for record in found]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    summary = summarise(records(), recipe="ablation", tasks=[*SEEN, *UNSEEN], resamples=200)
    methods = [*METHODS, {"component": "Retrieval", "row": "", "condition": "h"}]
    return {
        "recipe": "ablation",
        "scale": "desktop",
        "provenance": {"config": {"title": "What carries it?", "methods": methods}},
        "rows": summary.rows,
        "comparisons": summary.comparisons,
    }


@pytest.fixture(scope="module")
def text(result: dict[str, Any]) -> str:
    return AblationTable().markdown(result)


def cells(text: str, section: str, name: str) -> list[str]:
    after = text.split(section, 1)[1]
    line = next(line for line in after.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_no_line_is_wider_than_a_page(text: str) -> None:
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize("protocol", ["strict", "paper"])
@pytest.mark.parametrize("name", RATES)
def test_both_averages_of_every_row_with_their_intervals(
    name: str, protocol: str, text: str, result: dict[str, Any]
) -> None:
    rows = {
        row["split"]: row
        for row in result["rows"]
        if (row["method"], row["protocol"], row["task"], row["statistic"]) == (name, protocol, None, "mean")
    }
    shown = cells(text, f"## {protocol.capitalize()} protocol", "**gen-hyprl**" if name == "gen-hyprl" else name)
    assert shown[1] == with_interval(rows["seen"])
    assert shown[3] == with_interval(rows["unseen"])
    assert shown[5] == "40/60"


def test_the_difference_is_the_row_minus_the_default(text: str, result: dict[str, Any]) -> None:
    (gain,) = [
        row
        for row in result["comparisons"]
        if (row["minus"], row["protocol"], row["split"], row["task"]) == ("no Q", "strict", "seen", None)
        and row["statistic"] == "mean"
    ]
    low, high = gain["ci95"]
    shown = cells(text, "## Strict protocol", "no Q")[2]
    assert shown == with_interval({"value": -gain["value"], "ci95": [-high, -low]}, "+")
    assert shown.startswith("-")
    assert cells(text, "## Strict protocol", "retrieval")[2].startswith("+")
    assert cells(text, "## Strict protocol", r"**gen-hyprl**")[2] == "-"


def test_the_strict_protocol_comes_first(text: str) -> None:
    assert text.index("## Strict protocol") < text.index("## Paper protocol")


def test_what_each_row_changes_follows_from_the_configuration(text: str) -> None:
    after = text.split("## What each row changes")[1]
    assert "- `no Q`: `HypLatent.lambda_reg=0.0` (0.1).\n" in after
    assert "- `retrieval`: the method `Retrieval` in place of `GenHypRL`.\n" in after
    assert "- `gen-hyprl`" not in after


def test_a_part_inside_the_replaced_one_is_compared_with_what_stood_there() -> None:
    def fitted(steps: int) -> dict[str, Any]:
        return {"component": "Fit", "steps": steps, "noise": 0.1}

    default = {"component": "Method", "adaptation": {"component": "Restarts", "fit": fitted(200), "starts": ["mean"]}}
    once, longer = ({"component": "Method", "adaptation": fitted(steps)} for steps in (200, 400))
    other = {"component": "Method", "adaptation": {"component": "Choice", "temperature": 0.0}}
    replaced = "`Method.adaptation=@Fit()` (@Restarts())"
    assert list(differences(default, once)) == [replaced]
    assert list(differences(default, longer)) == [replaced, "`Fit.steps=400` (200)"]
    assert list(differences(default, other)) == ["`Method.adaptation=@Choice()` (@Restarts())"]


def test_all_settings_are_told_of_a_part_where_there_was_none() -> None:
    gate = {"component": "Gate", "tolerance": 0.06, "fit": {"component": "Fit", "steps": 200}}
    default, gated = ({"component": "Method", "adaptation": part} for part in (None, gate))
    told = ["`Method.adaptation=@Gate()` (None)", "`Gate.tolerance=0.06`", "`Gate.fit=@Fit()`", "`Fit.steps=200`"]
    assert list(differences(default, gated)) == told


def test_a_recipe_of_seen_tasks_alone_has_no_columns_for_unseen_ones() -> None:
    found = [record for record in records() if record.split == "seen"]
    summary = summarise(found, recipe="ablation", tasks=SEEN, resamples=50)
    text = AblationTable().markdown({"provenance": {}, "rows": summary.rows, "comparisons": summary.comparisons})
    assert "averages over 2 seen tasks" in " ".join(text.split())
    assert len(cells(text, "## Strict protocol", "no Q")) == 4


def test_what_deployments_had_to_say_and_what_an_oracle_is_of_stand_in_the_table(result: dict[str, Any]) -> None:
    told = {
        name: {"knows": "", "notes": ["WorldModel did not judge reach: too strange"]} for name in ("no Q", "retrieval")
    }
    oracles = [{"component": "Oracle", "name": "best", "among": ["no Q", "retrieval"], "by": "itself"}]
    config = {**result["provenance"]["config"], "oracles": oracles}
    more = {**result, "methods": told, "provenance": {**result["provenance"], "config": config}}
    text = " ".join(AblationTable().markdown(more).split())
    assert "`no Q`, `retrieval`: WorldModel did not judge reach: too strange." in text
    assert "`best`: no row to be had, but their ceiling; of no Q, retrieval." in text

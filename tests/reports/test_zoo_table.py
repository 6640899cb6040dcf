"""The table of zoos: a column a zoo and kind of prompts, and claims that are decided or not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.check import check
from hyprepro.reports.markdown import with_interval
from hyprepro.reports.numbers import Numbers
from hyprepro.reports.reading import problem
from hyprepro.reports.zoo_table import ZooTable, abreast
from tests.reports.zoos import COLUMNS, PAIRS, RATES, SEEN, UNSEEN, zoos_result


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return zoos_result()


@pytest.fixture(scope="module")
def page(result: dict[str, Any]) -> str:
    return ZooTable().markdown(result)


def section(page: str, title: str) -> list[str]:
    """The lines below a heading."""
    lines = page.splitlines()
    start = lines.index(f"## {title}") + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith("## ")), len(lines))
    return lines[start:end]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_column_a_zoo_and_kind_of_prompts(result: dict[str, Any], page: str) -> None:
    lines = section(page, "Seen tasks, strict protocol")
    assert cells(lines[1]) == ["method", "parent, unseen", "independent, training", "independent, unseen"]
    line = next(line for line in lines if line.startswith("| gen-hyprl"))
    rows = [Numbers(result, "seen", zoo=zoo).row("gen-hyprl", "strict", None) for zoo in COLUMNS]
    assert cells(line)[1:] == [with_interval(row) for row in rows]
    unseen = section(page, "Unseen tasks, strict protocol")
    assert cells(unseen[1]) == ["method", "parent, unseen", "independent, unseen"], "nothing is trained on them"


def test_each_zoo_has_the_rates_that_it_was_made_with(result: dict[str, Any]) -> None:
    for zoo, rates in RATES.items():
        row = Numbers(result, "seen", zoo=zoo).row("gen-hyprl", "strict", None)
        assert row is not None
        assert row["value"] == pytest.approx(rates["gen-hyprl"], abs=0.2)
        assert row["n_policies"] == 8 * len(SEEN)


def test_a_claim_is_bold_where_its_interval_excludes_zero(result: dict[str, Any], page: str) -> None:
    lines = section(page, "The claims: seen tasks, strict protocol")
    assert [line for line in lines if line.startswith("| make-an-agent minus expert")]
    against = section(page, "`gen-hyprl` minus each other row: seen tasks, strict protocol")
    line = cells(next(line for line in against if line.startswith("| make-an-agent")))
    assert line[3].startswith("**-")
    assert line[3].endswith("]**")
    assert "**" not in line[1]


def test_pairs_are_compared_beside_the_reference(result: dict[str, Any]) -> None:
    found = {(row["method"], row["minus"], row["zoo"]) for row in result["comparisons"]}
    assert {(*PAIRS[0], zoo) for zoo in COLUMNS} <= found
    assert {("gen-hyprl", "expert", zoo) for zoo in COLUMNS} <= found
    one = Numbers(result, "seen", zoo="parent").gain("expert", "strict", None, "make-an-agent")
    other = Numbers(result, "seen", zoo="parent").gain("expert", "strict", None)
    assert one is not None
    assert other is not None
    assert (one["method"], other["method"]) == ("make-an-agent", "gen-hyprl")


def test_every_zoo_is_described_once(page: str) -> None:
    text = " ".join(" ".join(section(page, "The zoos")).split())
    assert "`parent`: SAC of parent runs. 3 training runs a task, 60 training policies a task" in text
    assert "`independent`: SAC of independent runs. 9 to 10 training runs a task" in text
    assert "Prompts of training and of unseen runs." in text
    assert text.count("`independent`") == 1


def test_a_zoo_without_a_task_says_so() -> None:
    zoos = [{"name": "parent", "without": [UNSEEN[0], "elsewhere"]}, {"name": "independent"}]
    text = " ".join(ZooTable().markdown(zoos_result(config={"zoos": zoos})).split())
    assert f"It has no {UNSEEN[0]}: its averages are of other tasks" in text
    assert "elsewhere" not in text


def test_a_page_is_no_wider_than_a_page(page: str) -> None:
    assert max(map(len, page.splitlines())) <= 120
    many = {f"zoo-{number}/unseen": RATES["independent/unseen"] for number in range(7)}
    assert max(map(len, ZooTable().markdown(zoos_result(many)).splitlines())) <= 120


def test_columns_stand_abreast_as_far_as_they_fit_and_empty_rows_are_left_out() -> None:
    columns = [[f"head {number}", "x" * 30, "-" if number else "y"] for number in range(4)]
    one, two = abreast(["first", "a", "b"], columns)
    assert one.count("head") == 3
    assert "| b " in one
    assert two.count("head") == 1
    assert "| b " not in two


def test_a_result_of_zoos_is_well_formed_and_its_numbers_are_told_apart(result: dict[str, Any]) -> None:
    assert problem({**result, "schema": 1}) == ""
    assert check(result, result) == []
    moved = copy.deepcopy(result)
    row = next(r for r in moved["rows"] if r["zoo"] == "independent/unseen" and r["task"] is None)
    row["value"] -= 0.6
    row["ci95"] = [end - 0.6 for end in row["ci95"]]
    (line,) = check(result, moved)
    assert "average of seen tasks, independent/unseen, paper protocol" in line


def test_results_of_other_stores_of_one_zoo_are_not_compared(result: dict[str, Any]) -> None:
    other = copy.deepcopy(result)
    other["provenance"]["stores"]["zoos"]["independent/unseen"]["policies"] = "x" * 64
    with pytest.raises(UserError, match=r"policies store of independent/unseen iiii.* committed, xxxx.* now"):
        check(result, other)

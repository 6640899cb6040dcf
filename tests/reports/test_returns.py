"""The report of Table 4, read as its reader reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyprepro.reports.check import check
from hyprepro.reports.markdown import WIDTH
from hyprepro.reports.returns import ReturnTable
from tests.reports.velocities import MEANS, TESTED, records, velocity_result


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return velocity_result(records())


@pytest.fixture(scope="module")
def text(result: dict[str, Any]) -> str:
    return ReturnTable().markdown(result)


def cells(text: str, section: str, name: str) -> list[str]:
    """The cells of the first row of that name after a heading, without the name."""
    rows = [line.strip("|").split("|") for line in text.split(section, 1)[1].splitlines() if line.startswith("| ")]
    return next([cell.strip() for cell in row[1:]] for row in rows if row[0].strip() == name)


def test_the_paper_stands_beside_ours(text: str) -> None:
    paper, ours = cells(text, "# Table 4", "Gen-HypRL (w/o HypFormer) (10 seeds)")
    assert paper == "-33.44"
    assert -36 < float(ours.split()[0]) < -30
    assert cells(text, "# Table 4", "MACAW (Iter. 0)") == ["-121.6", "see `baselines4`"]
    assert cells(text, "# Table 4", "Prompt-DT")[0] == "-34.43"


def test_every_method_for_each_number_of_training_velocities(text: str) -> None:
    for size, near in ((35, -22.0), (10, -40.0)):
        value, _, gain, beyond = cells(text, f"## {size} training velocities", "nearest-velocity")
        assert float(value.split()[0]) == pytest.approx(near - 10 * sum(TESTED) / 2, abs=6)
        assert gain.startswith("+")
        assert beyond.startswith("+")
        assert cells(text, f"## {size} training velocities", "expert")[-1] == "+0.0%"
    assert float(cells(text, "## 10 training", "gen-hyprl")[3].rstrip("%")) > 10


def test_returns_by_velocity(text: str, result: dict[str, Any]) -> None:
    assert cells(text, "By velocity, m/s", "method") == [f"{velocity:g}" for velocity in TESTED]
    values = [float(cell) for cell in cells(text, "By velocity, m/s", "gen-hyprl")]
    wanted = [r["value"] for r in result["rows"] if r["method"] == "gen-hyprl" and r["n_train"] == 35 and r["task"]]
    assert values == pytest.approx(wanted, abs=0.006)


def test_what_each_knows_and_costs(text: str) -> None:
    assert "- `gen-hyprl`: the velocity" in text
    assert cells(text, "## What each costs", "gen-hyprl") == ["60", "30"]
    assert cells(text, "## What each costs", "expert") == ["none", "none"]
    assert "Route to the experts: SAC." in text


def test_it_fits_the_page(text: str, result: dict[str, Any]) -> None:
    assert all(len(line) <= WIDTH for line in (text + ReturnTable().side_by_side(result)).splitlines())


def test_withheld_velocities_do_not_stand_beside_the_paper() -> None:
    found = velocity_result(records(splits=dict.fromkeys(TESTED, "validation")))
    text = ReturnTable().markdown(found)
    assert "-33.44" not in text
    assert "## 35 training velocities" in text


def test_the_side_by_side_has_the_papers_table_and_the_ceilings(result: dict[str, Any]) -> None:
    found = ReturnTable().side_by_side(json.loads(json.dumps(result)))
    assert cells(found, "# Table 4: the paper and this reproduction", "Prompt-DT")[0] == "-34.43"
    assert cells(found, "10 training velocities:", "expert")[-1] == "+0.0%"


def test_a_run_is_checked_against_another(result: dict[str, Any]) -> None:
    worse = velocity_result(records({**MEANS, ("gen-hyprl", 10): -35.0}))
    assert check(result, result) == []
    found = check(result, worse)
    assert found
    assert all("gen-hyprl" in line for line in found)

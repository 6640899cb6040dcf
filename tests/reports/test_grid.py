from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.reports.compared import FIELDS
from hyprepro.reports.grid import CellResult, Comparison
from hyprepro.reports.records import Record, write_records
from tests.reports.synthetic import BELOW, make_records, make_result
from tests.reports.velocities import records as returns_of
from tests.reports.velocities import velocity_result
from tests.reports.web.pages import assert_sound, read

AXES = ("HypLatent.supervised_weight",)


def cell(folder: Path, value: str, records: list[Record]) -> CellResult:
    folder.mkdir()
    write_records(folder / "records.csv.gz", records)
    result = make_result(records, digest=value * 64)
    result["provenance"]["config"] |= {"below": list(BELOW), "prompt_split": "test"}
    result["provenance"]["seeds"] = [0, 1]
    return CellResult((value,), result, folder)


def moved(record: Record) -> Record:
    """One that has lost a third of Gen-HypRL's successes, on the same prompts and goals."""
    lost = record.method == "gen-hyprl" and record.policy % 3 == 0
    return record._replace(success=False) if lost else record


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A first cell, one in which Gen-HypRL is worse on the same prompts, and one with other starts."""
    folder, records = tmp_path_factory.mktemp("grid"), make_records()
    elsewhere = [record._replace(start=f"{record.start}0") for record in map(moved, records)]
    sides = {"1": records, "2": list(map(moved, records)), "3": elsewhere}
    cells = tuple(cell(folder / value, value, side) for value, side in sides.items())
    return Comparison(AXES, cells, 0, is_base=False, fixed=("Recipe.below=()",), command="hyprepro sweep table1")


def key(protocol: str, method: str = "gen-hyprl") -> tuple[str, ...]:
    named = {"method": method, "split": "seen", "protocol": protocol, "metric": "success_rate", "statistic": "mean"}
    return tuple(named.get(field, "") for field in FIELDS)


def test_differences_are_paired_where_prompts_and_starts_are_the_same(grid: Comparison) -> None:
    base, worse, elsewhere = (pairs[key("paper")] for pairs in grid.differences)
    assert base.delta == 0
    assert (worse.interval, elsewhere.interval) == ("paired", "independent")
    assert worse.delta == pytest.approx(elsewhere.delta)
    assert worse.delta < -0.1

    def width(pair) -> float:
        return pair.ci95[1] - pair.ci95[0]

    assert width(worse) < width(elsewhere)


def test_only_averages_are_told_and_methods_that_stay_are_named(grid: Comparison) -> None:
    assert all(pair.named["task"] == "" for pairs in grid.differences for pair in pairs.values())
    assert grid.unmoved == ["expert", "retrieval", "gen-hyprl-wo-hypformer"]
    text = grid.markdown()
    assert "The same numbers in every cell: `expert`, `retrieval`, `gen-hyprl-wo-hypformer`." in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## gen-hyprl, seen tasks",
        "## Notes",
        "## Cells",
    ]


def test_the_table_has_a_row_a_cell_and_marks_what_is_not_paired(grid: Comparison) -> None:
    table = grid.markdown().partition("## gen-hyprl")[2].partition("## Notes")[0]
    head, _, *rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in head] == ["supervised_weight", "paper", "paper, minus", "strict", "strict, minus"]
    first, second, third = ([cell.strip() for cell in row] for row in rows)
    assert (first[2], first[4]) == ("-", "-")
    assert second[2].startswith("-")
    assert not second[2].endswith("~")
    assert third[2].endswith("~")
    assert "Those marked ~" in " ".join(grid.markdown().split())
    assert "supervised_weight = 1 (the first)" in grid.markdown()
    assert max(map(len, table.splitlines())) <= 120


def test_a_grid_in_which_nothing_moves_shows_its_numbers_all_the_same(grid: Comparison, tmp_path: Path) -> None:
    alike = Comparison(AXES, (grid.cells[0], cell(tmp_path / "x", "9", make_records())), 0, is_base=True)
    assert alike.unmoved == []
    assert "## expert, seen tasks" in alike.markdown()
    assert "(which the recipe has without the grid)" in " ".join(alike.markdown().split())


def test_axes_of_one_name_keep_their_components(grid: Comparison) -> None:
    cells = tuple(CellResult((*each.values, "0"), each.result, each.folder) for each in grid.cells)
    both = Comparison(("a/HypFormer.heads", "HypFormer.heads"), cells, 0, is_base=False)
    assert both.heads == ["a/HypFormer.heads", "HypFormer.heads"]


def test_the_page_is_sound_and_the_numbers_are_for_programs(grid: Comparison) -> None:
    root = read(grid.page())
    assert_sound(root)
    assert root.all("h1")[0].text == "Sweep of table1 over HypLatent.supervised_weight"
    found = grid.to_json()
    assert [each["values"] for each in found["cells"]] == [{AXES[0]: value} for value in "123"]
    assert found["cells"][0]["differences"] == []
    assert {each["task"] for each in found["cells"][1]["differences"]} == {""}


def test_returns_are_no_percentages(grid: Comparison, tmp_path: Path) -> None:
    found = returns_of()
    write_records(tmp_path / "records.csv.gz", found)
    result = {**velocity_result(found), "digest": "1" * 64}
    result["provenance"] |= {"seeds": [0, 1]}
    text = Comparison(AXES, (CellResult(("1",), result, tmp_path),), 0, is_base=True).markdown()
    assert "Returns, higher is better, averages over tasks." in " ".join(text.split())
    assert "Success rates in percent, averages over tasks." in " ".join(grid.markdown().split())

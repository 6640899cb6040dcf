"""The committed results: they follow from their records, and a fresh run must not leave their intervals.

`HYPREPRO_FRESH=path/result.json pytest tests/regression` holds a fresh result against the committed one of its recipe
and scale; `nox -s reproduce` does so after a run. Without it the committed numbers are held against the reference that
pytest-regressions keeps in `test_results/`, so that a changed number shows up in a review. After a result was replaced
on purpose: `pytest tests/regression --force-regen`.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, cast

import pytest
from pytest_regressions.num_regression import NumericRegressionFixture

from hyprepro.config.registry import resolve
from hyprepro.experiments.recipe import Experiment
from hyprepro.experiments.results import digest
from hyprepro.reports.check import check, refuse_unlike, tolerance
from hyprepro.reports.reading import read_result, stores_of
from hyprepro.reports.report import report_of
from hyprepro.reports.summaries import read_summary

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = (
    *("table1", "table2", "table3", "table4", "baselines4", "velocities", "figure4", "figure5", "tokens"),
    *("ablation", "withheld_a", "withheld_b", "withheld_c", "zoos", "independence", "starts", "multitask", "runs"),
    "hyperzero",
    *("independent_a", "independent_b", "independent_c", "judges_a", "judges_b", "judges_c"),
)
"""Recipes that have a committed result at the desktop scale. A new one is added here with its result."""
PATHS = sorted((ROOT / "results").glob("*/*/result.json"))
NAMES = [f"{path.parent.parent.name}-{path.parent.name}" for path in PATHS]

each_result = pytest.mark.parametrize("path", PATHS, ids=NAMES)


def fresh_result(committed: dict[str, Any]) -> dict[str, Any]:
    """The fresh result that the environment names if it is of the same recipe and scale, else the committed one."""
    given = os.environ.get("HYPREPRO_FRESH")
    if not given:
        return committed
    fresh = read_result(Path(given))
    is_same = all(fresh.get(name) == committed.get(name) for name in ("recipe", "scale", "variant"))
    return fresh if is_same else committed


def averages(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of averages by name."""
    rows = [row for row in result["rows"] if row["task"] is None]
    splits = {row["split"] for row in rows}
    prefix = {split: f"{split} " if len(splits) > 1 else "" for split in splits}
    zoo = {name: f" {name}" if name else "" for name in (row.get("zoo", "") for row in rows)}
    size = {row["n_train"]: f" {row['n_train']}" if row["n_train"] is not None else "" for row in rows}
    return {
        f"{prefix[row['split']]}{row['method']}{size[row['n_train']]}{zoo[row.get('zoo', '')]} {row['protocol']} "
        f"{row['statistic']}": row
        for row in rows
    }


@pytest.mark.parametrize("recipe", REQUIRED)
def test_there_is_a_committed_result(recipe: str) -> None:
    path = ROOT / "results" / recipe / "desktop" / "result.json"
    assert path in PATHS, f"hyprepro run {recipe}, and commit what it writes"


def test_every_committed_result_is_required() -> None:
    assert {path.parent.parent.name for path in PATHS if path.parent.name == "desktop"} <= set(REQUIRED)


@each_result
def test_the_rows_follow_from_the_records(path: Path) -> None:
    result = read_result(path)
    records, summary = read_summary(path.parent, result)
    assert summary.rows == result["rows"]
    assert summary.comparisons == result["comparisons"]
    assert summary.profiles == result["profiles"]
    assert digest(records, summary.rows, summary.comparisons) == result["digest"]


@each_result
def test_the_table_follows_from_the_result(path: Path) -> None:
    result = read_result(path)
    assert (path.parent / "table.md").read_text(encoding="utf-8") == report_of(result).page(result)


@each_result
def test_the_result_is_of_the_bundled_stores(path: Path) -> None:
    result = read_result(path)
    recipe = cast(Experiment, resolve(result["recipe"], result["scale"]).recipe)
    domains = {zoo.name: zoo.domain for zoo in getattr(recipe, "zoos", ())} or {"": recipe.domain}
    for zoo, stores in stores_of(result["provenance"]).items():
        found = {name: stores[name] for name in ("policies", "trajectories")}
        assert found == domains[zoo.partition("/")[0]].digests


@each_result
def test_a_run_of_the_recipe_as_it_is_now_could_be_held_against_it(path: Path) -> None:
    committed = read_result(path)
    today = copy.deepcopy(committed)
    today["provenance"]["config"] = config = resolve(committed["recipe"], committed["scale"]).recipe.described()
    refuse_unlike(committed, today)
    alone = {row["n_seeds"] for row in committed["rows"] if row["method"] in config.get("one_seed", ())}
    assert alone <= {1}


@each_result
def test_a_row_says_what_its_policies_are_fitted_to(path: Path) -> None:
    result, ends = read_result(path), "; its policies are then "
    recipe = resolve(result["recipe"], result["scale"]).recipe
    for method in getattr(recipe, "methods", ()):
        recorded = result["methods"].get(method.name, {}).get("knows", "")
        if ends in recorded:
            assert recorded.partition(ends)[2] == method.information(recipe.domain).partition(ends)[2]


@each_result
def test_every_number_is_reproduced(path: Path) -> None:
    committed = read_result(path)
    assert check(committed, fresh_result(committed)) == []


@each_result
def test_the_check_fails_when_a_number_moves(path: Path) -> None:
    committed = read_result(path)
    moved = copy.deepcopy(committed)
    first = next(row for row in moved["rows"] if row["task"] is None)
    far = 50.0 if first["metric"] == "return" else 0.5
    first["value"] -= far
    first["ci95"] = [end - far for end in first["ci95"]]
    (line,) = check(committed, moved)
    assert line.startswith(f"{first['method']}, average")


@each_result
def test_averages_stay_within_their_intervals(path: Path, num_regression: NumericRegressionFixture) -> None:
    committed = read_result(path)
    rows, fresh = averages(committed), averages(fresh_result(committed))
    allowed = {}
    for name, row in rows.items():
        low, high = row["ci95"]
        slack = tolerance(row, fresh[name]) if name in fresh else 0.0
        allowed[name] = {"atol": max(row["value"] - low, high - row["value"]) + slack, "rtol": 0.0}
    values = {name: [row["value"]] for name, row in fresh.items()}
    if fresh == rows:
        allowed = {name: {"atol": 1e-6, "rtol": 0.0} for name in rows}
    num_regression.check(values, basename=f"{path.parent.parent.name}-{path.parent.name}", tolerances=allowed)


@pytest.mark.parametrize("recipe", [name for name in REQUIRED if name.startswith(("table", "baselines"))])
def test_the_papers_table_beside_ours_is_that_of_the_committed_result(recipe: str) -> None:
    result = read_result(ROOT / "results" / recipe / "desktop" / "result.json")
    assert (ROOT / "paper_tables" / f"{recipe}.md").read_text(encoding="utf-8") == report_of(result).side_by_side(
        result
    )

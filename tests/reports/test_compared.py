from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.reports.compared import FIELDS, compared, paired, square_and_add
from hyprepro.reports.reading import key_of
from hyprepro.reports.records import Record, write_records
from tests.reports import velocities
from tests.reports.synthetic import BELOW, make_records, make_result


def row(method: str, value: float | None, ci95: list[float] | None = None, **more: Any) -> dict[str, Any]:
    common = {"method": method, "task": None, "split": "seen", "protocol": "paper", "metric": "return"}
    given = {"value": value, "ci95": ci95 or (None if value is None else [value - 1, value + 1])}
    return {**common, "statistic": "mean", "variant": "ours", "n_train": None, **given, **more}


def test_rows_are_matched_by_what_they_are_not_by_where_they_stand() -> None:
    a = {"rows": [row("expert", 1.0), row("gen-hyprl", 2.0)]}
    b = {"rows": [row("gen-hyprl", 2.5, variant="paper"), row("care", 0.0), row("expert", 1.0, variant="paper")]}
    found = compared(a, b, {})
    assert [(pair.named["method"], pair.delta) for pair in found] == [("gen-hyprl", 0.5), ("care", None)]


def test_equal_values_with_other_intervals_differ() -> None:
    (pair,) = compared({"rows": [row("expert", 1.0)]}, {"rows": [row("expert", 1.0, [0.0, 9.0])]}, {})
    assert pair.delta == 0.0


def test_a_value_that_could_not_be_computed_has_no_difference() -> None:
    (pair,) = compared({"rows": [row("expert", None)]}, {"rows": [row("expert", 1.0)]}, {})
    assert (pair.delta, pair.ci95, pair.interval) == (None, None, "")
    assert pair.to_json()["b"] == 1.0
    assert pair.to_json()["a"] is None


def test_a_paired_difference_goes_before_an_independent_one() -> None:
    a, b = {"rows": [row("expert", 1.0)]}, {"rows": [row("expert", 1.5)]}
    known = {key_of(a["rows"][0], FIELDS): {"value": 0.5, "ci95": [0.4, 0.6]}}
    (apart,), (pair,) = compared(a, b, {}), compared(a, b, known)
    assert (apart.interval, pair.interval) == ("independent", "paired")
    assert pair.ci95 == (0.4, 0.6)
    assert apart.ci95 == pytest.approx((0.5 - 2**0.5, 0.5 + 2**0.5))


def test_square_and_add_covers_as_often_as_it_says() -> None:
    """Of two normal means with exact 95% intervals, in nineteen of twenty draws (checked on a fixed seed)."""
    rng = np.random.default_rng(0)
    draws = rng.normal([0.0, 3.0], [1.0, 2.0], (4000, 2))
    hits = 0
    for one, other in draws:
        a = {"value": one, "ci95": [one - 1.96, one + 1.96]}
        b = {"value": other, "ci95": [other - 3.92, other + 3.92]}
        low, high = square_and_add(a, b)
        hits += low <= 3.0 <= high
    assert 0.94 < hits / len(draws) < 0.96


def test_an_interval_of_no_width_adds_nothing() -> None:
    a, b = {"value": 1.0, "ci95": [1.0, 1.0]}, {"value": 0.9, "ci95": [0.8, 0.95]}
    assert square_and_add(a, b) == pytest.approx((-0.2, -0.05))


def side(folder: Path, records: list[Record]) -> dict[str, Any]:
    """A result whose records lie in a folder."""
    folder.mkdir()
    write_records(folder / "records.csv.gz", records)
    found = make_result(records)
    found["provenance"]["config"] |= {"below": list(BELOW), "prompt_split": "test"}
    return found


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return make_records(policies=8, validation=2)


def test_a_difference_of_the_same_design_is_that_of_two_methods_of_one_table(
    tmp_path: Path, records: list[Record]
) -> None:
    """The second result's Gen-HypRL acts as the first one's row without HypFormer: the table's own paired gain."""
    renamed = {"gen-hyprl": "gen-hyprl-wo-hypformer", "gen-hyprl-wo-hypformer": "gen-hyprl"}
    swapped = [record._replace(method=renamed.get(record.method, record.method)) for record in records]
    a, b = side(tmp_path / "a", records), side(tmp_path / "b", swapped)
    found = paired(a, b, (tmp_path / "a", tmp_path / "b"))
    gains = {
        (row["task"], row["protocol"]): row
        for row in a["comparisons"]
        if row["minus"] == "gen-hyprl-wo-hypformer" and row["statistic"] == "mean"
    }
    checked = 0
    for row in a["rows"]:
        if row["method"] == "gen-hyprl-wo-hypformer" and row["statistic"] == "mean":
            gain = gains[row["task"], row["protocol"]]
            assert found[key_of(row, FIELDS)]["value"] == pytest.approx(gain["value"], abs=1e-6)
            checked += 1
    assert checked == len(gains)
    assert {row["statistic"] for row in a["rows"] if key_of(row, FIELDS) in found} == {"mean", "iqm", "top5"}


def test_pairing_is_tighter_than_two_runs_that_share_nothing(tmp_path: Path, records: list[Record]) -> None:
    one = next(record for record in records if record.method == "expert" and record.protocol == "strict")
    changed = [record._replace(success=not record.success) if record == one else record for record in records]
    a, b = side(tmp_path / "a", records), side(tmp_path / "b", changed)
    found = paired(a, b, (tmp_path / "a", tmp_path / "b"))
    row = next(
        row
        for row in a["rows"]
        if (row["method"], row["task"], row["protocol"], row["statistic"]) == ("expert", one.task, "strict", "mean")
    )
    low, high = found[key_of(row, FIELDS)]["ci95"]
    assert high - low > 0
    unchanged = next(row for row in a["rows"] if row["method"] == "retrieval")
    assert found[key_of(unchanged, FIELDS)] == {"value": 0.0, "ci95": [0.0, 0.0]}


@pytest.mark.parametrize("what", ["store", "split", "runs", "goals", "size", "records", "metric"])
def test_what_shares_no_prompts_is_not_paired(tmp_path: Path, records: list[Record], what: str) -> None:
    others = records
    if what == "goals":
        others = [record._replace(start=f"{record.start}-other") for record in records]
    if what == "size":
        others = [record for record in records if record.policy < 6]
    a, b = side(tmp_path / "a", records), side(tmp_path / "b", others)
    if what == "store":
        b["provenance"]["stores"] |= {"trajectories": "another"}
    if what == "split":
        b["provenance"]["config"]["prompt_split"] = "validation"
    if what == "runs":
        b["provenance"]["config"]["prompt_runs"] = "training"
    if what == "records":
        (tmp_path / "b" / "records.csv.gz").unlink()
    if what == "metric":
        write_records(tmp_path / "b" / "records.csv.gz", velocities.records())
    assert paired(a, b, (tmp_path / "a", tmp_path / "b")) == {}


def velocity_side(folder: Path, records: list[Record]) -> dict[str, Any]:
    folder.mkdir()
    write_records(folder / "records.csv.gz", records)
    found = velocities.velocity_result(records)
    return found


def test_returns_of_the_same_starts_are_paired(tmp_path: Path) -> None:
    before = velocities.records()
    after = [record._replace(total=record.total + 2.0) for record in before if record.method != "nearest-velocity"]
    a, b = velocity_side(tmp_path / "a", before), velocity_side(tmp_path / "b", after)
    found = paired(a, b, (tmp_path / "a", tmp_path / "b"))
    both = [row for row in a["rows"] if row["method"] != "nearest-velocity"]
    assert set(found) == {key_of(row, FIELDS) for row in both}
    assert {row["method"] for row in both} == {"gen-hyprl", "gen-hyprl-wo-hypformer", "expert"}
    assert all(each["value"] == pytest.approx(2.0) for each in found.values())
    elsewhere = [record._replace(start=record.start + "9") for record in after]
    other = velocity_side(tmp_path / "c", elsewhere)
    assert paired(a, other, (tmp_path / "a", tmp_path / "c")) == {}

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyprepro.reports.compared import FIELDS, paired
from hyprepro.reports.reading import key_of
from hyprepro.reports.records import Record, write_records
from tests.reports import velocities
from tests.reports.synthetic import BELOW, make_records, make_result


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


@pytest.mark.parametrize("what", ["store", "split", "goals", "size", "records", "metric"])
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

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyprepro.experiments import results
from hyprepro.experiments.results import Outcome, Run, read_result, write_result
from hyprepro.reports.changes import Change, Departure
from hyprepro.reports.records import Record, read_records, write_records

RECORDS = [
    Record("expert", "ours", 0, None, "seen", "reach", "paper", policy, "paper-720", policy != 1, 40 + policy)
    for policy in range(3)
]


@pytest.fixture
def run() -> Run:
    return Run(
        config={"name": "table1", "scale": "smoke", "variant": "ours", "seeds": 2},
        stores={"policies": "p", "trajectories": "t", "route": {"route": "synthetic"}},
        outcome=Outcome(
            RECORDS,
            write_records,
            rows=[{"method": "expert", "task": "reach", "value": 2 / 3, "ci95": [0.1, 0.9]}],
            comparisons=[{"method": "gen-hyprl", "minus": "expert", "value": 0.1}],
            methods={"expert": {"knows": "the policy"}},
        ),
        operative_config="Recipe.seeds = 2\n",
        cost={"wall_seconds": 12.5, "peak_memory_mb": 900},
    )


FILES = ("records.csv.gz", "table.md", "figure.png", "operative_config.gin", "config.json", "result.json")


def render(result: Mapping[str, Any], folder: Path | None = None) -> dict[str, bytes]:
    text = "".join(f"| {row['value']} |\n" for row in result["rows"])
    return {"table.md": text.encode(), "figure.png": b"a picture"}


def with_outcome(run: Run, **changes: Any) -> Run:
    return replace(run, outcome=replace(run.outcome, **changes))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_are_written(run: Run, tmp_path: Path) -> None:
    result = write_result(run, tmp_path, render)
    assert set(contents(tmp_path)) == set(FILES)
    assert read_result(tmp_path) == json.loads(json.dumps(result))
    assert read_records(tmp_path / "records.csv.gz") == RECORDS
    assert json.loads((tmp_path / "config.json").read_text()) == run.config
    assert (tmp_path / "table.md").read_bytes() == render(run.result())["table.md"]
    assert (tmp_path / "operative_config.gin").read_text() == run.operative_config


def test_the_result_says_what_it_was_made_with(run: Run) -> None:
    result = run.result()
    provenance = result["provenance"]
    assert (result["schema"], result["recipe"], result["scale"], result["variant"]) == (1, "table1", "smoke", "ours")
    assert provenance["config"] == run.config
    assert provenance["seeds"] == [0, 1]
    assert provenance["stores"] == run.stores
    assert {"metaworld", "mujoco", "gymnasium", "torch", "hyprepro"} <= set(provenance["versions"])
    assert provenance["hardware"]["cores"] >= 1
    assert provenance["hardware"]["cpu"]
    assert provenance["date"].endswith("Z")
    assert (provenance["wall_seconds"], provenance["peak_memory_mb"]) == (12.5, 900)


def test_the_result_says_what_differs_from_the_shipped_recipe_where_somebody_looked(run: Run) -> None:
    assert "shipped" not in run.result()["provenance"]
    departure = Departure("table1 --scale smoke", (Change(("Recipe.seeds",), ("seeds",), 1, 2),))
    shipped = replace(run, departure=departure).result()["provenance"]["shipped"]
    assert Departure.read(json.loads(json.dumps(shipped))) == departure


def test_the_digest_depends_on_rows_and_records_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [
        with_outcome(run, records=RECORDS[:2]),
        with_outcome(run, records=[RECORDS[0]._replace(steps=41), *RECORDS[1:]]),
        with_outcome(run, rows=[{**run.outcome.rows[0], "value": 0.5}]),
        with_outcome(run, comparisons=[]),
    ]
    assert len({run.digest, *(other.digest for other in changed)}) == 5
    monkeypatch.setattr(results, "hardware", lambda: {"cpu": "another", "cores": 64, "memory_gb": 1.0})
    took = {"expert": {"knows": "the policy", "training_seconds": 9.5}}
    same = replace(with_outcome(run, methods=took), cost={"wall_seconds": 1.0}, config={**run.config, "seeds": 3})
    assert same.result()["digest"] == run.digest


def test_an_equal_result_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    write_result(run, tmp_path, render)
    before = contents(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = write_result(replace(run, cost={"wall_seconds": 0.1, "peak_memory_mb": 1}), tmp_path, render, is_new=False)
    assert again == read_result(tmp_path)
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


def test_a_run_that_made_something_replaces_an_equal_result(run: Run, tmp_path: Path) -> None:
    write_result(run, tmp_path, render)
    assert write_result(replace(run, cost={"wall_seconds": 0.1}), tmp_path, render)["provenance"]["wall_seconds"] == 0.1


def test_a_new_table_of_old_records_keeps_the_cost_of_the_run_that_made_them(run: Run, tmp_path: Path) -> None:
    write_result(run, tmp_path, render)
    later = with_outcome(run, rows=[{**run.outcome.rows[0], "value": 0.7}])
    later = replace(later, cost={"wall_seconds": 0.1, "peak_memory_mb": 1})
    result = write_result(later, tmp_path, render, is_new=False)
    assert result["rows"][0]["value"] == 0.7
    assert result["digest"] != run.digest
    assert (result["provenance"]["wall_seconds"], result["provenance"]["peak_memory_mb"]) == (12.5, 900)
    assert (tmp_path / "table.md").read_text() == "| 0.7 |\n"


def test_the_cost_of_other_records_is_not_taken_over(run: Run, tmp_path: Path) -> None:
    write_result(run, tmp_path, render)
    later = replace(with_outcome(run, records=RECORDS[:2]), cost={"wall_seconds": 0.1, "peak_memory_mb": 1})
    assert write_result(later, tmp_path, render, is_new=False)["provenance"]["wall_seconds"] == 0.1


@pytest.mark.parametrize("damage", ["missing", "changed", "unreadable", "not a result"])
def test_an_incomplete_result_is_written_anew(run: Run, tmp_path: Path, damage: str) -> None:
    write_result(run, tmp_path, render)
    if damage == "missing":
        (tmp_path / "table.md").unlink()
    elif damage == "changed":
        (tmp_path / "records.csv.gz").write_bytes(b"records of another run")
    elif damage == "unreadable":
        (tmp_path / "result.json").write_text('{"schema": ')
    else:
        (tmp_path / "result.json").write_text("[]")
    write_result(run, tmp_path, render, is_new=False)
    assert read_records(tmp_path / "records.csv.gz") == RECORDS
    assert (tmp_path / "table.md").read_bytes() == render(run.result())["table.md"]
    assert read_result(tmp_path)["digest"] == run.digest  # type: ignore[index]


def test_a_disk_that_fills_up_leaves_the_earlier_result(run: Run, tmp_path: Path) -> None:
    write_result(run, tmp_path, render)
    before = contents(tmp_path)

    def full(path: Path, records: Any) -> None:
        write_records(path, records)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(OSError, match="No space left"):
        write_result(with_outcome(run, rows=[], write=full), tmp_path, render)
    assert contents(tmp_path) == before


def test_result_json_is_replaced_last(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []
    original = os.replace

    def note(source: Path, target: Path) -> None:
        replaced.append(Path(target).name)
        original(source, target)

    monkeypatch.setattr(os, "replace", note)
    write_result(run, tmp_path, render)
    assert replaced[-1] == "result.json"
    assert len(replaced) == len(FILES)

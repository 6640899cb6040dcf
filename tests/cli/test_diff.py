from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hyprepro.reports.records import Record, write_records
from tests.reports import velocities
from tests.reports.synthetic import TABLE1_TASKS, make_records, make_result

CONFIG = {"component": "Recipe", "seeds": 1, "methods": [{"component": "Expert"}, {"component": "MSERegressor"}]}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the folder of a result: its numbers, its configuration and, if given, its records."""

    def folder(name: str, result: dict[str, Any], records: Sequence[Record] | None = None, **config: Any) -> Path:
        path = tmp_path / name
        path.mkdir()
        (path / "config.json").write_text(json.dumps({**CONFIG, **config}))
        (path / "result.json").write_text(json.dumps(result))
        if records is not None:
            write_records(path / "records.csv.gz", records)
        return path

    return folder


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return make_records(policies=10)


@pytest.fixture(scope="module")
def result(records: list[Record]) -> dict[str, Any]:
    found = make_result(records)
    config = {**found["provenance"]["config"], "seen": list(TABLE1_TASKS), "prompt_split": "test"}
    found["provenance"]["config"] = config
    return found


def moved(result: dict[str, Any], by: float) -> dict[str, Any]:
    """The same result with every value and interval elsewhere."""
    found = copy.deepcopy(result)
    for row in found["rows"]:
        row.update(value=row["value"] + by, ci95=[end + by for end in row["ci95"]])
    return found


def test_two_scales_differ_in_what_they_set(hyprepro) -> None:
    settings = hyprepro("diff", "table1@smoke", "table1@desktop", "--json").json["settings"]
    by_path = {entry["path"]: (entry["a"], entry["b"]) for entry in settings}
    assert by_path["scale"] == ("smoke", "desktop")
    assert by_path["methods[MSERegressor].regressor.steps"][0] == 60
    assert "name" not in by_path


def test_a_recipe_does_not_differ_from_itself(hyprepro) -> None:
    assert "do not differ" in hyprepro("diff", "table1@smoke", "table1@smoke").stdout


def test_methods_of_two_tables_are_matched_by_name(hyprepro) -> None:
    settings = hyprepro("diff", "table1@smoke", "table3@smoke", "--json").json["settings"]
    methods = [entry["path"] for entry in settings if entry["path"].startswith("methods")]
    only_one, only_other = ["MSERegressor"], ["Care", "MultiTaskDecisionTransformer"]
    assert methods == [f"methods[{name}]" for name in (*only_one, *only_other)]
    alone = {entry["path"]: (entry["a"] or {}, entry["b"] or {}) for entry in settings}
    assert [side.get("component") for side in alone["methods[Care]"]] == [None, "Care"]


def test_two_results_show_settings_and_numbers(hyprepro, write: Write, result: dict[str, Any]) -> None:
    a, b = write("a", result), write("b", moved(result, -0.25), seeds=2)
    shown = hyprepro("diff", a, b).stdout
    assert [line.split() for line in shown.splitlines() if line.startswith("seeds")] == [["seeds", "1", "2"]]
    assert "-25.0 [" in shown
    assert hyprepro("diff", a, b / "result.json").stdout == shown.replace(str(b), str(b / "result.json"))


def test_averages_are_shown_and_single_tasks_on_demand(hyprepro, write: Write, result: dict[str, Any]) -> None:
    a, b = write("a", result), write("b", moved(result, 0.1))
    averages, tasks = hyprepro("diff", a, b).stdout, hyprepro("diff", a, b, "--tasks").stdout
    assert "average of seen" in averages
    assert "door-open" not in averages
    assert "numbers of single tasks differ as well" in averages
    assert "door-open" in tasks


def test_every_line_stays_whole_in_a_pipe(hyprepro, write: Write, result: dict[str, Any]) -> None:
    shown = hyprepro("diff", write("a", result), write("b", moved(result, 0.1))).stdout
    (line,) = [
        line for line in shown.splitlines() if line.startswith("expert") and " strict " in line and "mean" in line
    ]
    assert line.rstrip().endswith("independent")


def test_numbers_of_one_result_alone_are_counted(hyprepro, write: Write, result: dict[str, Any]) -> None:
    fewer = {**result, "rows": [row for row in result["rows"] if row["method"] != "retrieval"], "comparisons": []}
    gone = len(result["rows"]) - len(fewer["rows"])
    shown = hyprepro("diff", write("a", result), write("b", fewer)).stdout
    assert f"A alone has {gone} numbers: retrieval (seen tasks)." in shown


def test_results_of_two_variants_are_compared_number_by_number(hyprepro, write: Write, result: dict[str, Any]) -> None:
    other = moved(result, 0.1)
    other["variant"] = "paper"
    for row in other["rows"]:
        row["variant"] = "paper"
    rows = hyprepro("diff", write("a", result), write("b", other), "--json").json["rows"]
    assert len(rows) == len(result["rows"])
    assert {round(row["delta"], 6) for row in rows} == {0.1}


def test_with_records_of_the_same_prompts_differences_are_paired(
    hyprepro, write: Write, records: list[Record], result: dict[str, Any]
) -> None:
    flipped = [r._replace(success=not r.success) if r.policy == 0 and r.method == "expert" else r for r in records]
    other = make_result(flipped)
    other["provenance"]["config"] = result["provenance"]["config"]
    rows = hyprepro("diff", write("a", result, records), write("b", other, flipped), "--json").json["rows"]
    assert {row["method"] for row in rows} == {"expert"}
    assert {row["interval"] for row in rows} == {"paired"}
    shown = hyprepro("diff", write("a2", result, records), write("b2", other, flipped)).stdout
    assert "resampled alike" in shown
    apart = hyprepro("diff", write("a3", result), write("b3", other, flipped), "--json").json["rows"]
    assert {row["interval"] for row in apart} == {"independent"}


def test_returns_keep_their_unit(hyprepro, write: Write) -> None:
    result = velocities.velocity_result(velocities.records())
    shown = hyprepro("diff", write("a", result), write("b", moved(result, 1.5))).stdout
    assert "+1.50 [" in shown
    assert "35 velocities" in shown


def test_a_folder_without_a_result(hyprepro, tmp_path: Path) -> None:
    words = hyprepro("diff", tmp_path, "table1").assert_one_panel().words
    assert "no result to compare" in words


@pytest.mark.parametrize("text", ["{", "[]", "", '{"seeds": NaN}', "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500])
def test_a_damaged_configuration(hyprepro, write: Write, result: dict[str, Any], text: str) -> None:
    a = write("a", result)
    (a / "config.json").write_text(text)
    assert "config.json" in hyprepro("diff", a, a).assert_one_panel().words.replace(" ", "")


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), True, "0.5", None])
def test_a_result_that_check_refuses_is_refused_here(
    hyprepro, write: Write, result: dict[str, Any], value: object
) -> None:
    bad = copy.deepcopy(result)
    bad["rows"][0]["value"] = value
    a, b = write("a", bad), write("b", result)
    for arguments in ((a, b), (b, a), (b, a / "result.json")):
        assert "result.json" in hyprepro("diff", *arguments).assert_one_panel().words.replace(" ", "")
    hyprepro("check", "table1", "--result", a / "result.json", "--committed", b / "result.json").assert_one_panel()


def test_damaged_records_are_named(hyprepro, write: Write, records: list[Record], result: dict[str, Any]) -> None:
    a, b = write("a", result, records), write("b", moved(result, 0.1), records)
    (b / "records.csv.gz").write_bytes(b"nothing")
    assert "records cannot be read" in hyprepro("diff", a, b).assert_one_panel().words


def test_a_configuration_alone_is_enough_for_settings(hyprepro, write: Write, result: dict[str, Any]) -> None:
    a, b = write("a", result), write("b", result, seeds=7)
    for folder in (a, b):
        (folder / "result.json").unlink()
    report = hyprepro("diff", a, b / "config.json", "--json").json
    assert report == {"rows": [], "settings": [{"a": 1, "b": 7, "path": "seeds"}]}


def test_a_result_alone_says_its_configuration(hyprepro, write: Write, result: dict[str, Any]) -> None:
    a = write("a", result)
    (a / "config.json").unlink()
    assert "do not differ" in hyprepro("diff", a, a / "result.json").stdout


def test_an_unknown_recipe(hyprepro) -> None:
    assert "closest table1" in hyprepro("diff", "tabel1", "table1").assert_one_panel().words

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.reports.records import Record, read_records, write_records
from hyprepro.reports.summary import Summary, summarise
from tests.reports.synthetic import BELOW, RATES, TABLE1_TASKS, TABLE3_TASKS, make_records

KEYS = [
    "method", "variant", "task", "split", "protocol", "metric", "statistic", "value", "ci95", "n_policies",
    "n_episodes", "n_seeds", "n_train", "paper",
]  # fmt: skip


ALL = TABLE1_TASKS + BELOW + TABLE3_TASKS


def summary_of(records: list[Record], **changes: Any) -> Summary:
    arguments = {"recipe": "table1", "tasks": TABLE1_TASKS + BELOW, "below": BELOW, "resamples": 200}
    return summarise(records, **{**arguments, **changes})


def pick(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return make_records(validation=3)


@pytest.fixture(scope="module")
def summary(records: list[Record]) -> Summary:
    return summary_of(records)


def test_rows_have_exactly_the_fields_of_the_design(summary: Summary) -> None:
    assert all(list(row) == KEYS for row in summary.rows)
    json.dumps(summary.rows, allow_nan=False)


def test_every_method_task_protocol_and_statistic_has_one_row(summary: Summary) -> None:
    keys = [(row["method"], row["protocol"], row["task"], row["statistic"]) for row in summary.rows]
    assert len(keys) == len(set(keys)) == len(RATES) * 2 * (len(TABLE1_TASKS) + 1 + len(BELOW)) * 4
    assert {row["protocol"] for row in summary.rows} == {"paper", "strict"}


def test_values_are_what_the_records_say(summary: Summary, records: list[Record]) -> None:
    def rate(task: str) -> float:
        chosen = [r.success for r in records if (r.method, r.protocol, r.task) == ("gen-hyprl", "strict", task)]
        return float(np.mean(chosen))

    common = {"method": "gen-hyprl", "protocol": "strict", "statistic": "mean"}
    assert pick(summary.rows, task="reach", **common)["value"] == pytest.approx(rate("reach"), abs=1e-6)
    average = pick(summary.rows, task=None, **common)
    assert average["value"] == pytest.approx(np.mean([rate(task) for task in TABLE1_TASKS]), abs=1e-6)
    assert (average["n_policies"], average["n_episodes"], average["n_seeds"]) == (96, 192, 2)
    expert = pick(summary.rows, method="expert", protocol="paper", task="reach", statistic="mean")
    assert (expert["n_policies"], expert["n_episodes"], expert["n_seeds"]) == (12, 24, 1)


def test_intervals_hold_their_values_and_lie_in_the_unit_interval(summary: Summary) -> None:
    for row in summary.rows:
        low, high = row["ci95"]
        assert 0 <= low <= high <= 1
        assert low <= row["value"] <= high or row["statistic"] != "mean"


def test_the_papers_numbers_stand_beside_its_own_protocol_only(summary: Summary) -> None:
    window = {"method": "gen-hyprl", "task": "window-open"}
    assert pick(summary.rows, **window, protocol="paper", statistic="mean")["paper"] == 0.64
    assert pick(summary.rows, **window, protocol="paper", statistic="iqm")["paper"] is None
    average = {"method": "gen-hyprl-wo-hypformer", "task": None, "protocol": "paper"}
    assert pick(summary.rows, **average, statistic="mean")["paper"] == 0.51
    assert pick(summary.rows, **average, statistic="top10")["paper"] == 1.0
    others = [row for row in summary.rows if row["protocol"] == "strict" or row["task"] in BELOW]
    assert all(row["paper"] is None for row in others)


def test_the_strict_top_k_is_absent_without_validation_records() -> None:
    found = {(row["protocol"], row["statistic"]) for row in summary_of(make_records()).rows}
    assert ("paper", "top5") in found
    assert ("strict", "top5") not in found


def test_top_k_is_absent_with_fewer_policies_than_k() -> None:
    found = {row["statistic"] for row in summary_of(make_records(policies=7)).rows}
    assert found == {"mean", "iqm", "top5"}


def test_hypformers_gain_is_paired_and_has_an_interval_for_every_task(summary: Summary) -> None:
    differences = [row for row in summary.comparisons if row["statistic"] == "mean"]
    gains = [row for row in differences if row["minus"] == "gen-hyprl-wo-hypformer"]
    assert [row["task"] for row in gains if row["protocol"] == "paper"] == [*TABLE1_TASKS, None, *BELOW]
    gain = pick(gains, task=None, protocol="paper")
    assert gain["value"] == pytest.approx(0.2, abs=0.05)
    assert gain["ci95"][0] > 0.05
    others = {row["minus"]: row["task"] for row in differences if row["minus"] != "gen-hyprl-wo-hypformer"}
    assert others == {"expert": None, "retrieval": None}


def test_rows_do_not_depend_on_the_order_of_the_records_of_a_method(records: list[Record], summary: Summary) -> None:
    shuffled = records.copy()
    random.Random(0).shuffle(shuffled)
    shuffled.sort(key=lambda record: list(RATES).index(record.method))
    found = {json.dumps(row) for row in summary_of(shuffled).rows}
    assert found == {json.dumps(row) for row in summary.rows}


def test_rows_are_the_same_from_the_file(tmp_path: Path, records: list[Record], summary: Summary) -> None:
    write_records(tmp_path / "records.csv.gz", records)
    assert summary_of(read_records(tmp_path / "records.csv.gz")) == summary


def test_tasks_below_do_not_enter_the_average(records: list[Record], summary: Summary) -> None:
    broken = [record._replace(success=False) if record.task in BELOW else record for record in records]
    wanted = {"method": "gen-hyprl", "protocol": "paper", "task": None, "statistic": "mean"}
    assert pick(summary_of(broken).rows, **wanted) == pick(summary.rows, **wanted)


def test_an_average_of_one_split_does_not_depend_on_the_other(records: list[Record], summary: Summary) -> None:
    both = summary_of(records + make_records(tasks=TABLE3_TASKS, validation=3), tasks=ALL)
    assert [row for row in both.rows if row["split"] == "seen"] == summary.rows
    assert [row for row in both.comparisons if row["split"] == "seen"] == summary.comparisons
    assert [row for row in both.profiles if row["split"] == "seen"] == summary.profiles


def test_every_method_has_a_profile_under_the_strict_protocol(summary: Summary) -> None:
    assert [(p["method"], p["split"], p["protocol"]) for p in summary.profiles] == [
        (m, "seen", "strict") for m in RATES
    ]
    json.dumps(summary.profiles, allow_nan=False)


def test_probabilities_of_improvement_are_of_averages_and_count_their_runs(summary: Summary) -> None:
    chances = [row for row in summary.comparisons if row["statistic"] == "probability_of_improvement"]
    assert {(row["minus"], row["protocol"]) for row in chances} == {
        (method, protocol) for method in RATES if method != "gen-hyprl" for protocol in ("paper", "strict")
    }
    assert {row["task"] for row in chances} == {None}
    assert {row["minus"]: row["n_runs"] for row in chances} == {
        "expert": 8,
        "retrieval": 8,
        "gen-hyprl-wo-hypformer": 16,
    }


def test_success_by_number_of_training_tasks_is_compared_number_by_number(records: list[Record]) -> None:
    sizes = [
        record._replace(n_train=size)
        for size in (10, 35)
        for record in records
        if record.method in ("gen-hyprl", "retrieval")
    ]
    experts = [record for record in records if record.method == "expert"]
    found = summary_of([*sizes, *experts])
    averages = [
        row for row in found.rows if (row["task"], row["protocol"], row["statistic"]) == (None, "strict", "mean")
    ]
    assert [(row["method"], row["n_train"]) for row in averages] == [
        ("retrieval", 10),
        ("gen-hyprl", 10),
        ("retrieval", 35),
        ("gen-hyprl", 35),
        ("expert", None),
    ]
    assert [(p["method"], p.get("n_train")) for p in found.profiles] == [(r["method"], r["n_train"]) for r in averages]
    gains = [row for row in found.comparisons if (row["protocol"], row["statistic"]) == ("strict", "mean")]
    pairs = {("retrieval", 10), ("retrieval", 35), ("expert", 10), ("expert", 35)}
    assert {(row["minus"], row["n_train"]) for row in gains} == pairs
    assert len(gains) == len(pairs)

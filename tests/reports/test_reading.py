"""What a result.json may not be, whoever wrote it: the one validation that `check`, `diff` and `figure` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.reading import read_result
from tests.reports.synthetic import make_records, make_result

NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def result() -> dict[str, Any]:
    """A sound result with rows, comparisons and profiles."""
    found: dict[str, Any] = json.loads(json.dumps(make_result(make_records(policies=2))))
    return found


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[Any], str]:
    """The headline with which some content of a result.json is refused."""

    def read(content: Any) -> str:
        path = tmp_path / "result.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(UserError) as caught:
            read_result(path)
        return str(caught.value)

    return read


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "its schema is 2"),
        ({"schema": True}, "its schema is True"),
        ({"schema": [[]] * 10_000}, "its schema is"),
        ({"rows": {}}, "rows: input should be a valid list"),
        ({"rows": [1]}, "rows[0]:"),
        ({"rows": [{"method": 3}]}, "rows[0].method: input should be a valid string"),
        ({"comparisons": [{}]}, "comparisons[0].method"),
        ({"comparisons": "none"}, "comparisons:"),
        ({"provenance": None}, "provenance:"),
        ({"provenance": {"versions": {"mujoco": 3.3}}}, "provenance.versions.mujoco"),
        ({"provenance": {"config": []}}, "provenance.config"),
        ({"provenance": {"config": {"seen": 3}}}, "provenance.config.seen: input should be a valid list"),
        ({"provenance": {"config": {"below": [3]}}}, "provenance.config.below[0]"),
        ({"profiles": [{"method": "expert"}]}, "profiles[0].split"),
        ({"methods": {"expert": 1}}, "methods.expert"),
        ({"methods": {"expert": {"training_seconds": "long"}}}, "methods.expert.training_seconds"),
        ({"recipe": 1}, "recipe:"),
    ],
)
def test_a_malformed_result_is_refused(
    refused: Callable[[Any], str], result: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    assert message in refused({**result, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "0.5"}, "rows[0].value: input should be a valid number"),
        ({"value": True}, "rows[0].value: input should be a valid number"),
        ({"value": NAN}, "NaN, which is not a finite number"),
        ({"value": -INFINITY}, "-Infinity, which is not a finite number"),
        ({"value": 10**400}, "rows[0].value"),
        ({"value": None}, "value and ci95"),
        ({"ci95": None}, "value and ci95"),
        ({"ci95": [0.2]}, "rows[0].ci95"),
        ({"ci95": [0.2, 0.4, 0.6]}, "rows[0].ci95"),
        ({"ci95": [NAN, 0.2]}, "NaN, which is not a finite number"),
        ({"ci95": [True, False]}, "rows[0].ci95[0]"),
        ({"ci95": ["0", "1"]}, "rows[0].ci95[0]"),
        ({"ci95": [0.9, 0.2]}, "upside down"),
        ({"task": 4}, "rows[0].task"),
        ({"split": None}, "rows[0].split"),
        ({"paper": INFINITY}, "Infinity, which is not a finite number"),
        ({"paper": "0.7"}, "rows[0].paper"),
        ({"n_policies": "many"}, "rows[0].n_policies"),
        ({"n_seeds": None}, "rows[0].n_seeds"),
        ({"n_train": 3.5}, "rows[0].n_train"),
        ({"of_a_later_version": [{"deep": NAN}]}, "NaN, which is not a finite number"),
    ],
)
def test_a_malformed_row_is_refused(
    refused: Callable[[Any], str], result: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    result["rows"][0] |= change
    assert message in refused(result)


@pytest.mark.parametrize("group", ["comparisons", "profiles"])
def test_no_number_anywhere_may_be_infinite(refused: Callable[[Any], str], result: dict[str, Any], group: str) -> None:
    name = "low" if group == "profiles" else "ci95"
    result[group][0][name][0] = -INFINITY
    assert "-Infinity, which is not a finite number" in refused(result)
    assert "1e999, which is not a finite number" in refused('{"schema": 1, "rows": [1e999]}')


@pytest.mark.parametrize("group", ["rows", "comparisons"])
def test_one_number_stands_once(refused: Callable[[Any], str], result: dict[str, Any], group: str) -> None:
    result[group].append({**result[group][0], "value": 0.25, "ci95": [0.0, 0.5]})
    assert f"one number stands twice: {result[group][0]['method']}" in refused(result)


def test_curves_of_different_lengths_are_refused(refused: Callable[[Any], str], result: dict[str, Any]) -> None:
    result["profiles"][0]["low"].pop()
    assert "different lengths" in refused(result)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "null", "[" * 100_000, '{"a":' * 1000 + "1" + "}" * 1000, '{"a":' * 70 + "1" + "}" * 70,
     "1" * 10_000, "\x00"],
)  # fmt: skip
def test_a_file_that_is_no_result_is_refused(refused: Callable[[Any], str], text: str) -> None:
    assert refused(text).startswith(("The result cannot be read", "The result is malformed"))


def test_a_folder_and_a_file_of_other_letters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"title": "\xe9"}')
    for path in (tmp_path, tmp_path / "latin.json"):
        with pytest.raises(UserError, match="cannot be read"):
            read_result(path)
    for path in (tmp_path / "latin.json" / "result.json", tmp_path / "result.json"):
        with pytest.raises(UserError, match="no result here"):
            read_result(path)


def test_a_file_larger_than_any_result_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "result.json").open("wb") as file:
        file.truncate(10**10)  # a hole: nothing is on the disk
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_result(tmp_path / "result.json")
    assert "10000000000 bytes" in caught.value.where


def test_a_result_is_read_back(tmp_path: Path) -> None:
    result = make_result()
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert read_result(tmp_path / "result.json") == json.loads(json.dumps(result))
    (tmp_path / "result.json").write_text(json.dumps(result), encoding="utf-8-sig")  # as Windows editors save it
    assert read_result(tmp_path / "result.json") == json.loads(json.dumps(result))


def test_the_reader_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({**make_result(make_records(policies=2)), "schema": 2}))
    with pytest.raises(UserError, match="its schema is 2, this version reads 1") as caught:
        read_result(tmp_path / "result.json")
    assert str(tmp_path) in caught.value.where
    assert "hyprepro run" in caught.value.fix

"""Success by number of training runs, as tables, points and pictures."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.figures.runs import RunsFigure, points_csv
from tests.reports.figures.test_tokens import svg_texts
from tests.reports.zoos import SEEN, zoos_result

SIZES = {"one/unseen": (1, 6), "six/unseen": (6, 6), "ten/unseen": (10, 10)}
ROWS = {"gen-hyprl": "none", "gen-hyprl, told": "one_hot", "retrieval": None}
RATES = {"one/unseen": 0.9, "six/unseen": 0.5, "ten/unseen": 0.2}


def config(sizes: dict[str, tuple[int | None, int]] | None = None) -> dict[str, Any]:
    described = {zoo.partition("/")[0]: size for zoo, size in (sizes or SIZES).items()}
    zoos = [{"name": name, "runs": runs, "policies": policies} for name, (runs, policies) in described.items()]
    methods = [
        {"component": "Retrieval", "row": name}
        if code is None
        else {"component": "GenHypRL", "row": name, "run_code": code, "run_choice": {"component": code}}
        for name, code in ROWS.items()
    ]
    return {"zoos": zoos, "methods": methods}


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    rates = {zoo: {"gen-hyprl": rate, "gen-hyprl, told": 0.9, "retrieval": 0.95} for zoo, rate in RATES.items()}
    pairs = (("gen-hyprl, told", "gen-hyprl"),)
    return zoos_result(rates, config=config(), pairs=pairs, report="RunsFigure")


def test_a_row_that_is_told_the_run_stands_with_the_one_that_is_not(result: dict[str, Any]) -> None:
    table = list(csv.DictReader(io.StringIO(points_csv(result))))
    strict = [line for line in table if (line["split"], line["protocol"]) == ("seen", "strict")]
    assert [(line["method"], line["told"], line["runs"], line["policies"]) for line in strict] == [
        (method, told, *map(str, size))
        for method, told in (("gen-hyprl", "0"), ("gen-hyprl", "1"), ("retrieval", "0"))
        for size in SIZES.values()
    ]
    for line in strict[:3]:
        zoo = next(zoo for zoo, size in SIZES.items() if size[0] == int(line["runs"]))
        assert float(line["value"]) == pytest.approx(RATES[zoo], abs=0.25)
        assert line["n_policies"] == str(8 * len(SEEN))


def test_the_tables_have_every_size_and_what_being_told_is_worth(result: dict[str, Any]) -> None:
    text = RunsFigure().markdown(result)
    assert max(map(len, text.splitlines())) <= 120
    heads = next(line for line in text.splitlines() if line.startswith("| method"))
    assert [cell.strip() for cell in heads.strip("|").split("|")][1:] == ["1 run, 6", "6 runs, 6", "10 runs, 10"]
    worth = text[text.index("What being told the run is worth") :]
    gain = next(line for line in worth.splitlines() if line.startswith("| gen-hyprl, told")).strip("|").split("|")
    assert gain[-1].strip().startswith("+")


def test_a_picture_a_split_with_a_panel_a_method(result: dict[str, Any]) -> None:
    files = RunsFigure().figures(result)
    assert set(files) == {
        "zoos.csv",
        *(f"zoos-{split}.{kind}" for split in ("seen", "unseen") for kind in ("png", "svg")),
    }
    texts = svg_texts(files["zoos-seen.svg"])
    assert {"gen-hyprl", "retrieval", "6 policies", "6 policies, told the run", "10 policies", "1", "6", "10"} <= texts
    assert "gen-hyprl, told" not in texts
    assert files == RunsFigure().figures(result), "equal results give equal pictures"


def test_zoos_without_sizes_cannot_be_drawn(result: dict[str, Any]) -> None:
    whole = {**result, "provenance": {**result["provenance"], "config": config({**SIZES, "one/unseen": (None, 6)})}}
    with pytest.raises(UserError, match="The zoo one does not say how many runs"):
        RunsFigure().figures(whole)
    none = {**result, "provenance": {**result["provenance"], "config": {**config(), "zoos": []}}}
    with pytest.raises(UserError, match="compares no zoos"):
        points_csv(none)

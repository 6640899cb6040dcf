from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.reports.figures.tokens import TokensFigure, chosen, points_csv
from hyprepro.reports.table1 import TaskTable
from tests.reports.figures.synthetic import RATES, TOKENS, tokens_result
from tests.reports.synthetic import make_result

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return tokens_result()


def svg_texts(svg: bytes) -> set[str]:
    """The texts of an SVG with letters as paths: matplotlib keeps each as a comment."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.fromstring(svg, parser)
    return {str(node.text).strip() for node in root.iter() if node.tag is ET.Comment}


def test_equal_results_give_equal_pictures(result: dict[str, Any]) -> None:
    one, two = (TokensFigure().figures(tokens_result()) for _ in range(2))
    assert one == two
    assert set(one) == {"figure5.png", "figure5.svg", "figure5.csv"}
    assert one["figure5.png"].startswith(PNG)
    assert one["figure5.png"] != TokensFigure(width=6.0).figures(result)["figure5.png"]


def test_the_svg_shows_both_splits_every_l_and_the_paper(result: dict[str, Any]) -> None:
    texts = svg_texts(TokensFigure().figures(result)["figure5.svg"])
    assert {"seen tasks", "unseen tasks", "paper, read off its image", *map(str, TOKENS)} <= texts


def test_the_csv_equals_the_rows(result: dict[str, Any]) -> None:
    table = list(csv.DictReader(io.StringIO(points_csv(result))))
    rows = {(row["split"], row["protocol"], row["method"]): row for row in result["rows"] if row["task"] is None
            and row["statistic"] == "mean"}  # fmt: skip
    assert len(table) == len(rows) == 2 * 2 * len(TOKENS)
    for line in table:
        row = rows[line["split"], line["protocol"], f"gen-hyprl-{line['tokens']}"]
        assert [float(line[name]) for name in ("value", "low", "high")] == [row["value"], *row["ci95"]]


def test_the_papers_points_stand_beside_its_own_protocol_alone(result: dict[str, Any]) -> None:
    table = list(csv.DictReader(io.StringIO(points_csv(result))))
    theirs = {(line["split"], line["tokens"]): line["paper"] for line in table if line["protocol"] == "paper"}
    assert theirs["seen", "8"] == "0.7"
    assert theirs["unseen", "32"] == "0.198"
    assert {line["paper"] for line in table if line["protocol"] == "strict"} == {""}
    other = tokens_result(seen=["reach"])
    assert {line["paper"] for line in csv.DictReader(io.StringIO(points_csv(other))) if line["split"] == "seen"} == {""}


def test_the_table_has_the_same_numbers(result: dict[str, Any]) -> None:
    text = TokensFigure().markdown(result)
    assert max(map(len, text.splitlines())) <= 120
    line = next(line for line in text.splitlines() if line.startswith("| 512 "))
    row = next(row for row in result["rows"] if row["method"] == "gen-hyprl-512" and row["task"] is None)
    assert f"{100 * row['value']:.1f}" in line
    assert " 44.5 " in line
    assert "trained with 8 tokens, and deployed with each L" in text
    assert "chosen" not in text.lower()


def test_the_best_l_is_marked_on_validation_prompts_and_never_on_test_prompts(result: dict[str, Any]) -> None:
    assert chosen(result) is None
    validation = tokens_result("validation")
    assert chosen(validation) == 8
    assert "**8** (chosen)" in TokensFigure().markdown(validation)
    assert "chosen: L = 8" in svg_texts(TokensFigure().figures(validation)["figure5.svg"])


def test_of_equal_ones_the_smallest_l_is_chosen() -> None:
    assert chosen(tokens_result("validation", {32: 1.0, 8: 0.5, 128: 1.0})) == 32


def test_a_result_without_gen_hyprl_cannot_be_drawn() -> None:
    with pytest.raises(UserError, match="number of tokens"):
        TokensFigure().figures(make_result())


def test_rates_fall_as_they_were_made_to(result: dict[str, Any]) -> None:
    table = [line for line in csv.DictReader(io.StringIO(points_csv(result))) if line["protocol"] == "strict"]
    for line in table:
        assert float(line["value"]) == pytest.approx(RATES[int(line["tokens"])], abs=0.25)


def test_without_matplotlib_figures_are_refused_and_tables_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="matplotlib") as caught:
        TokensFigure().require()
    assert "hyprepro[plot]" in caught.value.fix
    TaskTable().require()

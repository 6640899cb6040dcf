"""The figure of returns by velocity: its numbers, its pictures, its tables."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.figures import canvas
from hyprepro.reports.figures.sweep import ReturnFigure, points_csv
from hyprepro.reports.markdown import WIDTH
from tests.reports.velocities import MEANS, records, velocity_result

SPLITS = {0.075: "seen", 0.225: "test", 0.3: "unseen", 1.2: "test", 3.0: "seen"}


ACTED = {("hyperzero", 35): -30.0, ("hyperzero", 10): -45.0, ("hypogen", 35): -60.0, ("hypogen", 10): -90.0}


def swept(means: Mapping[tuple[str, int | None], float]) -> dict[str, Any]:
    experts = {key: mean for key, mean in means.items() if key[1] is None}
    others = {key: mean for key, mean in means.items() if key[1] is not None}
    seen = {velocity: "test" if split == "test" else "seen" for velocity, split in SPLITS.items()}
    found = [*records(others, splits=SPLITS), *records(experts, splits=seen)]
    return velocity_result(found, recipe="velocities")


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return swept(MEANS)


def test_the_numbers_behind_the_figure(result: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(points_csv(result))))
    assert len(rows) == len(MEANS) * len(SPLITS)
    (point,) = [r for r in rows if (r["method"], r["n_train"], r["velocity"]) == ("gen-hyprl", "10", "0.3")]
    assert point["split"] == "unseen"
    assert float(point["low"]) <= float(point["value"]) <= float(point["high"])
    assert {row["n_train"] for row in rows if row["method"] == "expert"} == {""}


def test_the_pictures(result: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    files = ReturnFigure(width=6.0).figures(result)
    assert set(files) == {"velocities.png", "velocities.svg", "velocities.csv"}
    assert files["velocities.png"].startswith(b"\x89PNG\r\n\x1a\n")
    ET.fromstring(files["velocities.svg"])
    assert ReturnFigure(width=6.0).figures(result) == files, "equal results give equal bytes"


def test_the_tables(result: dict[str, Any]) -> None:
    text = ReturnFigure().markdown(result)
    assert "## The five test velocities, on average" in text
    line = next(line for line in text.splitlines() if line.startswith("| 10 "))
    assert "-33.44" in line
    assert text.index("## Training velocities that were left out") < text.index("## 35 training velocities")
    assert all(len(line) <= WIDTH for line in text.splitlines())


def test_what_is_taught_actions_stands_beside_what_is_taught_weights() -> None:
    pytest.importorskip("matplotlib")
    result = swept({**MEANS, **ACTED})
    lines = ReturnFigure().markdown(result).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    head, ten = (next(line for line in lines if line.startswith(start)) for start in ("| trained", "| 10 "))
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, ten)), strict=True))
    assert float(cells["hypogen"]) < float(cells["hyperzero"]) < float(cells["expert"])
    drawn, without = (ReturnFigure().figures(each)["velocities.svg"].decode() for each in (result, swept(MEANS)))
    assert canvas.ORANGE.lower() in drawn
    assert canvas.ORANGE.lower() not in without


def test_a_result_without_training_velocities(result: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    without = {**result, "rows": [row for row in result["rows"] if row["n_train"] is None]}
    with pytest.raises(UserError, match="no numbers of training tasks"):
        ReturnFigure().figures(without)


def test_it_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="matplotlib"):
        ReturnFigure().require()

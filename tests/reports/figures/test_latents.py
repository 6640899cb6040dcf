from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hyprepro.errors import UserError
from hyprepro.reports.figures.latents import LATENTS, LatentsFigure
from hyprepro.reports.latents import LatentRecord, write_latents
from tests.reports.figures.synthetic import latent_records, latents_result
from tests.reports.figures.test_tokens import PNG, svg_texts


@pytest.fixture(scope="module")
def records() -> list[LatentRecord]:
    return latent_records()


def test_the_figure_is_drawn_from_the_records(records: list[LatentRecord], tmp_path: Path) -> None:
    result = latents_result(records)
    write_latents(tmp_path / LATENTS, records)
    one, two = (LatentsFigure().files(result, tmp_path) for _ in range(2))
    assert one == two
    assert set(one) == {"table.md", "figure4.png", "figure4.svg"}
    assert one["figure4.png"].startswith(PNG)
    assert ET.fromstring(one["figure4.svg"]).tag.endswith("svg")
    assert {"door-open", "reach", "true latents", "predicted latents", "HypLatent"} <= svg_texts(one["figure4.svg"])
    other = LatentsFigure(seed=1).files(result, tmp_path)
    assert other["figure4.png"] != one["figure4.png"], "another generator seed is another picture"


def test_the_table_names_what_is_measured_and_shows_the_difference(records: list[LatentRecord]) -> None:
    result = latents_result(records)
    text = LatentsFigure().markdown(result)
    assert max(map(len, text.splitlines())) <= 120
    row = next(r for r in result["rows"] if (r["method"], r["task"], r["statistic"]) == ("gen-hyprl", "reach", "own"))
    assert f"{row['value']:.3f} [{row['ci95'][0]:.3f}, {row['ci95'][1]:.3f}]" in text
    assert text.count("HypFormer minus HypLatent") == 4


def test_missing_records_are_a_users_error(records: list[LatentRecord], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        LatentsFigure().files(latents_result(records), tmp_path)

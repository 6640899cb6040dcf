"""The published competitors of Table 4 from the stores to the printed numbers, at smoke scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.config.registry import resolve
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.experiments.recipe import Recipe
from tests.cheetah_stores import CheetahStores

pytestmark = pytest.mark.sim

OURS = ("gen-hyprl", "gen-hyprl-wo-hypformer")
ROWS = ("macaw-unadapted", "macaw-0", "macaw-20k", "prompt-dt")
TOLD = ("expert", "velocity-parent", "velocity-cloning")


def test_both_are_trained_and_scored_beside_the_papers_numbers(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    line = ["run", "baselines4", "--scale", "smoke", "--workers", "0", "--cache", str(tmp_path / "cache")]
    # A withheld training velocity in the place of the five test velocities
    small = ["-b", "Recipe.withheld=(1.5,)", "-b", "Recipe.train=(10,)", *cheetah_stores.bindings]
    outcome = CliRunner().invoke(app, [*line, *small, "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    result = json.loads((tmp_path / "out/result.json").read_text())
    averages = {r["method"]: r for r in result["rows"] if r["task"] is None and r["statistic"] == "mean"}
    assert set(averages) == {*OURS, *ROWS, *TOLD}
    assert all(row["value"] < 0 for row in averages.values())
    assert len({row["value"] for row in averages.values()}) == len(averages)
    # One rollout stage a row. MACAW's three rows share one training; Prompt-DT's and cloning's are two more, and
    # Gen-HypRL's two rows share the autoencoder: two sets of latents, two generators, one HypFormer, two assemblies.
    assert result["provenance"]["stages"] == len(averages) + 3 + 8
    gains = {row["minus"] for row in result["comparisons"] if row["method"] == "gen-hyprl"}
    assert {*ROWS, *TOLD} <= gains


def test_each_row_says_what_it_knows() -> None:
    recipe = cast(Recipe, resolve("baselines4", "desktop").recipe)
    found = {method.name: method.information(CheetahVel()) for method in recipe.methods}
    assert list(found) == [*OURS, *ROWS, *TOLD]
    assert found["macaw-unadapted"] == "nothing"
    assert "256 transitions" in found["macaw-0"]
    assert "20,000 steps of the environment" in found["macaw-20k"]
    assert "5 steps of an expert's episode" in found["prompt-dt"]


def test_the_paper_scale_has_the_published_settings() -> None:
    described = str(resolve("baselines4", "paper").recipe.described())
    for part in (
        "'steps': 50000",
        "'memory': 20",
        "'warm_up': 10000",
        "'batch_size': 16",
        "'value_rate': 1e-05",
        "'learning_rate': 0.0001",
    ):
        assert part in described

"""A recipe of the user's own, and the scale and variant that apply to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyprepro.config.registry import Resolved, resolve

OWN = """\
include 'recipes/table1.gin'
Recipe.name = 'mine'
Recipe.seeds = 5
StrictProtocol.goals_per_policy = 4
"""


def resolved(tmp_path: Path, text: str = OWN, **options: Any) -> Resolved:
    path = tmp_path / "mine.gin"
    path.write_text(text)
    return resolve(path, **options)


def test_what_the_users_recipe_binds_goes_before_a_scale_that_nobody_asked_for(tmp_path: Path) -> None:
    found = resolved(tmp_path, default_scale="desktop")
    assert (found.recipe.seeds, found.recipe.scale) == (5, "desktop")
    assert next(p.goals_per_policy for p in found.recipe.protocols if p.label == "strict") == 4
    assert found.origins["seeds"].endswith("mine.gin:3")
    assert found.replaced == ()


def test_a_scale_still_sets_what_the_users_recipe_says_nothing_of(tmp_path: Path) -> None:
    found = resolved(tmp_path, OWN.replace("Recipe.seeds = 5\n", ""), default_scale="smoke")
    assert (found.recipe.seeds, found.recipe.scale) == (1, "smoke")


def test_a_scale_that_was_asked_for_replaces_it_and_says_so(tmp_path: Path) -> None:
    found = resolved(tmp_path, scale="smoke", default_scale="desktop")
    assert (found.recipe.seeds, found.recipe.scale) == (1, "smoke")
    lines = "\n".join(found.replaced)
    assert "Recipe.seeds = 5 (" in lines
    assert "mine.gin:3) is 1 by" in lines
    assert "gin/scales/smoke.gin" in lines
    assert "StrictProtocol.goals_per_policy = 4" in lines


def test_a_variant_that_was_asked_for_says_what_it_replaces(tmp_path: Path) -> None:
    text = OWN + "HypFormer.latent_skip = True\n"
    (line,) = (each for each in resolved(tmp_path, text, variant="paper").replaced if "latent_skip" in each)
    assert "gin/variants/paper.gin" in line


@pytest.mark.parametrize("bindings", [[], ["Recipe.seeds=7"]])
def test_bindings_go_before_everything_and_need_no_note(bindings: list[str], tmp_path: Path) -> None:
    found = resolved(tmp_path, bindings=bindings, default_scale="desktop")
    assert (found.recipe.seeds, found.replaced) == (7 if bindings else 5, ())


def test_the_file_of_a_finished_run_resolves_to_that_run_without_naming_its_scale(tmp_path: Path) -> None:
    first = resolve("table1", "smoke")
    again = resolved(tmp_path, first.operative_config, default_scale="desktop")
    assert again.recipe == first.recipe

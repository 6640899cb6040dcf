"""The ablation's recipe: every row differs from the default in what its scope binds, and whole files become rows."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hyprepro.config import files
from hyprepro.config.registry import resolve
from hyprepro.errors import UserError
from hyprepro.experiments.recipe import Recipe
from hyprepro.methods.base import Method
from hyprepro.reports.ablation import differences

REFERENCE, OURS = "three stages", "gen-hyprl"
SCALES = sorted(files.shipped("scales"))
DIFFERENCES = {
    "no adversarial loss": {"hyplatent.adversarial_weight": 0.0},
    "no supervised term": {"hyplatent.supervised_weight": 0.0},
    "no Q": {"hyplatent.lambda_reg": 0.0},
    "h alone": {"hyplatent.condition": "h", "hypformer.condition": "h"},
    "noise on (h, v)": {"hyplatent.condition_noise": 0.1},
    "MLP U-Net": {"hyplatent.generator.component": "MLPUNetGenerator"},
    "attention over the batch": {"hypformer.attention": "batch"},
    "supervised term alone": {"hyplatent.adversarial_weight": 0.0, "hyplatent.lambda_reg": 0.0},
    "mean candidate": {"hypformer.component": "MeanAggregator"},
    "PCA autoencoder": {"autoencoder.component": "PCAAutoencoder"},
    "deep autoencoder": {"autoencoder.component": "DeepAutoencoder"},
    "aligned hidden units": {"autoencoder.alignment": "hidden_units"},
    "best of L by agreement": {"adaptation": "AgreementChoice"},
    "L weighted by agreement": {"adaptation": "AgreementChoice"},
    "gradient steps on latents": {"adaptation": "LatentAdaptation"},
    OURS: {"adaptation": "GatedAdaptation"},
    "shown steps alone": {"adaptation": "GatedAdaptation"},
    "objects and goal at rest": {"adaptation": "GatedAdaptation"},
    "the prompt alone, three starts": {"adaptation": "GatedAdaptation"},
    "the prompt alone, one start": {"adaptation": "GatedAdaptation"},
    "no gate": {"adaptation": "WarpedAdaptation"},
}
COMPETITORS = {"mse-regressor", "make-an-agent", "retrieval", "agreement-retrieval", "mean-policy", "prompt-cloning"}
ADAPTED = {"mse-regressor", "make-an-agent", "agreement-retrieval", "mean-policy", "as the paper prints it"}
OTHERS = (
    COMPETITORS | {f"{name}, adapted" for name in (*ADAPTED, "random weights")} | {"one draw", "gen-hyprl-wo-hypformer"}
)
VARIANTS = {"as the paper prints it": "paper", "as the code is released": "released"}
BARE_VARIANTS = {"as printed, w/o HypFormer": "paper", "as released, w/o HypFormer": "released"}


@cache
def rows(scale: str, variant: str | None = None) -> dict[str, Method]:
    recipe = resolve("ablation", scale, variant).recipe
    assert isinstance(recipe, Recipe)
    return {method.name: method for method in recipe.methods}


def changed(default: dict[str, Any], other: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The values of the other side that differ, by path; of another component its name alone."""
    if default.get("component") != other.get("component"):
        return {f"{path}component": other.get("component")}
    found: dict[str, Any] = {}
    for name in [name for name in default if default[name] != other[name] and name != "row"]:
        if default[name] is None:
            return {path + name: other[name]["component"]}
        is_part = isinstance(default[name], dict)
        found |= changed(default[name], other[name], f"{path}{name}.") if is_part else {path + name: other[name]}
    return found


def test_the_rows_are_the_default_the_variants_each_change_and_the_competitors() -> None:
    assert set(rows("desktop")) == {REFERENCE, *VARIANTS, *BARE_VARIANTS, *DIFFERENCES, *OTHERS}
    assert next(iter(rows("desktop"))) == REFERENCE


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_row_differs_from_the_default_in_its_own_fields_alone(name: str) -> None:
    found = rows("desktop")
    assert changed(found[REFERENCE].described(), found[name].described()) == DIFFERENCES[name]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_row_of_a_variant_is_what_the_flag_makes_of_the_default(name: str, scale: str) -> None:
    row = rows(scale)[name]
    assert row.model_copy(update={"row": ""}) == rows(scale, VARIANTS[name])[OURS].model_copy(
        update={"adaptation": None}
    )
    assert row.model_copy(update={"row": REFERENCE}) != rows(scale)[REFERENCE]


@pytest.mark.parametrize("name", BARE_VARIANTS)
def test_a_variant_without_hypformer_is_what_the_flag_makes_of_that_row(name: str) -> None:
    wanted = rows("desktop", BARE_VARIANTS[name])["gen-hyprl-wo-hypformer"].described()
    assert rows("desktop")[name].described() == {**wanted, "row": name, "adaptation": None}


def test_the_default_row_is_our_variant() -> None:
    assert rows("desktop")[OURS] == rows("desktop", "ours")[OURS]
    assert rows("desktop")[OURS] == resolve("table1", "desktop").recipe.methods[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "field", "value"), [("shown steps alone", "completed", False), ("objects and goal at rest", "moved", 0.0)]
)
def test_a_row_switches_off_a_part_of_the_fit(name: str, field: str, value: object) -> None:
    found = rows("desktop")
    assert changed(found[OURS].described(), found[name].described()) == {f"adaptation.adaptation.{field}": value}


@pytest.mark.parametrize("name", sorted(ADAPTED))
def test_an_adapted_row_is_the_bare_one_adapted(name: str) -> None:
    found = rows("desktop")
    bare, adapted = (found[each].described() | {"row": ""} for each in (name, f"{name}, adapted"))
    assert bare.pop("adaptation") is None
    assert adapted.pop("adaptation") == found[OURS].described()["adaptation"]
    assert adapted == bare


@pytest.mark.parametrize("name", sorted(COMPETITORS - {"mean-policy", "prompt-cloning"}))
def test_competitors_share_the_parts_of_the_default(name: str) -> None:
    found = rows("desktop")
    default, other = found[REFERENCE].described(), found[name].described()
    shared = set(default) & set(other) - {"component", "row"}
    assert {part: other[part] for part in shared} == {part: default[part] for part in shared}


def test_both_splits_ten_prompts_three_seeds() -> None:
    recipe = resolve("ablation", "desktop").recipe
    assert isinstance(recipe, Recipe)
    assert (len(recipe.seen), len(recipe.unseen), recipe.seeds, recipe.prompts_per_task) == (8, 8, 3, 10)
    assert [protocol.label for protocol in recipe.protocols] == ["strict"]
    assert recipe.reference == REFERENCE


def test_a_binding_reaches_every_row_that_does_not_bind_the_same_field() -> None:
    recipe = resolve("ablation", "desktop", bindings=["HypLatent.lambda_reg=3.0"]).recipe
    assert isinstance(recipe, Recipe)
    found = {method.name: method.described() for method in recipe.methods}
    weights = {name: row["hyplatent"]["lambda_reg"] for name, row in found.items() if "hyplatent" in row}
    assert {name: weight for name, weight in weights.items() if weight != 3.0} == {
        "no Q": 0.0,
        "supervised term alone": 0.0,
        **dict.fromkeys((*VARIANTS, *BARE_VARIANTS, "as the paper prints it, adapted"), 1000.0),
    }


def test_differences_are_told_as_bindings() -> None:
    found = rows("desktop")
    told = {name: list(differences(found[REFERENCE].described(), method.described())) for name, method in found.items()}
    assert told[REFERENCE] == []
    gate = "`GenHypRL.adaptation=@GatedAdaptation()` (None)"
    assert told[OURS][:2] == [gate, "`GatedAdaptation.adaptation=@WarpedAdaptation()`"]
    assert told["the prompt alone, one start"][:2] == [gate, "`GatedAdaptation.adaptation=@PromptAdaptation()`"]
    assert told["no Q"] == ["`HypLatent.lambda_reg=0.0` (0.1)"]
    assert told["MLP U-Net"] == ["`HypLatent.generator=@MLPUNetGenerator()` (@UNet1DGenerator())"]
    assert told["retrieval"] == ["the method `Retrieval` in place of `GenHypRL`"]
    assert "`MLPDiscriminator.hidden=(1024, 1024, 512)` ((256, 256, 128))" in told["as the code is released"]


# Files that are included under a scope.

TWO_ROWS = "include 'recipes/table1.gin'\nRecipe.methods = (@GenHypRL(), @mine/GenHypRL())\nmine/GenHypRL.row = 'm'\n"


def resolved(folder: Path, text: str, scale: str | None = None) -> Recipe:
    path = folder / "recipe.gin"
    path.write_text(text)
    recipe = resolve(path, scale).recipe
    assert isinstance(recipe, Recipe)
    return recipe


def test_a_users_file_under_a_scope_changes_that_row_alone_and_a_scale_still_sets_the_sizes(tmp_path: Path) -> None:
    (tmp_path / "mine.gin").write_text("HypLatent.lambda_reg = 7.0\nHypLatent.steps = 9\n")
    text = TWO_ROWS + "include 'mine.gin under mine'\n"
    for scale, steps in ((None, (1200, 9)), ("smoke", (60, 60))):
        default, mine = (method.described()["hyplatent"] for method in resolved(tmp_path, text, scale).methods)
        assert (default["lambda_reg"], mine["lambda_reg"]) == (0.1, 7.0)
        assert (default["steps"], mine["steps"]) == steps


@pytest.mark.parametrize(
    ("content", "include", "says"),
    [
        ("AUTOENCODER = @PCAAutoencoder()\n", "mine.gin under mine", "AUTOENCODER cannot stand in a file"),
        ("x/HypLatent.steps = 3\n", "mine.gin under mine", "x/HypLatent.steps cannot stand in a file"),
        ("HypLatent.steps = 3\n", "mine.gin under other", "No reference uses the scope 'other'"),
        ("HypLatent.steps = 3\n", "mine.gin undr mine", "does not exist"),
        ("Retrieval.condition = 'h'\n", "mine.gin under mine", "Nothing consumes the binding of mine/Retrieval"),
    ],
)
def test_mistakes_with_such_files_name_the_line(tmp_path: Path, content: str, include: str, says: str) -> None:
    (tmp_path / "mine.gin").write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        resolved(tmp_path, TWO_ROWS + f"include '{include}'\n")
    assert "mine.gin" in caught.value.where
    assert caught.value.fix

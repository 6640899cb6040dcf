"""Every gin file that is shipped resolves and takes effect; the swaps themselves are run in test_swaps.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hyprepro.collect.collection import Collection
from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.config import files
from hyprepro.config.catalogue import load_components
from hyprepro.config.lint import RENAMED
from hyprepro.config.registry import resolve
from hyprepro.errors import UserError
from hyprepro.experiments.recipe import Experiment, Recipe

RECIPES = sorted(files.shipped("recipes"))
SCALES = sorted(files.shipped("scales"))
VARIANTS = sorted(files.shipped("variants"))
COLLECTIONS = sorted(files.shipped("collections"))
COMPONENT_FILES = sorted((files.gin_root() / "components").glob("*/*.gin"))
TABLE2_SLOTS = ("care_network", "care_training", "descriptions", "text_encoder", "transformer")
EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "hopper-gravity" / "recipe.gin")
MULTITASK_SLOTS = ("architecture", "gradient", "multitask_training")
RECIPES_OF = {
    "method": ("table1", "table2", "table4", "baselines4", "dm_cheetah", "multitask", EXAMPLE),
    "protocol": ("table1", "table4"),
    "control": ("audit",),
    **dict.fromkeys(TABLE2_SLOTS, ("table2",)),
    **dict.fromkeys(MULTITASK_SLOTS, ("multitask",)),
}
"""Which recipes have the parts of a slot, where it is not Table 1."""


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def takes_effect(path: Path, recipe: str) -> bool:
    """Whether a recipe takes anything from a file; one of which it consumes nothing is refused."""
    try:
        resolve(recipe, "smoke", files_=[path])
    except UserError:
        return False
    return True


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_recipe_at_every_scale_and_variant(recipe: str, scale: str, variant: str, tmp_path: Path) -> None:
    resolved = resolve(recipe, scale, variant)
    found = resolved.recipe
    assert isinstance(found, Experiment)
    assert (found.name, found.scale, found.variant) == (recipe, scale, variant)
    (tmp_path / "operative.gin").write_text(resolved.operative_config)
    assert resolve(tmp_path / "operative.gin").recipe == found


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_defaults_are_our_variant(recipe: str) -> None:
    assert resolve(recipe, "desktop").recipe == resolve(recipe, "desktop", "ours").recipe


def test_the_variants_differ_in_their_methods() -> None:
    methods = [str(resolve("table1", "desktop", name).recipe.described()["methods"]) for name in VARIANTS]
    assert len(set(methods)) == len(VARIANTS) == 3


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_answered_with_one_that_exists(old: str, new: str) -> None:
    components = load_components()
    name, _, field = new.partition(".")
    assert name in components
    assert not field or field in components[name].model_fields
    binding = f"{old}=1" if "." in old else f"{old}.row='mine'"
    with pytest.raises(UserError) as caught:
        resolve("table4", "smoke", bindings=[binding])
    assert caught.value.closest.startswith(new)


@pytest.mark.parametrize("path", COMPONENT_FILES, ids=name_of)
def test_every_component_file_takes_effect(path: Path) -> None:
    assert any(takes_effect(path, recipe) for recipe in RECIPES_OF.get(path.parent.name, ("table1",)))


@pytest.mark.parametrize("path", COMPONENT_FILES, ids=name_of)
def test_every_component_file_has_a_header(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(line.startswith("# Source:") for line in header)
    assert any(line.startswith("# Common overrides:") for line in header)


@pytest.mark.parametrize("slot", sorted({path.parent.name for path in COMPONENT_FILES}))
def test_every_component_of_a_shipped_slot_has_a_file(slot: str) -> None:
    text = "".join(path.read_text() for path in sorted((files.gin_root() / "components" / slot).glob("*.gin")))
    text += "".join(resolve(recipe).operative_config for recipe in RECIPES_OF.get(slot, ("table1",)))
    for name, cls in load_components().items():
        if cls.slot == slot and cls.__module__.startswith("hyprepro."):
            assert re.search(rf"@(\w+/)?{name}\(\)", text), f"gin/components/{slot}/ has no file for {name}"


def test_mt10_is_a_second_set_of_tasks() -> None:
    mt10 = [files.gin_root() / "domains" / "metaworld_mt10.gin"]
    found, collection = (
        resolve("multitask", files_=mt10).recipe,
        resolve(files.named_file("collections", "metaworld-mt10"), slot="collection").recipe,
    )
    assert isinstance(found, Recipe)
    assert isinstance(collection, MetaWorldCollection)
    assert found.seen == collection.seen_tasks
    assert not found.below + found.unseen + collection.unseen_tasks


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_collection(collection: str) -> None:
    found = resolve(files.named_file("collections", collection), slot="collection").recipe
    assert isinstance(found, Collection)

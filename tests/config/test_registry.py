"""Resolving gin files into components: what arrives, and where it came from."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import gin
import pytest

from hyprepro.component import Component, component, setting
from hyprepro.config.registry import resolve
from tests.toys import BASE, ToyBall, ToyBox, ToyPaint, ToyRecipe, only_toys, refused, toy, write


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No other components."""
    with only_toys(monkeypatch):
        yield


def test_values_references_and_defaults_arrive(tmp_path: Path) -> None:
    recipe = toy(tmp_path, BASE + "ToyBall.radius = 2\n")
    assert recipe == ToyRecipe(title="toy", shapes=(ToyBall(radius=2.0), ToyBox()), paint=ToyPaint(coats=2))


def test_components_are_plain_and_picklable(tmp_path: Path) -> None:
    recipe = toy(tmp_path)
    assert type(recipe) is ToyRecipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_order_is_recipe_then_files_then_bindings(tmp_path: Path) -> None:
    first = write(tmp_path, "ToyBall.radius = 3.0\nToyBox.sides = (9,)\n", "first.gin")
    second = write(tmp_path, "ToyBox.sides = (8,)\n", "second.gin")
    recipe = toy(tmp_path, BASE + "ToyBall.radius = 2.0\n", "ToyRecipe.seeds=4", files=(first, second))
    assert recipe.shapes == (ToyBall(radius=3.0), ToyBox(sides=(8,)))
    assert recipe.seeds == 4


def test_scopes_tell_two_uses_of_one_component_apart(tmp_path: Path) -> None:
    text = "ToyRecipe.title = 't'\nToyRecipe.shapes = (@big/ToyBall(), @ToyBall())\nbig/ToyBall.radius = 7.0\n"
    assert toy(tmp_path, text).shapes == (ToyBall(radius=7.0), ToyBall())


def test_macros_hold_numbers_and_components(tmp_path: Path) -> None:
    text = BASE + "SIZE = 4.0\nToyBall.radius = %SIZE\nSHAPE = @ToyBox()\nToyRecipe.inner = %SHAPE\n"
    recipe = toy(tmp_path, text, "SIZE=5.0")
    assert recipe.shapes[0] == ToyBall(radius=5.0)
    assert recipe.inner == ToyBox()


def test_a_value_set_by_a_macro_comes_from_where_the_macro_is_set(tmp_path: Path) -> None:
    path = write(tmp_path, BASE + "SIZE = 4.0\nToyBall.radius = %SIZE\n")
    assert resolve(path, root="ToyRecipe").origins["shapes[0].radius"].endswith("recipe.gin:4")
    assert resolve(path, bindings=["SIZE=5.0"], root="ToyRecipe").origins["shapes[0].radius"] == "-b #1"


def test_a_component_in_a_macro_has_no_scope_of_its_own(tmp_path: Path) -> None:
    text = BASE + "SHAPE = @ToyBall()\nToyRecipe.inner = %SHAPE\n"
    assert "SHAPE/" not in resolve(write(tmp_path, text), root="ToyRecipe").operative_config
    assert "'SHAPE'" in refused(tmp_path, text, "SHAPE/ToyBall.radius=2.0").what


def test_default_components_keep_their_own_values_and_what_is_bound_inside(tmp_path: Path) -> None:
    class ToyPot(Component):
        slot: ClassVar[str] = "pot"
        size: int = setting(1, "Size.")
        paint: ToyPaint = setting(ToyPaint(coats=4), "Paint.")

    class ToyShelf(Component):
        slot: ClassVar[str] = "shelf"
        pot: ToyPot = setting(ToyPot(size=5), "A pot.")
        pots: tuple[ToyPot, ...] = setting((ToyPot(size=6), ToyPot(size=7)), "Pots.")
        width: int = setting(1, "Width.")

    component(ToyPot)
    component(ToyShelf)
    path = write(tmp_path, "ToyShelf.width = 3\nToyPot.paint = @ToyPaint()\nToyPaint.coats = 3\n")
    paint = ToyPaint(coats=3)
    pots = (ToyPot(size=6, paint=paint), ToyPot(size=7, paint=paint))
    assert resolve(path, root="ToyShelf").recipe == ToyShelf(pot=ToyPot(size=5, paint=paint), pots=pots, width=3)
    again = write(tmp_path, resolve(path, root="ToyShelf").operative_config, "again.gin")
    assert resolve(again, root="ToyShelf").recipe == resolve(path, root="ToyShelf").recipe


def test_bindings_reach_components_that_are_only_defaults(tmp_path: Path) -> None:
    assert toy(tmp_path).paint == ToyPaint(coats=2)
    assert toy(tmp_path, BASE, "ToyPaint.coats=3").paint == ToyPaint(coats=3)


def test_includes_are_found_beside_the_including_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", "ToyBall.radius = 6.0\n", "ball.gin")
    recipe = toy(tmp_path, BASE + "include 'deep/ball.gin'\n")
    assert recipe.shapes[0] == ToyBall(radius=6.0)


def test_a_block_of_bindings_is_understood(tmp_path: Path) -> None:
    assert toy(tmp_path, BASE + "ToyBall:\n  radius = 5.0\n  colour = 'blue'\n").shapes[0] == ToyBall(
        radius=5.0, colour="blue"
    )


def test_a_users_module_can_offer_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_toy_shapes.py").write_text(
        "from hyprepro.component import Component, component, setting\n"
        "from typing import ClassVar\n"
        "@component\nclass MyToyPaint(Component):\n    slot: ClassVar[str] = 'toy'\n    coats: int = setting(1, 'n')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path, "import my_toy_shapes\nMyToyPaint.coats = 3\n")
    assert resolve(path, root="MyToyPaint").recipe.described() == {"component": "MyToyPaint", "coats": 3}


def test_origins_name_file_line_flag_or_default(tmp_path: Path) -> None:
    path = write(tmp_path, BASE + "ToyBall.radius = 2.0\n")
    found = resolve(path, bindings=["ToyBox.sides=(4,)"], seeds=3, root="ToyRecipe").origins
    assert found["shapes[0].radius"].endswith("recipe.gin:4")
    assert found["shapes[1].sides"] == "-b #1"
    assert found["seeds"] == "--seeds"
    assert found["shapes[0].colour"] == "default"


@pytest.mark.parametrize(
    "more",
    [
        "",
        "ToyRecipe.inner = @other/ToyBall()\nother/ToyBall.radius = 3.5\nToyBall.colour = 'blue'\n",
        "SIZE = (7,)\nToyBox.sides = %SIZE\nToyBox.label = 'it\\'s'\n",
        "ToyPaint.coats = 5\n",
    ],
)
def test_the_operative_config_resolves_to_the_same_recipe(tmp_path: Path, more: str) -> None:
    resolved = resolve(write(tmp_path, BASE + more), root="ToyRecipe")
    again = resolve(write(tmp_path, resolved.operative_config, "operative.gin"), root="ToyRecipe")
    assert again.recipe == resolved.recipe
    assert "# default" in resolved.operative_config


def test_gin_is_left_as_it_was_also_after_a_mistake(tmp_path: Path) -> None:
    gin.clear_config()
    gin.parse_config("HOST = 3")
    gin.finalize()
    toy(tmp_path)
    refused(tmp_path, BASE + "ToyBall.radius = -1.0\n")
    assert gin.config_is_locked()
    assert gin.query_parameter("HOST/gin.macro.value") == 3
    with gin.unlock_config():
        gin.clear_config()


def test_one_resolution_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    toy(tmp_path, BASE, "ToyBall.radius=9.0")
    assert toy(tmp_path).shapes[0] == ToyBall()


# Every mistake: the place, the closest name, what to do.

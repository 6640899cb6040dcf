"""Resolving gin files into components: what arrives, where it came from, and what every mistake says."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import gin
import pytest
from pydantic import model_validator

from hyprepro.config import catalogue
from hyprepro.errors import UserError
from hyprepro.recipe import COMPONENTS, Component, component, setting
from hyprepro.registry import resolve


class Shape(Component):
    slot: ClassVar[str] = "shape"


class ToyBall(Shape):
    radius: float = setting(1.0, "Radius in metres.", gt=0)
    colour: Literal["red", "blue"] = setting("red", "Colour.")


class ToyBox(Shape):
    sides: tuple[int, ...] = setting((1, 2, 3), "Side lengths.", min_length=1)
    label: str | None = setting(None, "Text on it.")


class ToyPaint(Component):
    slot: ClassVar[str] = "paint"
    coats: int = setting(1, "How many layers.", ge=1, le=5)


class ToyRecipe(Component):
    slot: ClassVar[str] = "toy-recipe"
    title: str = setting(..., "What it is called.")
    shapes: tuple[Shape, ...] = setting((), "The shapes.")
    paint: ToyPaint = setting(ToyPaint(coats=2), "Paint for all.")
    seeds: int = setting(1, "Number of seeds.", ge=1)
    inner: Shape | None = setting(None, "What is inside.")

    @model_validator(mode="after")
    def _few_seeds(self) -> ToyRecipe:
        if self.seeds > len(self.title) + 10:
            raise ValueError("there are more seeds than the title can bear")
        return self


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy components, and only they, offered for the time of a test."""
    monkeypatch.setattr(catalogue, "component_modules", list)
    before = dict(COMPONENTS)
    COMPONENTS.clear()
    for cls in (ToyBall, ToyBox, ToyPaint, ToyRecipe):
        component(cls)
    yield
    COMPONENTS.clear()
    COMPONENTS.update(before)


BASE = """\
# A recipe.
ToyRecipe.title = 'toy'
ToyRecipe.shapes = (@ToyBall(), @ToyBox())
"""


def write(folder: Path, text: str, name: str = "recipe.gin") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def toy(folder: Path, text: str = BASE, *bindings: str, files: tuple[Path, ...] = ()) -> ToyRecipe:
    found = resolve(write(folder, text), bindings=bindings, files_=files, root="ToyRecipe").recipe
    assert isinstance(found, ToyRecipe)
    return found


def refused(folder: Path, text: str = BASE, *bindings: str, files: tuple[Path, ...] = ()) -> UserError:
    with pytest.raises(UserError) as caught:
        toy(folder, text, *bindings, files=files)
    assert caught.value.fix, "every mistake comes with what to do"
    return caught.value


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
        "from hyprepro.recipe import Component, component, setting\n"
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


def test_unknown_recipe() -> None:
    with pytest.raises(UserError, match="no recipe named 'tabel1'") as caught:
        resolve("tabel1")
    assert caught.value.closest == "table1"


@pytest.mark.parametrize(("flag", "wrong", "closest"), [("scale", "smok", "smoke"), ("scale", "dekstop", "desktop")])
def test_unknown_scale(flag: str, wrong: str, closest: str) -> None:
    with pytest.raises(UserError, match=f"no {flag} named '{wrong}'") as caught:
        resolve("table1", **{flag: wrong})
    assert caught.value.closest == closest


def test_missing_recipe_file(tmp_path: Path) -> None:
    write(tmp_path, BASE, "table_one.gin")
    with pytest.raises(UserError, match="does not exist") as caught:
        resolve(tmp_path / "table_oen.gin")
    assert "table_one.gin" in caught.value.closest


def test_unknown_component_in_a_file(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE + "ToyBal.radius = 2.0\n")
    assert "recipe.gin:4: ToyBal.radius = 2.0" in error.where
    assert error.closest == "ToyBall"
    assert "hyprepro list" in error.fix


def test_unknown_component_in_a_block(tmp_path: Path) -> None:
    assert refused(tmp_path, BASE + "ToyBal:\n  radius = 2.0\n").closest == "ToyBall"


def test_unknown_field(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE, "ToyBall.raduis=2.0")
    assert error.where == "-b #1: ToyBall.raduis=2.0"
    assert error.closest == "radius"
    assert "hyprepro explain ToyBall" in error.fix


def test_unknown_scope(tmp_path: Path) -> None:
    text = BASE + "ToyRecipe.inner = @big/ToyBall()\nbgi/ToyBall.radius = 2.0\n"
    error = refused(tmp_path, text)
    assert "'bgi'" in error.what
    assert "recipe.gin:5" in error.where
    assert error.closest == "big/ToyBall.radius"


def test_unknown_reference(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE + "ToyRecipe.inner = @ToyBxo()\n")
    assert "recipe.gin:4" in error.where
    assert error.closest == "@ToyBox()"
    assert "@ToyBall(), @ToyBox()" in error.fix


def test_reference_without_brackets(tmp_path: Path) -> None:
    assert refused(tmp_path, BASE + "ToyRecipe.inner = @ToyBox\n").closest == "@ToyBox()"


def test_unknown_macro(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE + "SIZE = 2.0\nToyBall.radius = %SIZ\n")
    assert "recipe.gin:5: ToyBall.radius = %SIZ" in error.where
    assert error.closest == "%SIZE"


def test_macro_that_refers_to_itself(tmp_path: Path) -> None:
    assert "itself" in refused(tmp_path, BASE + "A = %B\nB = %A\nToyBall.radius = %A\n").what


def test_component_that_contains_itself(tmp_path: Path) -> None:
    @component
    class ToyNest(Shape):
        inside: Shape | None = setting(None, "What is inside.")

    error = refused(tmp_path, BASE + "ToyRecipe.inner = @ToyNest()\nToyNest.inside = @ToyNest()\n")
    assert error.what == "ToyNest contains itself."
    assert "recipe.gin:5" in error.where


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ToyBall.radius = 'wide'", "a number, more than 0, not 'wide'"),
        ("ToyBall.radius = -2.0", "a number, more than 0, not -2.0"),
        ("ToyBall.radius = True", "not True"),
        ("ToyBall.colour = 'green'", "one of 'red', 'blue', not 'green'"),
        ("ToyRecipe.seeds = 2.5", "an integer, at least 1, not 2.5"),
        ("ToyRecipe.inner = @ToyPaint()", "@ToyPaint() is of the slot paint"),
        ("ToyRecipe.inner = 3", "a component of the slot shape"),
        ("ToyRecipe.seeds = 100", "more seeds than the title can bear"),
        ("ToyBox.sides = ()", "at least 1 of them"),
    ],
)
def test_wrong_values_name_the_line_and_what_the_field_takes(tmp_path: Path, line: str, says: str) -> None:
    error = refused(tmp_path, BASE + line + "\n")
    assert says in error.what
    assert f"recipe.gin:4: {line}" in error.where
    assert "hyprepro explain" in error.fix


@pytest.mark.parametrize(
    ("line", "closest"),
    [
        ("ToyBox.sides = [1, 2]", "(1, 2)"),
        ("ToyBox.sides = (4)", "(4,)"),
        ("ToyRecipe.seeds = 1e1", "10"),
        ("ToyRecipe.inner = 'ToyBox'", "@ToyBox()"),
    ],
)
def test_wrong_values_that_can_be_guessed_are_corrected(tmp_path: Path, line: str, closest: str) -> None:
    assert refused(tmp_path, BASE + line + "\n").closest == closest


def test_wrong_value_through_a_macro_names_the_binding(tmp_path: Path) -> None:
    assert (
        "recipe.gin:5: ToyBall.radius = %SIZE" in refused(tmp_path, BASE + "SIZE = 'x'\nToyBall.radius = %SIZE\n").where
    )


def test_missing_value(tmp_path: Path) -> None:
    error = refused(tmp_path, "ToyRecipe.seeds = 1\n")
    assert error.what == "ToyRecipe.title must be set: What it is called."
    assert "ToyRecipe.title = VALUE" in error.fix


def test_value_marked_as_required(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE + "ToyBall.radius = %gin.REQUIRED\n")
    assert "ToyBall.radius must be set" in error.what
    assert "recipe.gin:4" in error.where
    assert toy(tmp_path, BASE + "ToyBall.radius = %gin.REQUIRED\n", "ToyBall.radius=2.0").shapes[0] == ToyBall(
        radius=2.0
    )


def test_missing_include(tmp_path: Path) -> None:
    write(tmp_path, "", "ball.gin")
    error = refused(tmp_path, BASE + "include 'bal.gin'\n")
    assert "recipe.gin:4: include 'bal.gin'" in error.where
    assert f"searched in: {tmp_path}" in error.where
    assert error.closest == "ball.gin"


def test_include_circle(tmp_path: Path) -> None:
    write(tmp_path, "include 'recipe.gin'\n", "other.gin")
    assert "recipe.gin -> " in refused(tmp_path, BASE + "include 'other.gin'\n").where


@pytest.mark.parametrize(
    ("line", "closest"),
    [
        ("ToyBall.colour = blue", "'blue'"),
        ("ToyBox.label = two words", "'two words'"),
        ("ToyBox.label = /a/path.h5", "'/a/path.h5'"),
        ("ToyBox.label = 3-balls", "'3-balls'"),
        ("ToyRecipe.inner = ToyBox", "@ToyBox()"),
        ("ToyBox.label = none", "None"),
        ("ToyBall.radius = 2*3", ""),
    ],
)
def test_unquoted_strings_and_other_bare_words(tmp_path: Path, line: str, closest: str) -> None:
    in_file = refused(tmp_path, BASE + line + "  # comment\n")
    assert "recipe.gin:4" in in_file.where
    assert in_file.closest == closest
    on_command_line = refused(tmp_path, BASE, line)
    assert on_command_line.where.startswith("-b #1: ")
    if closest:
        assert f'-b "{line.partition(" = ")[0]}={closest}"' in on_command_line.fix


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ToyBall.radius 3\n", 4),
        ("ToyBox.sides = (1, 2\n", 4),
        ("ToyBox.label = 'open\n", 4),
        ("x = = 3\n", 4),
        ("  y\n  = 1", 4),
    ],
)
def test_syntax_errors_name_the_line(tmp_path: Path, text: str, line: int) -> None:
    assert f"recipe.gin:{line}" in refused(tmp_path, BASE + text).where


def test_something_that_is_no_binding_at_all(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE, "ToyBall.radius")
    assert "is not a binding" in error.what


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "recipe.gin"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        resolve(path, root="ToyRecipe")


def test_one_thing_set_twice_in_one_file(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE + "ToyBall.radius = 2.0\nToyBall.radius = 3.0\n")
    assert "recipe.gin:4" in error.where
    assert "recipe.gin:5" in error.where


def test_a_file_that_describes_no_recipe(tmp_path: Path) -> None:
    assert "binds nothing of ToyRecipe" in refused(tmp_path, "ToyBall.radius = 2.0\n").what
    assert "binds nothing of ToyRecipe" in refused(tmp_path, "").what


def test_an_import_that_fails(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE + "import no_such.module\n")
    assert "no_such.module" in error.what
    assert "recipe.gin:4" in error.where


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ("ToyNail.size=1", "the recipe has no ToyNail"),
        ("SIZE=3", "no binding in use refers to %SIZE"),
        ("ToyBall.radius=3.0", "'big/ToyBall.radius' overrides it"),
    ],
)
def test_bindings_that_nothing_consumes(tmp_path: Path, binding: str, says: str) -> None:
    @component
    class ToyNail(Shape):
        size: int = setting(1, "Size.")

    text = "ToyRecipe.title = 't'\nToyRecipe.inner = @big/ToyBall()\nbig/ToyBall.radius = 2.0\n"
    error = refused(tmp_path, text, binding)
    assert error.what.startswith("Nothing consumes the binding of ")
    assert says in error.what
    if "ToyNail" in binding:
        assert error.closest == "ToyBall"
    extra = write(tmp_path, binding.replace("=", " = ") + "\n", "extra.gin")
    assert "extra.gin:1" in refused(tmp_path, text, files=(extra,)).where

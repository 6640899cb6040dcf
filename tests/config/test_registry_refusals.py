"""Mistakes in gin files and bindings: what each says, where it lies, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyprepro.component import component, setting
from hyprepro.config.registry import resolve
from hyprepro.errors import UserError
from tests.toys import BASE, Shape, ToyBall, only_toys, refused, toy, write


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No other components."""
    with only_toys(monkeypatch):
        yield


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

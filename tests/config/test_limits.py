"""Files and bindings that are deeper, longer or more than anybody writes: refused in moments, by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from hyprepro.component import component, setting
from hyprepro.config import build, files, parse
from hyprepro.config.registry import resolve
from hyprepro.errors import UserError, closest_match
from tests.toys import BASE, Shape, only_toys, refused, toy, write


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No other components."""
    with only_toys(monkeypatch):
        yield


def doubled(levels: int) -> str:
    """Macros each of which holds the one before twice."""
    return "M0 = 1\n" + "".join(f"M{n} = (%M{n - 1}, %M{n - 1})\n" for n in range(1, levels))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ToyBall.radius = " + "(" * 3000 + "1" + ",)" * 3000, "nested more than 50 deep"),
        ("ToyBall.radius = " + "{1: " * 3000, "nested more than 50 deep"),
        ("ToyBall.radius = {[]: 1}", "a key of a dictionary is no plain value"),
        ("ToyBall.radius = {{}: 1}", "a key of a dictionary is no plain value"),
        ("ToyBox.label = 'a' b'b'", "text and bytes are joined"),
        ("ToyRecipe.seeds = " + "9" * 400, "does not fit into 64 bits"),
        ("ToyRecipe.seeds = 9223372036854775808", "does not fit into 64 bits"),
        ("ToyBox.sides = (1, (2, [-9223372036854775808]))", "does not fit into 64 bits"),
        ("a/" * 60_000 + "ToyBall.radius = 2.0", "Scopes are nested more than 50 deep"),
        ("ToyRecipe.inner = @" + "a/" * 60_000 + "ToyBall()", "Scopes are nested more than 50 deep"),
        (doubled(40) + "ToyBox.sides = %M39", "holds more than 100000 values"),
        ("".join(f"M{n} = %M{n + 1}\n" for n in range(3000)) + "M3000 = 1\nToyBall.radius = %M0", "50 deep"),
        ("ToyBox.label = 'x' \\", "not a gin statement"),
        ("ToyBox.label = '''x", "not a gin statement"),
        ("\n".join(f"N{n} = 1" for n in range(parse.MOST_STATEMENTS + 2)), "more than 20000 bindings"),
    ],
    ids=range(15),
)
def test_what_nobody_writes_is_refused_at_once(tmp_path: Path, line: str, says: str) -> None:
    started = time.process_time()
    error = refused(tmp_path, BASE + line + "\n")
    assert says in str(error)
    assert len(error.where) < 1000
    assert time.process_time() - started < 10


def test_what_somebody_may_write_is_taken(tmp_path: Path) -> None:
    deep = "ToyBox.sides = " + "(" * 40 + "1, 2" + ")" * 40
    assert toy(tmp_path, BASE + deep + "\n").shapes[1].sides == (1, 2)
    joined = "ToyBox.label = " + "'ab' " * 5000
    assert toy(tmp_path, BASE + joined + "\n").shapes[1].label == "ab" * 5000
    macros = "".join(f"M{n} = %M{n + 1}\n" for n in range(20)) + "M20 = 3.0\nToyBall.radius = %M0\n"
    assert toy(tmp_path, BASE + macros).shapes[0].radius == 3.0
    assert (
        toy(tmp_path, BASE + f"ToyRecipe.inner = @a/b/c/ToyBall()\n{'a/b/c'}/ToyBall.radius = 5.0\n").inner is not None
    )
    assert toy(tmp_path, BASE + "ToyBall.radius = 9223372036854775807\n").shapes[0].radius == 9223372036854775807.0


def test_components_that_contain_two_of_each_other_are_counted(tmp_path: Path) -> None:
    @component
    class ToyPair(Shape):
        left: Shape | None = setting(None, "One.")
        right: Shape | None = setting(None, "The other.")

    scopes = [f"s{n}" for n in range(30)]
    lines = [f"{a}/ToyPair.{side} = @{b}/ToyPair()" for a, b in pairwise(scopes) for side in ("left", "right")]
    error = refused(tmp_path, BASE + "ToyRecipe.inner = @s0/ToyPair()\n" + "\n".join(lines) + "\n")
    assert error.what == f"The recipe has more than {build.MOST} components."


def test_files_that_include_each_other_without_end(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path, f"include 'chain{number + 1}.gin'\n", f"chain{number}.gin")
    write(tmp_path, "", "chain60.gin")
    assert "50 deep" in refused(tmp_path, BASE + "include 'chain0.gin'\n").what
    for number in range(20):
        write(tmp_path, f"include 'twice{number + 1}.gin'\n" * 2, f"twice{number}.gin")
    write(tmp_path, "", "twice20.gin")
    assert "More than 1000 gin files" in refused(tmp_path, BASE + "include 'twice0.gin'\n").what
    assert toy(tmp_path, BASE + "include 'chain58.gin'\n").title == "toy"  # each resolution counts anew


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "x" * 300 + "/y.gin", "\\x00", "\\ud800", "", "/dev/zero"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    assert "does not exist" in refused(tmp_path, BASE + f"include '{name}'\n").what
    with pytest.raises(UserError):
        resolve(f"{'x' * 300}.gin")


def test_a_file_that_is_no_text_of_bindings_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.gin").open("wb") as file:
        file.truncate(files.MOST_BYTES + 1)
    assert "too large" in refused(tmp_path, BASE + "include 'huge.gin'\n").what


def test_a_name_as_long_as_a_file_is_near_nothing() -> None:
    started = time.process_time()
    assert closest_match("x" * 10**6, [f"option{number}" for number in range(500)]) == ""
    assert time.process_time() - started < 1

"""Toy components, and recipe files made of them, for the tests of the registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import model_validator

from hyprepro.component import COMPONENTS, Component, component, setting
from hyprepro.config import catalogue
from hyprepro.config.registry import resolve
from hyprepro.errors import UserError


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


@contextmanager
def only_toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy components, and only they, are offered."""
    monkeypatch.setattr(catalogue, "component_modules", dict)
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

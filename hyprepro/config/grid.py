"""A grid of bindings: a list as the value of one, `-b 'HypFormer.heads=[1,2,4]'`, stands for as many recipes.

Fields take tuples and no lists, so a list is never meant as a value. Several lists make a grid, the last one turning
fastest; bindings without a list hold in every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from hyprepro.config.describe import gin_text
from hyprepro.config.parse import binding_statements
from hyprepro.errors import UserError

LARGEST = 64
"""Cells of one grid."""
EXAMPLE = "hyprepro sweep table1 -b 'HypLatent.supervised_weight=[0,10,1000]'"


@dataclass(frozen=True)
class Axis:
    """A binding with a list.

    Attributes:
        target: What it sets: `HypFormer.heads`, `scope/HypFormer.heads`, or a macro.
        values: Its values as gin writes them.
    """

    target: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """The recipes that bindings stand for.

    Attributes:
        parts: The bindings in the order given: the texts of those that hold everywhere, and the axes.
    """

    parts: tuple[str | Axis, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The bindings with lists."""
        return tuple(part for part in self.parts if isinstance(part, Axis))

    @property
    def fixed(self) -> list[str]:
        """The bindings that hold in every cell."""
        return [part for part in self.parts if isinstance(part, str)]

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """A value of each axis for every cell."""
        return list(product(*(axis.values for axis in self.axes)))

    def bindings(self, cell: Sequence[str]) -> list[str]:
        """The bindings of a cell, in the order given, so that messages number them as the user did."""
        values = iter(cell)
        return [part if isinstance(part, str) else f"{part.target}={next(values)}" for part in self.parts]


def grid_of(bindings: Sequence[str]) -> Grid:
    """The grid that bindings of the command line describe.

    Raises:
        UserError: One of them is no binding, none has a list, a list is empty or has a value twice, two are of one
            field, or there are more than `LARGEST` cells.
    """
    grid = Grid(tuple(_part(text, f"-b #{number}") for number, text in enumerate(bindings, start=1)))
    targets = [axis.target for axis in grid.axes]
    if not targets:
        raise UserError("There is nothing to sweep: no binding has a list.", where="-b", fix=f"For instance: {EXAMPLE}")
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise UserError(
            f"{twice} has two lists.", where="-b", fix=f"Write all of its values in one: -b '{twice}=[...]'"
        )
    count = prod(len(axis.values) for axis in grid.axes)
    if count > LARGEST:
        sizes = " x ".join(str(len(axis.values)) for axis in grid.axes)
        raise UserError(
            f"The grid has {sizes} = {count} cells, and a sweep has at most {LARGEST}.",
            where="-b",
            fix="Leave out values, or sweep one field at a time; cells share finished stages through the cache.",
        )
    return grid


def _part(text: str, source: str) -> str | Axis:
    statements = binding_statements(text, source)
    if len(statements) != 1 or not isinstance(statements[0].value, list):
        return text
    (statement,) = statements
    values = tuple(gin_text(value) for value in statement.value)
    where = f"{source}: {text}"
    if not values:
        raise UserError(
            f"The grid is empty: the list of {statement.target} has no values.",
            where=where,
            fix=f"Write its values, separated by commas: -b '{statement.target}=[1,2]'",
        )
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UserError(f"{statement.target} has the value {twice} twice.", where=where, fix="Write each value once.")
    return Axis(statement.target, values)

"""What a row of any table is, whatever its method is trained on and deployed for."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from hyprepro.recipe import Component, setting


class TableRow(Component, ABC):
    """A method as a row of a table.

    Subclasses declare:
        label: The method's name, for example "gen-hyprl".
        seeded: Whether the method is trained and evaluated once per generator seed (True) or once (False, seed 0).
        knows: The information that the method is given at test time, for the reader of the table, for example "prompt".
    """

    label: ClassVar[str] = ""
    seeded: ClassVar[bool] = False
    knows: ClassVar[str] = ""

    row: str = setting("", "the row's name where a recipe has a method more than once; empty: the method's own name")

    @property
    def name(self) -> str:
        """The row's name in records and tables."""
        return self.row or self.label

    @property
    def information(self) -> str:
        """What the method is given at test time with its settings, for the reader of the table."""
        return self.knows

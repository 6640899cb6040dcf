"""Finding the components: every module of the package that offers one is imported, the others are not.

A new component is one file and nothing else, so there is no list to extend: a module is imported when its text uses the
`@component` decorator. Settings modules import torch, MuJoCo and the like inside `build`, so that reading a recipe
stays quick. What there is can be told from the text alone (`listed`), which is quicker still.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hyprepro.component import Component

_OFFERS = re.compile(r"^@component\b", re.MULTILINE)
_CLASS = re.compile(r'^(@component\n)?class (\w+)\(([\w., ]+)\):\n    """(.*?)(?:"""|\n\n)', re.MULTILINE | re.DOTALL)
_SLOT = re.compile(r'^    slot(?:: ClassVar\[str\])? = "([^"]+)"', re.MULTILINE)


class _Class(NamedTuple):
    """A class as its module's text declares it."""

    offered: bool
    bases: list[str]
    summary: str
    slot: str


def load_components() -> dict[str, type[Component]]:
    """Import every module that offers components and return them by name."""
    from hyprepro.component import COMPONENTS

    for module in component_modules():
        importlib.import_module(module)
    return COMPONENTS


def component_modules() -> list[str]:
    """The dotted names of the package's modules that offer components, sorted."""
    package = Path(__file__).resolve().parents[1]
    found = [
        ".".join(("hyprepro", *path.relative_to(package).with_suffix("").parts))
        for path, text in _texts()
        if _OFFERS.search(text)
    ]
    return sorted(found)


def by_slot() -> dict[str, list[str]]:
    """The names of all components by slot, both sorted."""
    slots: dict[str, list[str]] = {}
    for name, cls in sorted(load_components().items()):
        slots.setdefault(cls.slot, []).append(name)
    return dict(sorted(slots.items()))


def listed() -> dict[str, dict[str, str]]:
    """What every component of the package is, by slot and name, both sorted; nothing is imported for it."""
    found = [each for _, text in _texts() for each in _classes(text)]
    classes = dict(sorted(found, key=lambda each: each[1].offered))  # a network may have the name of its settings
    slots: dict[str, dict[str, str]] = {}
    for name, cls in sorted(classes.items()):
        if cls.offered:
            slots.setdefault(_slot_of(name, classes), {})[name] = cls.summary
    return dict(sorted(slots.items()))


def first_sentence(doc: str) -> str:
    """The first sentence of a docstring, in one line and without its full stop."""
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


@cache
def _texts() -> tuple[tuple[Path, str], ...]:
    """The package's modules."""
    package = Path(__file__).resolve().parents[1]
    return tuple((path, path.read_text(encoding="utf-8")) for path in package.rglob("*.py"))


def _classes(text: str) -> Iterator[tuple[str, _Class]]:
    """The classes of a module by name."""
    found = list(_CLASS.finditer(text))
    for each, after in zip_longest(found, found[1:]):
        decorator, name, bases, doc = each.groups()
        slot = _SLOT.search(text, each.end(), after.start() if after else len(text))
        yield name, _Class(bool(decorator), bases.split(", "), first_sentence(doc), slot[1] if slot else "")


def _slot_of(name: str, classes: dict[str, _Class]) -> str:
    """The slot that a class declares or inherits."""
    if name not in classes:
        return ""
    cls = classes[name]
    return cls.slot or next(filter(None, (_slot_of(base, classes) for base in cls.bases)), "")

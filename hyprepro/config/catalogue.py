"""Finding the components: a module of the package that offers one is imported when it is needed, the others never.

A new component is one file and nothing else, so there is no list to extend: a module offers what its text decorates
with `@component`. So a recipe takes the modules of what it names (`load`), and what there is can be told without
importing any (`listed`). Settings modules import torch, MuJoCo and the like inside `build`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hyprepro.component import Component

_OFFERED = re.compile(r"^@component\nclass (\w+)", re.MULTILINE)
_CLASS = re.compile(r'^(@component\n)?class (\w+)\(([\w., ]+)\):\n    """(.*?)(?:"""|\n\n)', re.MULTILINE | re.DOTALL)
_PACKAGE = str(Path(__file__).resolve().parents[1])
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

    for module in sorted(set(component_modules().values())):
        importlib.import_module(module)
    return COMPONENTS


def load(names: Iterable[str]) -> None:
    """Import the modules of the package that offer some components; names that none offers are passed over."""
    from hyprepro.component import COMPONENTS

    modules = component_modules()
    for name in names:
        if name in modules and getattr(COMPONENTS.get(name), "__module__", "") != modules[name]:
            importlib.import_module(modules[name])  # which refuses another component of that name


def is_loaded() -> bool:
    """Whether every module that offers components is imported."""
    return sys.modules.keys() >= set(component_modules().values())


@cache
def component_modules() -> dict[str, str]:
    """The dotted name of the module that offers a component, by the component's name."""
    found: dict[str, str] = {}
    for path, text in _texts():
        if "\n@component\n" in text:  # tells most modules apart in no time
            inside = os.path.relpath(path, _PACKAGE).removesuffix(".py")
            found |= dict.fromkeys(_OFFERED.findall(text), f"hyprepro.{inside.replace(os.sep, '.')}")
    return found


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
def _texts() -> tuple[tuple[str, str], ...]:
    """The package's modules: their paths and what they hold."""
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(_PACKAGE) for name in names)
    return tuple((path, _text(path)) for path in paths if path.endswith(".py"))


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


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

"""Finding the components: every module of the package that offers one is imported, the others are not.

A new component is one file and nothing else, so there is no list to extend: a module is imported when its text uses the
`@component` decorator. Settings modules import torch, MuJoCo and the like inside `build`, so that reading a recipe
stays quick.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from hyprepro.component import COMPONENTS, Component

_OFFERS = re.compile(r"^@component\b", re.MULTILINE)


def load_components() -> dict[str, type[Component]]:
    """Import every module that offers components and return them by name."""
    for module in component_modules():
        importlib.import_module(module)
    return COMPONENTS


def component_modules() -> list[str]:
    """The dotted names of the package's modules that offer components, sorted."""
    package = Path(__file__).resolve().parents[1]
    found = [
        ".".join(("hyprepro", *path.relative_to(package).with_suffix("").parts))
        for path in package.rglob("*.py")
        if _OFFERS.search(path.read_text(encoding="utf-8"))
    ]
    return sorted(found)


def by_slot() -> dict[str, list[str]]:
    """The names of all components by slot, both sorted."""
    slots: dict[str, list[str]] = {}
    for name, cls in sorted(load_components().items()):
        slots.setdefault(cls.slot, []).append(name)
    return dict(sorted(slots.items()))

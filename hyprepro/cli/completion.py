"""What a shell offers for the words of a command line: recipes, components, their fields, methods and tasks.

Completion answers between two key strokes, so nothing here imports torch or opens a store; and what cannot be completed
is no mistake yet, so nothing here fails. Typer keeps those words that begin with what is typed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from hyprepro.errors import UserError

Offer = tuple[str, str]
"""A word, and a few words on it for shells that show them."""


def shipped(kind: str) -> Callable[[], list[Offer]]:
    """The shipped gin files of a kind: recipes, scales, variants or collections."""

    def offers() -> list[Offer]:
        from hyprepro.config import files

        return [(name, files.purpose(path)) for name, path in files.shipped(kind).items()]

    return offers


def explained(incomplete: str) -> list[Offer]:
    """What `explain` knows: components, slots and gin files by name; the fields of a component after its dot."""
    from hyprepro.config import catalogue, files
    from hyprepro.config.describe import summary

    component, dot, _ = incomplete.partition(".")
    known = catalogue.load_components()
    if dot:
        return _fields(component, "")
    offers = [(name, summary(cls)) for name, cls in known.items()]
    offers += [(slot, "slot of " + ", ".join(names)) for slot, names in catalogue.by_slot().items()]
    return [*offers, *(offer for kind in files.KINDS for offer in shipped(kind)())]


def bindings(incomplete: str) -> list[Offer]:
    """Bindings: a component, its fields, and the values of a field that takes a component or one of a few words."""
    from hyprepro.config import catalogue
    from hyprepro.config.describe import summary

    known = catalogue.load_components()
    scope, slash, rest = incomplete.rpartition("/") if "=" not in incomplete else ("", "", incomplete)
    component, dot, tail = rest.partition(".")
    if not dot:
        offers = [(f"{name}.", summary(cls)) for name, cls in known.items()]
    elif "=" not in tail:
        offers = _fields(component, "=")
    else:
        offers = _values(component, tail.partition("=")[0])
    return [(f"{scope}{slash}{word}", text) for word, text in offers]


def methods(ctx: typer.Context) -> list[Offer]:
    """The rows of the recipe that stands on the command line already."""
    recipe = _recipe(ctx)
    return [(method.name, method.information(recipe.domain)) for method in getattr(recipe, "methods", ())]


def tasks(ctx: typer.Context) -> list[Offer]:
    """The tasks of the recipe that stands on the command line already."""
    return [(task, "") for task in getattr(_recipe(ctx), "all_tasks", ())]


def bundled() -> list[Offer]:
    """The bundled stores."""
    from hyprepro.stores.bundled import bundled as pinned

    return [(name, ", ".join(files)) for name, files in pinned().stores.items()]


def one_of(*words: str) -> Callable[[], list[Offer]]:
    """A few words that are known beforehand."""
    return lambda: [(word, "") for word in words]


def _fields(component: str, after: str) -> list[Offer]:
    from hyprepro.component import COMPONENTS

    cls = COMPONENTS.get(component)
    return [
        (f"{component}.{name}{after}", info.description or "")
        for name, info in (cls.model_fields.items() if cls else ())
    ]


def _values(component: str, field: str) -> list[Offer]:
    from hyprepro.component import COMPONENTS
    from hyprepro.config.describe import choices_of

    cls = COMPONENTS.get(component)
    info = cls.model_fields.get(field) if cls else None
    return [(f"{component}.{field}={value}", "") for value in (choices_of(info.annotation) if info else ())]


def _recipe(ctx: typer.Context) -> Any:
    """The recipe that the arguments so far describe; None while they describe none."""
    from hyprepro.config.registry import resolve

    given = ctx.params
    recipe = given.get("recipe") or next(iter(ctx.args), None)  # arguments stay there while an option lacks its value
    if recipe is None:
        return None
    try:
        flags = (given.get("scale"), given.get("variant"), given.get("bind") or (), given.get("gin") or ())
        return resolve(recipe, *flags).recipe
    except UserError:
        return None

"""Components described in words: the types, limits, defaults and sources of their fields.

`hyprepro explain` and the messages about wrong values both speak through this module, so that they say the same thing.
"""

from __future__ import annotations

import inspect
import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hyprepro.component import COMPONENTS, Component
from hyprepro.config.catalogue import first_sentence

_WORDS = {int: "an integer", float: "a number", bool: "True or False", str: "a string in quotes", type(None): "None"}
_LIMITS = {"gt": "more than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}"}
_PATTERNS = {"pattern": "matching {}"}
_LENGTHS = {"min_length": "at least {} of them", "max_length": "at most {} of them"}


@dataclass(frozen=True)
class FieldDescription:
    """One field of a component as `explain` shows it."""

    name: str
    type: str
    limits: str
    default: str
    source: str
    doc: str


def describe_fields(cls: type[Component]) -> list[FieldDescription]:
    """Every field of a component, in the order in which it is declared."""
    return [
        FieldDescription(
            name,
            describe_type(info.annotation),
            describe_limits(info),
            describe_default(info),
            source_of(info),
            info.description or "",
        )
        for name, info in cls.model_fields.items()
    ]


def describe_type(annotation: Any) -> str:
    """What a field takes, in words: "an integer", "one of 'paper', 'released'", "a component of the slot generator"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(argument) for argument in arguments)
    if origin is tuple:
        return _describe_tuple(arguments)
    if inspect.isclass(annotation) and issubclass(annotation, Component):
        return f"a component of the slot {annotation.slot}"
    if hasattr(annotation, "__metadata__"):
        limits = ", ".join(filter(None, map(describe_limits, annotation.__metadata__)))
        return describe_type(arguments[0]) + (f" ({limits})" if limits else "")
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def describe_limits(info: FieldInfo) -> str:
    """The limits of a field in words, empty without any: "at least 1, at most 8"."""
    found: list[str] = []
    for rule in info.metadata:
        for wording in (_LIMITS, _LENGTHS, _PATTERNS):
            found += [
                text.format(getattr(rule, name))
                for name, text in wording.items()
                if getattr(rule, name, None) is not None
            ]
    return ", ".join(dict.fromkeys(found))


def describe_default(info: FieldInfo) -> str:
    """A field's default as a gin file would write it; "(required)" without one."""
    default = info.get_default(call_default_factory=True, validated_data={})
    return "(required)" if default is PydanticUndefined else gin_text(default)


def gin_text(value: Any) -> str:
    """A value as gin writes it; components as references."""
    if isinstance(value, Component):
        return f"@{type(value).__name__}()"
    if isinstance(value, tuple):
        return "(" + ", ".join(gin_text(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def source_of(info: FieldInfo) -> str:
    """Where a field's default comes from ("paper, eq. 3", "released code", "ours")."""
    extra = info.json_schema_extra
    return str(extra.get("source", "")) if isinstance(extra, dict) else ""


def slot_of(annotation: Any) -> type[Component] | None:
    """The slot base class that a field's type names, inside tuples and optionals too; None for plain data."""
    if inspect.isclass(annotation) and issubclass(annotation, Component):
        return annotation
    found = (slot_of(argument) for argument in get_args(annotation))
    return next((cls for cls in found if cls), None)


def slot_base(cls: type[Component]) -> type[Component]:
    """The class that declares a component's slot: what all that fits there derive from."""
    return next(base for base in cls.__mro__ if issubclass(base, Component) and "slot" in vars(base))


def fitting(base: type[Component]) -> list[str]:
    """The names of the components that fit where `base` is asked for, sorted."""
    return sorted(name for name, cls in COMPONENTS.items() if issubclass(cls, base))


def choices_of(annotation: Any) -> list[str]:
    """The values of a field that can be listed, as a gin file would write them: components, words, True and False."""
    slot = slot_of(annotation)
    if slot is not None:
        names = [f"@{name}()" for name in fitting(slot)]
        return [f"({name},)" for name in names] if get_origin(annotation) is tuple else names
    if annotation is bool:
        return ["True", "False"]
    if get_origin(annotation) is Literal:
        return [repr(value) for value in get_args(annotation)]
    return []


def takes_text(annotation: Any) -> bool:
    """Whether a field takes a string (alone, as a choice, in an optional or in a tuple)."""
    if annotation is str:
        return True
    if get_origin(annotation) is Literal:
        return any(isinstance(value, str) for value in get_args(annotation))
    return any(takes_text(argument) for argument in get_args(annotation))


def _describe_tuple(arguments: tuple[Any, ...]) -> str:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"a tuple, each {describe_type(arguments[0])}"
    return "a tuple of " + ", ".join(describe_type(argument) for argument in arguments)


def summary(cls: type[Component]) -> str:
    """The first sentence of a component's docstring."""
    return first_sentence(inspect.getdoc(cls) or "")


def places_for(cls: type[Component]) -> list[str]:
    """The bindings that put this component to use: `HypLatent.generator=@UNet1DGenerator()`, sorted."""
    found = []
    for name, other in COMPONENTS.items():
        for field, info in other.model_fields.items():
            slot = slot_of(info.annotation)
            if slot is not None and issubclass(cls, slot):
                value = f"(@{cls.__name__}(),)" if get_origin(info.annotation) is tuple else f"@{cls.__name__}()"
                found.append(f"{name}.{field}={value}")
    return sorted(found)

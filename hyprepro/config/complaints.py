"""What pydantic says about a wrong value, in the words of gin files: the field, what it takes, what it got, where."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hyprepro.config.describe import describe_limits, describe_type, fitting, gin_text, slot_of
from hyprepro.errors import UserError
from hyprepro.recipe import COMPONENTS, Component


def takes(info: FieldInfo) -> str:
    """What a field takes: type, limits, and the components that fit."""
    limits = describe_limits(info)
    slot = slot_of(info.annotation)
    choices = f": {', '.join(f'@{name}()' for name in fitting(slot))}" if slot else ""
    return describe_type(info.annotation) + (f", {limits}" if limits else "") + choices


def validation_error(cls: type[Component], error: ValidationError, places: Mapping[str, str], place: str) -> UserError:
    """The first complaint of pydantic as one error at the statement that caused it.

    Args:
        cls: The component that could not be built.
        error: What pydantic says.
        places: Where each field was set.
        place: Where the component comes in, for what no binding sets.
    """
    details = error.errors(include_url=False)
    first = details[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if name not in cls.model_fields:
        where = "\n".join(places.values()) or place
        return UserError(
            f"{cls.__name__}: {_own_words(first)}",
            where=where,
            fix=f"See its fields with: hyprepro explain {cls.__name__}",
        )
    where = places.get(name, place)
    more = f" ({len(details) - 1} more after this one)" if len(details) > 1 else ""
    info = cls.model_fields[name]
    closest, hint = _hint(first, info)
    return UserError(
        f"{cls.__name__}.{name} {_complaint(first, info)}.{more}",
        where=where,
        closest=closest,
        fix=f"{hint}See it with: hyprepro explain {cls.__name__}",
    )


def _own_words(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")


def _complaint(detail: ErrorDetails, info: FieldInfo) -> str:
    value = detail["input"]
    if detail["type"] in ("value_error", "assertion_error"):
        return f"= {gin_text(value)}: {_own_words(detail)}"
    if isinstance(value, Component):
        return (
            f"takes {describe_type(info.annotation)}, and @{type(value).__name__}() is of the slot {type(value).slot}"
        )
    return f"takes {takes(info)}, not {gin_text(value)}"


def _hint(detail: ErrorDetails, info: FieldInfo) -> tuple[str, str]:
    """A corrected value where it can be guessed, and a sentence on it."""
    value, kind = detail["input"], detail["type"]
    slot = slot_of(info.annotation)
    if slot is not None and isinstance(value, str) and value in COMPONENTS:
        return f"@{value}()", "A component is written as a reference. "
    if kind == "tuple_type" and isinstance(value, list):
        return gin_text(tuple(value)), "Tuples are written in round brackets. "
    if kind == "tuple_type":
        return gin_text((value,)), "A tuple of one needs a comma. "
    if kind.startswith("int") and isinstance(value, float) and value.is_integer():
        return repr(int(value)), "Integers are written without a point or exponent. "
    return "", ""

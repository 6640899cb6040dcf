"""Components: the frozen, validated settings objects that a gin file resolves into.

A component is a pydantic model that describes one swappable part (a generator, an optimiser, a protocol, a method).
It knows its *slot* (what it can be swapped for), validates every field by type and range, and knows how to `build`
the real thing. It is plain data: hashable by content, picklable, usable without gin. `registry.py` is the only module
that knows gin.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

COMPONENTS: dict[str, type[Component]] = {}
"""Every concrete component by the name it has in gin files."""


Width = Annotated[int, Field(ge=1, le=16_384)]
"""A size of a network: units, channels, tokens, heads. More fits into no memory that a policy is worth."""

Betas = tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
"""Adam's decay rates of the first and second moment."""


class Component(BaseModel):
    """Base of all settings objects. Subclasses that users may name in gin files are decorated with `component`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=False, allow_inf_nan=False
    )
    slot: ClassVar[str] = ""

    def check(self) -> None:
        """Whether values that are right one by one fit together; asked when a recipe is resolved, before any work.

        Raises:
            UserError: They do not; its `where` names the fields as `Component.field`.
        """

    def described(self) -> dict[str, Any]:
        """This component and all it contains as JSON-ready data; equal settings give equal descriptions."""
        fields = {name: _plain(getattr(self, name)) for name in type(self).model_fields}
        return {"component": type(self).__name__, **fields}

    def fingerprint(self) -> str:
        """SHA-256 over `described()`, as 64 hexadecimal digits."""
        return fingerprint(self.described())


C = TypeVar("C", bound=type[Component])


def component(cls: C) -> C:
    """Class decorator: offer a component under its class name in gin files, in the slot it declares."""
    if not cls.slot:
        raise TypeError(f"{cls.__name__} must declare a slot")
    if COMPONENTS.get(cls.__name__, cls).__module__ != cls.__module__:
        raise TypeError(f"two components are named {cls.__name__}")
    COMPONENTS[cls.__name__] = cls
    return cls


def setting(default: Any, doc: str, *, source: str = "ours", **limits: Any) -> Any:
    """A field of a component.

    Args:
        default: The default value (`...` for a required field).
        doc: One line on what it does, with its unit.
        source: Where the default comes from: "paper, eq. 1", "released code", "Make-An-Agent", "ours".
        **limits: pydantic's constraints: `gt`, `ge`, `lt`, `le`, `min_length`, `max_length`.
    """
    return Field(default, description=doc, json_schema_extra={"source": source}, **limits)


def fingerprint(data: Any) -> str:
    """SHA-256 of any JSON-ready data in canonical form, as 64 hexadecimal digits."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.described()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value

"""Building components from bindings while remembering where every value came from.

A `Build` is one resolution. gin calls `Build.make` once for every `@Name()` it evaluates, with the values bound in the
current scope; the component is validated here, and a mistake is reported at the statement that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hyprepro.config.describe import describe_limits, describe_type, fitting, gin_text, slot_of
from hyprepro.config.lint import MacroUse, Place, Reference, Statement, walk
from hyprepro.errors import UserError
from hyprepro.recipe import COMPONENTS, Component

_DEEPEST = 40

Key = tuple[str, str, str]
"""Scope, component (or macro) name and field of a statement."""


def key_of(statement: Statement) -> Key:
    """What a statement sets."""
    return statement.scope, statement.selector, statement.field


@dataclass(frozen=True)
class Node:
    """A built component with its scope and the statement behind each of its fields (absent for defaults)."""

    component: Component
    scope: str
    origins: Mapping[str, Statement]


@dataclass
class Build:
    """The state of one resolution.

    Args:
        table: The statement in force for each key: the last one given.
        required: The object that gin passes for a value that must still be set.
        evaluate: Builds `@Name()` in the current scope; used for defaults that are components themselves, so that
            bindings reach them.
    """

    table: dict[Key, Statement]
    required: object
    evaluate: Callable[[str], Component]
    nodes: dict[int, Node] = field(default_factory=dict)
    consumed: set[Key] = field(default_factory=set)
    failure: UserError | None = None
    _depth: int = 0
    _fallbacks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def make(self, name: str, scope: Sequence[str], values: Mapping[str, Any]) -> Component:
        """Build one component.

        Args:
            name: Its name in gin files.
            scope: The scope in which gin evaluates it, outermost first.
            values: The values bound for it there.

        Raises:
            UserError: if a value is missing or wrong; it is also kept in `failure`, as gin wraps what passes through
                it.
        """
        cls = COMPONENTS[name]
        origins = self._origins(name, scope, values)
        self._consume(origins.values())
        given = {**self._fallbacks.pop(name, {}), **values}
        self._check_given(cls, given, origins)
        try:
            made = cls(**{**self._component_defaults(cls, given), **given})
        except ValidationError as error:
            raise self._fail(_validation_error(cls, error, origins, self._place_of(name))) from error
        self.nodes[id(made)] = Node(made, "/".join(scope), origins)
        return made

    def _origins(self, name: str, scope: Sequence[str], values: Mapping[str, Any]) -> dict[str, Statement]:
        """The statement that each value comes from: gin takes the one of the innermost scope."""
        found: dict[str, Statement] = {}
        for depth in range(len(scope) + 1):
            prefix = "/".join(scope[:depth])
            for key in values:
                if (prefix, name, key) in self.table:
                    found[key] = self.table[prefix, name, key]
        return found

    def _consume(self, statements: Any) -> None:
        """Mark statements, and the macros that their values use, as consumed."""
        frontier = list(statements)
        while frontier:
            statement = frontier.pop()
            self.consumed.add(key_of(statement))
            for used in walk(statement.value):
                macro = self._macro(used)
                if macro is not None and key_of(macro) not in self.consumed:
                    frontier.append(macro)

    def _macro(self, used: Reference | MacroUse) -> Statement | None:
        if not isinstance(used, MacroUse):
            return None
        scope, _, name = used.name.rpartition("/")
        return self.table.get((scope, name, ""))

    def _check_given(self, cls: type[Component], given: Mapping[str, Any], origins: Mapping[str, Statement]) -> None:
        for name, info in cls.model_fields.items():
            missing = name not in given and info.is_required()
            if not missing and given.get(name) is not self.required:
                continue
            where = origins[name].place if name in origins else self._place_of(cls.__name__)
            raise self._fail(
                UserError(
                    f"{cls.__name__}.{name} must be set: {info.description or 'it has no default'}",
                    where=str(where),
                    fix=f"Add a line `{cls.__name__}.{name} = VALUE`, or -b; it takes {_takes(info)}.",
                )
            )

    def _component_defaults(self, cls: type[Component], given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults that are components, built anew so that bindings of those components take effect."""
        built: dict[str, Any] = {}
        for name, info in cls.model_fields.items():
            if name not in given:
                default = info.get_default(call_default_factory=True, validated_data={})
                fresh = self._rebuilt(default)
                if fresh is not default:
                    built[name] = fresh
        return built

    def _rebuilt(self, default: Any) -> Any:
        if isinstance(default, tuple) and any(isinstance(item, Component) for item in default):
            return tuple(self._rebuilt(item) for item in default)
        if not isinstance(default, Component) or type(default).__name__ not in COMPONENTS:
            return default
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fail(_endless(type(default).__name__, ""))
        self._fallbacks[type(default).__name__] = {name: getattr(default, name) for name in default.model_fields_set}
        made = self.evaluate(type(default).__name__)
        self._depth -= 1
        return made

    def _place_of(self, name: str) -> Place:
        """Where a component comes into the recipe: the statement that refers to it, else the first that binds it."""
        for statement in self.table.values():
            if any(isinstance(used, Reference) and used.name == name for used in walk(statement.value)):
                return statement.place
        return next((statement.place for statement in self.table.values() if statement.selector == name), Place(name))

    def _fail(self, error: UserError) -> UserError:
        self.failure = self.failure or error
        return error

    def endless(self) -> UserError:
        """The error for a component that contains itself."""
        for statement in self.table.values():
            for used in walk(statement.value):
                if isinstance(used, Reference) and used.name == statement.selector:
                    return _endless(used.name, str(statement.place))
        return _endless("A component", "")


def _endless(name: str, where: str) -> UserError:
    return UserError(f"{name} contains itself.", where=where, fix="Refer to another component.")


def _takes(info: FieldInfo) -> str:
    limits = describe_limits(info)
    slot = slot_of(info.annotation)
    choices = f": {', '.join(f'@{name}()' for name in fitting(slot))}" if slot else ""
    return describe_type(info.annotation) + (f", {limits}" if limits else "") + choices


def _validation_error(
    cls: type[Component], error: ValidationError, origins: Mapping[str, Statement], place: Place
) -> UserError:
    """The first complaint of pydantic as one error at the statement that caused it."""
    details = error.errors(include_url=False)
    first = details[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if name not in cls.model_fields:
        where = "\n".join(str(statement.place) for statement in origins.values()) or str(place)
        return UserError(
            f"{cls.__name__}: {_own_words(first)}",
            where=where,
            fix=f"See its fields with: hyprepro explain {cls.__name__}",
        )
    where = str(origins[name].place if name in origins else place)
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
    return f"takes {_takes(info)}, not {gin_text(value)}"


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

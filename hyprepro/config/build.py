"""Building components from bindings while remembering where every value came from.

A `Build` is one resolution. gin calls `Build.make` once for every `@Name()` it evaluates, with the values bound in the
current scope; the component is validated here, and a mistake is reported at the statement that made it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from hyprepro.component import COMPONENTS, Component
from hyprepro.config.lint import MacroUse, Place, Reference, Statement, takes, validation_error, walk
from hyprepro.errors import UserError

_DEEPEST = 40
MOST = 10_000
"""Components of a recipe; a few lines may name each other so that there are as many as there is memory for."""

Key = tuple[str, str, str]
"""Scope, component (or macro) name and field of a statement."""


def key_of(statement: Statement) -> Key:
    """What a statement sets."""
    return statement.scope, statement.selector, statement.field


def macro_of(used: Reference | MacroUse, table: Mapping[Key, Statement]) -> Statement | None:
    """The statement that defines a macro; None for a reference, and for gin's own constants."""
    if not isinstance(used, MacroUse):
        return None
    scope, _, name = used.name.rpartition("/")
    return table.get((scope, name, ""))


@dataclass(frozen=True)
class Node:
    """A built component with its scope and the statement behind each of its fields (absent for defaults).

    Where a field's value is a macro, the statement is the macro's.
    """

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
        if len(self.nodes) >= MOST:
            where = str(self._place_of(name))
            fix = (
                "Refer to fewer, or to the same ones: a component that refers to two, and these to two each, are many."
            )
            raise self._fail(UserError(f"The recipe has more than {MOST} components.", where=where, fix=fix))
        origins = self._origins(name, scope, values)
        self._consume(origins.values())
        given = {**self._fallbacks.pop(name, {}), **values}
        self._check_given(cls, given, origins)
        try:
            made = cls(**{**self._component_defaults(cls, given), **given})
        except ValidationError as error:
            places = {field: self._place(statement) for field, statement in origins.items()}
            raise self._fail(validation_error(cls, error, places, str(self._place_of(name)))) from error
        followed = {field: self._followed(statement) for field, statement in origins.items()}
        self.nodes[id(made)] = Node(made, "/".join(scope), followed)
        try:
            made.check()
        except UserError as error:
            where = "\n".join([error.where, *self._places_of_fields(error.where)])
            raise self._fail(UserError(error.what, where=where, closest=error.closest, fix=error.fix)) from None
        return made

    def _places_of_fields(self, text: str) -> list[str]:
        """Where the fields that a text names as `Component.field` were set, each place once."""
        named = re.findall(r"(\w+)\.(\w+)", text)
        found = [
            str(node.origins[field].place)
            for name, field in named
            for node in self.nodes.values()
            if type(node.component).__name__ == name and field in node.origins
        ]
        return list(dict.fromkeys(found))

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
                macro = macro_of(used, self.table)
                if macro is not None and key_of(macro) not in self.consumed:
                    frontier.append(macro)

    def _followed(self, statement: Statement) -> Statement:
        """The statement that holds the value: the macro's where the value is a macro."""
        macro = macro_of(statement.value, self.table)
        return self._followed(macro) if macro else statement

    def _place(self, statement: Statement) -> str:
        """The place of a binding, and that of the macro which it uses."""
        followed = self._followed(statement)
        return str(statement.place) if followed is statement else f"{statement.place}\n{followed.place}"

    def _check_given(self, cls: type[Component], given: Mapping[str, Any], origins: Mapping[str, Statement]) -> None:
        for name, info in cls.model_fields.items():
            missing = name not in given and info.is_required()
            if not missing and given.get(name) is not self.required:
                continue
            where = self._place(origins[name]) if name in origins else self._place_of(cls.__name__)
            raise self._fail(
                UserError(
                    f"{cls.__name__}.{name} must be set: {info.description or 'it has no default'}",
                    where=str(where),
                    fix=f"Add a line `{cls.__name__}.{name} = VALUE`, or -b; it takes {takes(info)}.",
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

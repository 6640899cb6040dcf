"""Checks of parsed gin statements that gin itself does not make, or makes without saying where.

gin accepts a binding in a scope that nothing uses, reports an undefined macro without file or line, and takes a
reference without its brackets for a value. Each check here raises a `UserError` that names the file, the line, the
closest valid name and the command that lists the valid ones. The same is done for what pydantic says about a wrong
value. This module knows statements, not gin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hyprepro.component import COMPONENTS, Component
from hyprepro.config.describe import describe_limits, describe_type, fitting, gin_text, slot_of
from hyprepro.errors import UserError, closest_match

REQUIRED = "gin.REQUIRED"
DEEPEST = 50
"""Values within values, scopes within scopes and files that include files may be so deep."""
MOST_VALUES = 100_000
"""A binding may hold so many, those of its macros included: each macro may hold another one several times."""
LARGEST = 2**63
"""Whole numbers are below this: what counts with them may turn them into other kinds of numbers."""
_SHOWN = 300
"""So much of a line is shown."""


@dataclass(frozen=True)
class Place:
    """Where a statement stands: a file and line, or the n-th `-b` of the command line."""

    source: str
    line: int = 0
    text: str = ""
    shipped: bool = False

    @property
    def short(self) -> str:
        """`gin/recipes/table1.gin:12`, or `-b #1`."""
        return f"{self.source}:{self.line}" if self.line else self.source

    def __str__(self) -> str:
        """The place with the line that stands there, or its beginning."""
        text = self.text.strip()
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... ({len(text)} characters)"
        return f"{self.short}: {shown}" if shown else self.short


@dataclass(frozen=True)
class Reference:
    """`@scope/Name()` as a value; `evaluated` is False without the brackets."""

    scope: str
    name: str
    evaluated: bool

    def __repr__(self) -> str:
        return "@" + "/".join(filter(None, (self.scope, self.name))) + "()"


@dataclass(frozen=True)
class MacroUse:
    """`%NAME` as a value."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True)
class Statement:
    """One binding `scope/component.field = value`, or a macro `NAME = value` (its `field` is empty).

    `is_under` tells that its file was included under the scope, which the statement itself does not name.
    """

    scope: str
    selector: str
    field: str
    value: Any
    place: Place
    is_under: bool = False

    @property
    def is_macro(self) -> bool:
        """Whether this defines a macro."""
        return not self.field

    @property
    def target(self) -> str:
        """What the statement sets, as it is written."""
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.selector}" + (f".{self.field}" if self.field else "")


def walk(value: Any) -> Iterator[Reference | MacroUse]:
    """The references and macro uses inside a value, however deep."""
    return (each for each in _values_in(value) if isinstance(each, Reference | MacroUse))


def named(statement: Statement) -> Iterator[str]:
    """The components that a statement binds or refers to."""
    if not statement.is_macro:
        yield statement.selector
    yield from (used.name for used in walk(statement.value) if isinstance(used, Reference))


def lint(statements: Sequence[Statement]) -> None:
    """Check every statement, also those that later ones replace.

    Raises:
        UserError: for the first mistake found, in reading order.
    """
    macros = {statement.target for statement in statements if statement.is_macro}
    for statement in statements:
        _check_depth(statement)
    scopes = _used_scopes(statements)
    for statement in statements:
        if not statement.is_macro:
            _check_target(statement)
            _check_scope(statement, scopes)
        for used in walk(statement.value):
            if isinstance(used, Reference):
                _check_reference(used, statement)
            elif used.name != REQUIRED and used.name not in macros:
                closest = closest_match(used.name, macros)
                raise _refused(
                    statement,
                    f"The macro {used} is used and defined nowhere.",
                    f"Define it with a line `{used.name} = VALUE`, or with -b '{used.name}=VALUE'.",
                    f"%{closest}" if closest else "",
                )
    _check_repeats(statements)
    _check_sizes(statements, _macro_order(statements))


def _refused(statement: Statement, what: str, fix: str, closest: str = "") -> UserError:
    return UserError(what, where=str(statement.place), closest=closest, fix=fix)


RENAMED = {
    "DataSource": "MetaWorld",
    "ImportedData": "MetaWorld",
    "CheetahData": "CheetahVel",
    "VelocityRecipe": "Recipe",
    "VelocityCollection": "ParameterCollection",
    "VelocitySAC": "ParameterSAC",
    "VelocitySelection": "ParameterSelection",
    "VelocityTable": "ReturnTable",
    "VelocitiesFigure": "ReturnFigure",
    "GenHypRLVelocity": "GenHypRL",
    "GenHypRLVelocityWithoutHypFormer": "GenHypRLWithoutHypFormer",
    "VelocityExpert": "Expert",
    "VelocityAutoencoderCeiling": "AutoencoderCeiling",
    "NearestVelocity": "Retrieval",
    "VelocityInterpolation": "Interpolation",
    "VelocityParent": "Parent",
    "VelocityCloning": "ConditionedCloning",
    "DataSource.withheld": "Recipe.withheld",
    "ImportedData.withheld": "Recipe.withheld",
    "Recipe.data": "Recipe.domain",
    "LatentRecipe.data": "LatentRecipe.domain",
    "Recipe.stepper": "MetaWorld.stepper",
    "VelocityCollection.first": "CheetahVel.first",
    "VelocityCollection.last": "CheetahVel.last",
    "VelocityRecipe.data": "Recipe.domain",
    "VelocityRecipe.first": "CheetahVel.first",
    "VelocityRecipe.last": "CheetahVel.last",
    "VelocityRecipe.starts": "CommonStarts.starts",
    "VelocityRecipe.base_seed": "CommonStarts.base_seed",
    "MetaWorld.withheld": "Recipe.withheld",
}
"""What components and fields of earlier releases are called now."""


def _check_target(statement: Statement) -> None:
    """The component and the field of a binding exist."""
    name, field = statement.selector, statement.field
    if name not in COMPONENTS:
        raise unknown_component(name, str(statement.place), field)
    known = COMPONENTS[name].model_fields
    if field not in known:
        closest = RENAMED.get(f"{name}.{field}") or closest_match(field, known)
        fix = f"See its fields with: hyprepro explain {name}"
        raise _refused(statement, f"{name} has no field {field!r}.", fix, closest)


def unknown_component(name: str, where: str, field: str = "") -> UserError:
    """The error for a component that does not exist, of which a field was bound."""
    now = RENAMED.get(name, "")
    if now and field:
        now = RENAMED.get(f"{name}.{field}", f"{now}.{field}")
    return UserError(
        f"There is no component named {name!r}.",
        where=where,
        closest=now or closest_match(name.rsplit(".", 1)[-1], COMPONENTS),
        fix="List the components by slot with: hyprepro list",
    )


def nothing_consumes(statement: Statement, reason: str, closest: str = "") -> UserError:
    """The error for a user's binding that changed nothing."""
    what = f"Nothing consumes the binding of {statement.target}: {reason}."
    fix = "Remove it, or bind the component into the recipe; `hyprepro explain RECIPE` shows what a recipe uses."
    return _refused(statement, what, fix, closest)


def _used_scopes(statements: Iterable[Statement]) -> set[str]:
    """Every scope that a reference opens, with the scopes around it."""
    found: set[str] = set()
    for statement in statements:
        for used in walk(statement.value):
            if isinstance(used, Reference) and used.scope:
                parts = used.scope.split("/")
                found |= {"/".join(parts[: count + 1]) for count in range(len(parts))}
    return found


def _check_scope(statement: Statement, scopes: set[str]) -> None:
    if not statement.scope or statement.scope in scopes:
        return
    example = closest_match(statement.scope, scopes) or min(scopes, default="")
    listed = f"The scopes in use are: {', '.join(sorted(scopes))}." if scopes else "No reference here opens a scope."
    raise _refused(
        statement,
        f"No reference uses the scope {statement.scope!r}, so this binding would do nothing.",
        f"{listed} Drop the scope, or refer to @{statement.scope}/{statement.selector}() somewhere.",
        f"{example}/{statement.selector}.{statement.field}" if example else "",
    )


def _check_reference(used: Reference, statement: Statement) -> None:
    if used.name not in COMPONENTS:
        info = None if statement.is_macro else field_of(f"{statement.selector}.{statement.field}")
        slot = slot_of(info.annotation) if info else None
        options = fitting(slot) if slot else []
        closest = RENAMED.get(used.name) or closest_match(used.name, options) or closest_match(used.name, COMPONENTS)
        takes = f"{statement.target} takes: {', '.join(f'@{name}()' for name in options)}. " if slot else ""
        raise _refused(
            statement,
            f"There is no component named {used.name!r} to refer to.",
            f"{takes}List all components with: hyprepro list",
            f"@{closest}()" if closest else "",
        )
    if not used.evaluated:
        what = f"The reference {str(used).removesuffix('()')} lacks its brackets."
        raise _refused(statement, what, f"Write {statement.target} = {used}", str(used))


def _check_repeats(statements: Iterable[Statement]) -> None:
    """Refuse two settings of one thing in one file: gin would let the later one win in silence."""
    first: dict[tuple[str, str], Statement] = {}
    for statement in statements:
        if not statement.place.line:
            continue
        earlier = first.setdefault((statement.place.source, statement.target), statement)
        if earlier.place.line != statement.place.line:
            raise UserError(
                f"{statement.target} is set twice in one file.",
                where=f"{earlier.place}\n{statement.place}",
                fix="Keep one of the two lines.",
            )


def _check_depth(statement: Statement) -> None:
    """Scopes are not deeper than anybody writes them, and whole numbers not larger."""
    scopes = (statement.scope, *(used.scope for used in walk(statement.value) if isinstance(used, Reference)))
    if any(scope.count("/") >= DEEPEST for scope in scopes):
        raise _refused(statement, f"Scopes are nested more than {DEEPEST} deep.", "Use one scope, or a few.")
    if any(isinstance(value, int) and abs(value) >= LARGEST for value in _values_in(statement.value)):
        raise _refused(statement, "A whole number does not fit into 64 bits.", "Give a smaller one.")


def _values_in(value: Any) -> Iterator[Any]:
    """The values inside a value, however deep."""
    if isinstance(value, dict):
        value = [each for pair in value.items() for each in pair]
    if isinstance(value, list | tuple):
        for item in value:
            yield from _values_in(item)
    else:
        yield value


def _check_sizes(statements: Iterable[Statement], macros: Iterable[Statement]) -> None:
    """With their macros replaced by what they hold, values are neither huge nor deep; macros come before their uses."""
    sizes: dict[str, tuple[int, int]] = {}

    def measured(value: Any) -> tuple[int, int]:
        """How many values there are inside a value, and how deep."""
        if isinstance(value, MacroUse):
            return sizes.get(value.name, (1, 0))
        if isinstance(value, dict):
            value = [*value, *value.values()]
        if not isinstance(value, list | tuple):
            return 1, 0
        inside = [measured(item) for item in value]
        return 1 + sum(size for size, _ in inside), 1 + max((depth for _, depth in inside), default=0)

    def checked(statement: Statement) -> tuple[int, int]:
        size, depth = measured(statement.value)
        if depth > DEEPEST or size > MOST_VALUES:
            what = f"{statement.target} holds more than {MOST_VALUES} values, or more than {DEEPEST} deep."
            raise _refused(statement, what, "Look at the macros that it uses.")
        return size, depth

    for macro in macros:
        size, depth = checked(macro)
        sizes[macro.target] = size, depth + 1  # a chain of macros is as deep as it is long
    for statement in statements:
        checked(statement)


def _macro_order(statements: Iterable[Statement]) -> list[Statement]:
    """The macros in force, each after those that it uses.

    Raises:
        UserError: One refers to itself.
    """
    values = {statement.target: statement for statement in statements if statement.is_macro}
    uses = {
        name: {used.name for used in walk(each.value) if isinstance(used, MacroUse)} for name, each in values.items()
    }
    try:
        return [values[name] for name in TopologicalSorter(uses).static_order() if name in values]
    except CycleError as error:
        name = min(error.args[1])
        raise _refused(values[name], f"The macro %{name} refers to itself.", "Give it a value of its own.") from None


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
        fix = f"See its fields with: hyprepro explain {cls.__name__}"
        return UserError(f"{cls.__name__}: {_own_words(first)}", where=where, fix=fix)
    more = f" ({len(details) - 1} more after this one)" if len(details) > 1 else ""
    info = cls.model_fields[name]
    closest, hint = _hint(first, info)
    return UserError(
        f"{cls.__name__}.{name} {_complaint(first, info)}.{more}",
        where=places.get(name, place),
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
        kind = type(value)
        return f"takes {describe_type(info.annotation)}, and @{kind.__name__}() is of the slot {kind.slot}"
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


def field_of(target: str) -> FieldInfo | None:
    """The field that `scope/Component.field` names, if there is one."""
    selector, _, name = target.rpartition("/")[2].rpartition(".")
    return COMPONENTS[selector].model_fields.get(name) if selector in COMPONENTS else None

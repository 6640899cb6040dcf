"""What knows gin, with `config.parse` alone: it resolves a recipe's gin files into plain, validated, frozen components.

gin is a process-wide notebook: bindings pile up, scopes that nothing uses are accepted, types are not checked and
mistakes are reported without a place. So a resolution here (1) has every statement parsed together with its file and
line (`config.parse`), (2) checks them (`config.lint`), (3) hands them to gin, which evaluates references, macros and
scopes, (4) builds the components through factories that remember where every value came from (`config.build`), (5)
reports what nothing consumed, and (6) leaves gin as it was found.

Files apply in the order recipe, variant, scale, user files, bindings; the later wins. A scale that nobody asked for
leaves alone what a recipe of the user's own binds; one that was asked for replaces it, and `Resolved.replaced` says so,
as of a variant. An `include` is looked up beside the including file, in the shipped tree, and in the working folder.
`include 'variants/paper.gin under paper'` puts every binding of a file under a scope, so that a whole file describes
one row of a table; a scale replaces what such a file sets, as it does for `--variant`. `import package.module` in a gin
file makes the components of a module of the user's available: one that lies beside the gin file, or one that Python
finds.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hyprepro.component import COMPONENTS, Component
from hyprepro.config import files
from hyprepro.config.build import Build, Key, Node, key_of, macro_of
from hyprepro.config.catalogue import is_loaded, load_components
from hyprepro.config.describe import gin_text
from hyprepro.config.flags import own_keys, replaced_by, with_flag
from hyprepro.config.lint import (
    MacroUse,
    Place,
    Reference,
    Statement,
    lint,
    nothing_consumes,
)
from hyprepro.config.operative import operative_config, origins
from hyprepro.config.parse import IMPORTED, begin, binding_statements, file_statements, gin
from hyprepro.errors import UserError, closest_match

_LOCK = threading.RLock()  # gin's state is one for the whole process
_REGISTERED: set[str] = set()
_BUILDS: list[Build] = []


@dataclass(frozen=True)
class Resolved:
    """A recipe with all its values.

    Args:
        recipe: The root component.
        operative_config: A gin file with every value, from which the same recipe resolves again.
        origins: Where each value was set, by its path in the tree: a file and line, a flag, or "default".
        nodes: The built components of the tree with scope and statements, by `id`.
        replaced: What the variant or scale that was asked for replaces of a recipe of the user's own, a line each.
    """

    recipe: Component
    operative_config: str
    origins: dict[str, str]
    nodes: dict[int, Node]
    replaced: tuple[str, ...] = ()


def resolve(
    recipe: str | Path,
    scale: str | None = None,
    variant: str | None = None,
    bindings: Sequence[str] = (),
    files_: Sequence[str | Path] = (),
    *,
    seeds: int | None = None,
    root: str | None = None,
    slot: str = "recipe",
    default_scale: str | None = None,
) -> Resolved:
    """Resolve a recipe.

    Args:
        recipe: The name of a shipped recipe, or the path of a gin file.
        scale: A shipped scale ("smoke", "desktop", "paper") or the path of a gin file; None adds none.
        variant: A shipped variant ("paper", "released", "ours") or the path of a gin file; None adds none.
        bindings: Bindings as on the command line: `Component.field=value`.
        files_: Gin files of the user, applied after scale and variant.
        seeds: Replaces the recipe's number of seeds.
        root: The component that the files describe; None: the kind of recipe that the recipe file names last.
        slot: With root None, the slot that the root fills: "recipe", or "collection" for the last kind that is bound.
        default_scale: The scale where none is given; it sets only what no file of the user's binds.

    Raises:
        UserError: for every mistake in a name, a file or a binding.
    """
    with _LOCK:
        once = partial(_resolve, recipe, scale, variant, bindings, files_, seeds, root, slot, default_scale)
        try:
            return once()
        except UserError:
            if is_loaded():
                raise
        load_components()  # a mistake is told by all that would have been right
        return once()


def bindings_of(path: Path) -> dict[str, str]:
    """Each line of a gin file that binds something, as gin writes it, and its place; includes in their places."""
    with _LOCK:
        load_components()
        begin()
        found = file_statements(path)
    return {f"{each.target} = {gin_text(each.value)}": each.place.short for each in found}


def _resolve(
    recipe: str | Path, scale: str | None, variant: str | None, bindings: Sequence[str], files_: Sequence[str | Path],
    seeds: int | None, root: str | None, slot: str, default_scale: str | None,
) -> Resolved:  # fmt: skip
    """See `resolve`; only what the statements name is imported."""
    begin()
    statements = file_statements(files.named_file("recipes", recipe))
    root = root or _root_of(statements, slot)
    asked = _flagged(_flagged(statements, root, "variant", variant), root, "scale", scale)
    replaced, statements = replaced_by(statements, asked), asked
    if scale is None:
        statements = _flagged(statements, root, "scale", default_scale, kept=own_keys(statements))
    user = [file_statements(files.user_file(name, "the gin file")) for name in files_]
    statements += [statement for group in user for statement in group]
    for number, text in enumerate(bindings, start=1):
        statements += binding_statements(text, f"-b #{number}")
    if seeds is not None:
        statements.append(Statement("", root, "seeds", seeds, Place("--seeds", text=str(seeds))))
    lint(statements)
    build = _evaluate(statements, root)
    _check_consumed(build, user)
    header = _header(recipe, scale or default_scale, variant, bindings, files_, seeds)
    return dataclasses.replace(_resolved(build, root, header), replaced=replaced)


def _root_of(statements: Sequence[Statement], slot: str) -> str:
    """The kind of recipe that a recipe file describes: the one whose name it binds, the last if it includes another.

    Of other slots, the kind that the file binds last.
    """
    kinds = [name for name, cls in COMPONENTS.items() if cls.slot == slot]
    bound = [
        each.selector for each in statements if each.selector in kinds and (slot != "recipe" or each.field == "name")
    ]
    if not bound and slot != "recipe":
        raise UserError(
            f"The file binds no {slot}.",
            where=statements[0].place.source if statements else "(empty)",
            fix=f"Bind a field of one of these: {', '.join(kinds)}",
        )
    return bound[-1] if bound else "Recipe"


def _flagged(
    statements: list[Statement], root: str, field: str, name: str | None, kept: Collection[Key] = ()
) -> list[Statement]:
    """A recipe's statements with its variant or scale, if one is named; see `with_flag`."""
    if name is None:
        return statements
    path = files.named_file(f"{field}s", name)
    flag = Statement("", root, field, path.stem, Place(f"--{field}", text=str(name), shipped=True))
    return with_flag(statements, file_statements(path), flag, kept)


def _header(
    recipe: Any, scale: Any, variant: Any, bindings: Sequence[str], files_: Sequence[Any], seeds: int | None
) -> str:
    parts = [str(recipe)]
    flags = {"scale": scale, "variant": variant, "seeds": seeds}
    parts += [f"--{name} {value}" for name, value in flags.items() if value is not None]
    parts += [f"-g {name}" for name in files_] + [f'-b "{text}"' for text in bindings]
    return f"Every value of: {' '.join(parts)}\nEach line names where its value was set."


def _resolved(build: Build, root: str, header: str) -> Resolved:
    recipe = next(node.component for node in reversed(build.nodes.values()) if type(node.component).__name__ == root)
    text = operative_config(recipe, build.nodes, header, IMPORTED)
    return Resolved(recipe, text, origins(recipe, build.nodes), build.nodes)


# Evaluation: gin builds the tree.


def _evaluate(statements: Sequence[Statement], root: str) -> Build:
    table: dict[Key, Statement] = {}
    for statement in statements:
        table.pop(key_of(statement), None)
        table[key_of(statement)] = statement
    if not any(selector == root for _, selector, _ in table):
        raise UserError(
            f"The recipe binds nothing of {root}.",
            where=statements[0].place.source if statements else "(empty)",
            fix=f"A recipe file binds {root}'s fields or includes a file that does; see gin/recipes/.",
        )
    build = Build(table, gin.REQUIRED, lambda name: gin.get_configurable(name)())
    with _isolated_gin():
        _register()
        for (scope, selector, field), statement in table.items():
            if field:
                gin.bind_parameter((scope, f"hyprepro.{selector}", field), _gin_value(statement.value, table))
        _BUILDS.append(build)
        try:
            gin.get_configurable(root)()
        except RecursionError:
            raise build.endless() from None
        except Exception:
            if build.failure is not None:
                raise build.failure from None
            raise
        finally:
            _BUILDS.pop()
    return build


def _register() -> None:
    """Offer every component to gin, once a process."""
    for name in COMPONENTS:
        if name not in _REGISTERED:
            gin.register(name, module="hyprepro")(_factory(name))
            _REGISTERED.add(name)


def _factory(name: str) -> Any:
    def make(**values: Any) -> Component:
        return _BUILDS[-1].make(name, gin.current_scope(), values)

    make.__name__ = make.__qualname__ = name
    return make


def _gin_value(value: Any, table: Mapping[Key, Statement]) -> Any:
    """A parsed value with references as gin's own objects.

    Macros are replaced by their final values here: gin would build what they hold in a scope of the macro's name, and
    report an undefined one without a place.
    """
    delegate = gin.config.ParserDelegate()
    if isinstance(value, Reference):
        scope = f"{value.scope}/" if value.scope else ""
        return delegate.configurable_reference(f"{scope}hyprepro.{value.name}", value.evaluated)
    if isinstance(value, MacroUse):
        macro = macro_of(value, table)
        return _gin_value(macro.value, table) if macro else delegate.macro(value.name)
    if isinstance(value, dict):
        return {_gin_value(key, table): _gin_value(item, table) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_gin_value(item, table) for item in value)
    return value


@contextmanager
def _isolated_gin() -> Iterator[None]:
    """An empty gin for the time of a resolution; what the surrounding program had configured comes back afterwards."""
    state = gin.config
    saved = {name: dict(getattr(state, name)) for name in ("_CONFIG", "_OPERATIVE_CONFIG", "_SINGLETONS")}
    imports, locked = set(state._IMPORTS), gin.config_is_locked()
    gin.clear_config()
    try:
        yield
    finally:
        gin.clear_config()
        for name, content in saved.items():
            getattr(state, name).update(content)
        state._IMPORTS.update(imports)
        state._set_config_is_locked(locked)


def _check_consumed(build: Build, user: Sequence[Sequence[Statement]]) -> None:
    """Every binding of the user's must have reached a component; a shipped file given with -g must have some effect."""
    for key, statement in build.table.items():
        if key not in build.consumed and not statement.place.shipped:
            raise nothing_consumes(statement, _reason(build, statement), _used_like(build, statement))
    for group in user:
        if group and not any(
            build.table.get(key_of(statement)) is statement and key_of(statement) in build.consumed
            for statement in group
        ):
            raise nothing_consumes(group[0], "nor does anything consume the other lines of its file")


def _reason(build: Build, statement: Statement) -> str:
    if statement.is_macro:
        return f"no binding in use refers to %{statement.target}"
    used = sorted({node.scope for node in build.nodes.values() if type(node.component).__name__ == statement.selector})
    if not used:
        return f"the recipe has no {statement.selector}"
    inner = [scope for scope in used if (scope, statement.selector, statement.field) in build.table]
    if inner:
        return f"{gin_text(build.table[inner[0], statement.selector, statement.field].target)} overrides it"
    return f"the recipe has {statement.selector} only in the scopes: {', '.join(scope or '(none)' for scope in used)}"


def _used_like(build: Build, statement: Statement) -> str:
    """A component of the recipe that fills the same slot as the one that was bound in vain."""
    if statement.is_macro:
        return closest_match(statement.target, (name for scope, name, field in build.consumed if not field))
    slot = COMPONENTS[statement.selector].slot
    names = sorted({type(node.component).__name__ for node in build.nodes.values() if node.component.slot == slot})
    return ", ".join(name for name in names if name != statement.selector)

"""Parsing of gin files and bindings: statements with their places, includes expanded, a user's modules imported."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util  # noqa: F401 - gin 0.5.0 uses it without importing it, which fails on Python 3.12 and later
import io
import re
import tokenize
from pathlib import Path
from typing import Any

import gin as _gin

from hyprepro.component import COMPONENTS
from hyprepro.config import files
from hyprepro.config.catalogue import component_modules, load, load_components
from hyprepro.config.describe import takes_text
from hyprepro.config.lint import (
    DEEPEST,
    MacroUse,
    Place,
    Reference,
    Statement,
    field_of,
    named,
    unknown_component,
)
from hyprepro.config.user_module import user_module
from hyprepro.errors import UserError

if not hasattr(_gin, "bind_parameter"):
    raise ImportError(
        "The installed 'gin' is not gin-config. Run: pip uninstall gin; pip install 'gin-config>=0.5,<0.6'"
    )

gin: Any = _gin  # it has no types, and type checkers take the folder gin/ beside the package for it
config_parser: Any = gin.config_parser
IMPORTED: list[str] = []
"""Modules that the files of the resolution in progress import."""
INCLUDED: list[Path] = []
"""Files that they include, each as often as it is included."""
MOST_STATEMENTS = 20_000
"""Of all files of a resolution; the largest shipped recipe has some hundred."""
MOST_INCLUDES = 1_000
_UNDER = re.compile(r"(?P<file>.+\.gin) under (?P<scope>\w+)")


def begin() -> None:
    """Forget what earlier resolutions imported and included."""
    IMPORTED.clear()
    INCLUDED.clear()


class _Delegate(config_parser.ParserDelegate):  # type: ignore[misc]
    """Keeps references and macro uses as plain data."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        scope, _, name = scoped_configurable_name.rpartition("/")
        return Reference(scope, name, evaluate)

    def macro(self, macro_name: str) -> MacroUse:
        return MacroUse(macro_name)


class _Parser(config_parser.ConfigParser):  # type: ignore[misc]
    """gin's parser, which calls itself for a value in a value, as deep as we let it."""

    _depth = 0

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except TypeError:  # {[]: 1}, and 'a' b'b'
            self._raise_syntax_error("a key of a dictionary is no plain value, or text and bytes are joined")

    def parse_value(self) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            self._raise_syntax_error(f"values are nested more than {DEEPEST} deep")
        value = super().parse_value()
        self._depth -= 1
        return value

    def _maybe_parse_basic_type(self) -> tuple[bool, Any]:
        """Texts in a row are one text; gin's own way takes a time that grows with the square of their number."""
        if self._current_token.type != tokenize.STRING:
            found: tuple[bool, Any] = super()._maybe_parse_basic_type()
            return found
        parts: list[Any] = []
        while self._current_token.type == tokenize.STRING:
            text = self._current_token.string
            try:
                parts.append(ast.literal_eval(text))
            except Exception as error:
                self._raise_syntax_error(f"{error}\n    Failed to parse token '{text}'")
            self._advance()
        return True, type(parts[0])().join(parts)


def file_statements(path: Path, including: tuple[Path, ...] = ()) -> list[Statement]:
    """The statements of a file, with those of the files it includes in their places.

    Raises:
        UserError: for every mistake in them, and for more of them than anybody writes.
    """
    if path in including:
        chain = " -> ".join(files.display(file) for file in (*including, path))
        raise UserError("A gin file includes itself.", where=chain, fix="Remove one of these include lines.")
    INCLUDED.append(path)
    if len(including) >= DEEPEST or len(INCLUDED) > MOST_INCLUDES:
        raise UserError(
            f"Gin files include each other more than {DEEPEST} deep."
            if len(including) >= DEEPEST
            else f"More than {MOST_INCLUDES} gin files are included.",
            where=" -> ".join(map(files.display, (*including[-2:], path))),
            fix="Put their lines into fewer files, and include each once.",
        )
    return _parse(files.read(path), files.display(path), path, (*including, path))


def _included_statements(
    name: str, includer: Path | None, where: Place, including: tuple[Path, ...]
) -> list[Statement]:
    """The statements of an included file, under a scope if the include names one: `'file.gin under scope'`."""
    under = _UNDER.fullmatch(name)
    statements = file_statements(files.included_file(under["file"] if under else name, includer, str(where)), including)
    if not under:
        return statements
    for statement in statements:
        if statement.is_macro or statement.scope:
            raise UserError(
                f"{statement.target} cannot stand in a file that is included under a scope.",
                where=f"{where}\n{statement.place}",
                fix=f"Include a file without macros and scopes, or bind the field: {under['scope']}/Component.field.",
            )
    return [dataclasses.replace(statement, scope=under["scope"], is_under=True) for statement in statements]


def binding_statements(text: str, source: str) -> list[Statement]:
    """The statements of a binding as on the command line; `source` says where it stands."""
    if "=" not in text and not text.lstrip().startswith("include"):
        raise UserError(
            f"{text!r} is not a binding.",
            where=source,
            fix="Write -b 'Component.field=value', for instance -b 'Recipe.seeds=2'",
        )
    return _parse(text, source, None, ())


def _parse(text: str, source: str, path: Path | None, including: tuple[Path, ...]) -> list[Statement]:
    shipped = path is not None and files.is_shipped(path)

    def place(location: Any) -> Place:
        return Place(source, location.line_num if path else 0, location.line_content, shipped)

    found: list[Statement] = []
    try:
        for parsed in _Parser(io.StringIO(text), _Delegate()):
            where = place(parsed.location)
            if len(found) > MOST_STATEMENTS:
                raise UserError(
                    f"There are more than {MOST_STATEMENTS} bindings.", where=str(where), fix="Bind what is needed."
                )
            if isinstance(parsed, config_parser.BindingStatement):
                found.append(Statement(parsed.scope, parsed.selector, parsed.arg_name, parsed.value, where))
            elif isinstance(parsed, config_parser.IncludeStatement):
                found += _included_statements(parsed.filename, path, where, including)
            elif isinstance(parsed, config_parser.ImportStatement):
                _import(parsed, path, where)
            elif parsed.selector not in COMPONENTS | component_modules():
                raise unknown_component(parsed.selector, str(where))
    except SyntaxError as error:
        place_of_error = Place(source, error.lineno or 0 if path else 0, (error.text or "").rstrip("\n"))
        raise _syntax_error(error.msg, place_of_error) from error
    except tokenize.TokenError as error:
        bracket = _open_bracket_line(text)
        line = bracket or int(error.args[1][0])
        message = "a bracket is never closed" if bracket else str(error.args[0])
        content = "".join(text.split("\n")[line - 1 : line])  # what a last backslash continues lies below the text
        raise _syntax_error(message, Place(source, line if path else 0, content)) from error
    load(name for statement in found for name in named(statement))
    return found


def _import(statement: Any, path: Path | None, where: Place) -> None:
    """Import a module of the user's that offers components: one beside the gin file, or one that Python finds."""
    if statement.is_from or statement.alias:
        raise UserError(
            "Only `import package.module` is understood here.", where=str(where), fix="Write it in that form."
        )
    load_components()  # so that none of the user's takes the name of one of ours
    user_module(statement.module, path.parent if path else Path.cwd(), str(where))
    if str(statement.module) not in IMPORTED:
        IMPORTED.append(str(statement.module))


def _syntax_error(message: str, place: Place) -> UserError:
    """The error for a line that cannot be parsed; `message` is the parser's."""
    if "=" in place.text and ("Failed to parse token" in message or _wants_quotes(place.text)):
        return _bare_word(place)
    detail = message.splitlines()[0].rstrip(".") if message else "it cannot be parsed"
    return UserError(
        f"This is not a gin statement: {detail[0].lower()}{detail[1:]}.",
        where=str(place),
        fix="A binding reads `Component.field = value`; values are 1.5, 'text', (1, 2), True, None or @Component().",
    )


def _wants_quotes(line: str) -> bool:
    """Whether a line that cannot be parsed binds an unquoted text, such as a path, to a field that takes text."""
    target, _, value = (part.strip() for part in line.partition("="))
    info = field_of(target)
    return info is not None and takes_text(info.annotation) and not value.startswith(("'", '"', "(", "[", "@", "%"))


def _bare_word(place: Place) -> UserError:
    """The error for a value that is neither a literal nor a reference, with the line as it was probably meant."""
    target, _, value = (part.strip() for part in place.text.partition("="))
    value = value.split("#")[0].strip()
    name = value.removesuffix("()")
    python = {"true": "True", "false": "False", "none": "None", "null": "None"}.get(value.lower())
    info = field_of(target)
    if name in COMPONENTS:
        meant, advice = f"@{name}()", "A component is written as a reference"
    elif python:
        meant, advice = python, "Python's spelling is asked for"
    elif re.fullmatch(r"[^'\"()\[\]{}@%,=*+]+", value) and (info is None or takes_text(info.annotation)):
        meant, advice = f"'{value}'", "Strings need quotes"
    else:
        meant, advice = "", "Values are literals: a number, a 'string', a tuple, True, None or @Component()"
    line = f'-b "{target}={meant}"' if place.source.startswith("-b") else f"{target} = {meant}"
    example = f": write {line}" if meant else "."
    return UserError(f"The value {value} is not a literal.", where=str(place), closest=meant, fix=advice + example)


def _open_bracket_line(text: str) -> int:
    """The line of the innermost bracket that is never closed; 0 if there is none."""
    open_lines: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.string in "([{" and token.type == tokenize.OP:
                open_lines.append(token.start[0])
            elif token.string in ")]}" and token.type == tokenize.OP and open_lines:
                open_lines.pop()
    except tokenize.TokenError:
        return open_lines[-1] if open_lines else 0
    return 0

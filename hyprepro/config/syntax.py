"""Lines that are no gin statement: what is wrong with them, and the line as it was probably meant."""

from __future__ import annotations

import io
import re
import tokenize

from pydantic.fields import FieldInfo

from hyprepro.config.describe import takes_text
from hyprepro.config.lint import Place
from hyprepro.errors import UserError
from hyprepro.recipe import COMPONENTS


def syntax_error(message: str, place: Place) -> UserError:
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
    info = _field(target)
    return info is not None and takes_text(info.annotation) and not value.startswith(("'", '"', "(", "[", "@", "%"))


def _field(target: str) -> FieldInfo | None:
    """The field that `scope/Component.field` names, if there is one."""
    selector, _, name = target.rpartition("/")[2].rpartition(".")
    return COMPONENTS[selector].model_fields.get(name) if selector in COMPONENTS else None


def _bare_word(place: Place) -> UserError:
    """The error for a value that is neither a literal nor a reference, with the line as it was probably meant."""
    target, _, value = (part.strip() for part in place.text.partition("="))
    value = value.split("#")[0].strip()
    name = value.removesuffix("()")
    python = {"true": "True", "false": "False", "none": "None", "null": "None"}.get(value.lower())
    info = _field(target)
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


def open_bracket_line(text: str) -> int:
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

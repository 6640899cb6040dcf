"""The deviations page: disputed points by variant, and what docstrings that quote the paper say of our choices."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from generated_components import escaped

from hyprepro.component import COMPONENTS
from hyprepro.config import files
from hyprepro.config.describe import describe_fields
from hyprepro.config.registry import bindings_of

VARIANTS = ("paper", "released", "ours")

DISPUTED = """| setting | paper | released | ours | what it is |
| --- | --- | --- | --- | --- |
"""

_LABEL = re.compile(r"(?:(?<=^)|(?<=\. )|(?<=\n))((?:Paper says|Released code does|We chose)\b[^:.\n]{0,24}[:.])")


class Statement(NamedTuple):
    """What one docstring says of the paper and of us."""

    where: str
    what: str
    text: str


def pages(root: Path) -> Iterator[tuple[str, str]]:
    """Two parts of the page: paths and Markdown."""
    yield "disputed.md", disputed()
    yield "statements.md", "\n\n".join(_section(each) for each in statements(root / "hyprepro")) + "\n"


def disputed() -> str:
    """Every setting that a variant binds, with its value in each of them, and what the setting is."""
    bound = [_bound(variant) for variant in VARIANTS]
    names = list(dict.fromkeys(name for bindings in bound for name in bindings))
    return DISPUTED + "\n".join(_disputed_row(name, [each.get(name) for each in bound]) for name in names) + "\n"


def _bound(variant: str) -> dict[str, str]:
    """What a variant binds, by setting."""
    pairs = (binding.split(" = ", 1) for binding in bindings_of(files.shipped("variants")[variant]))
    return {name: value for name, value in pairs}


def _disputed_row(name: str, values: Sequence[str | None]) -> str:
    component, _, field = name.partition(".")
    about = next(each for each in describe_fields(COMPONENTS[component]) if each.name == field)
    shown = " | ".join("" if value is None else f"`{value}`" for value in values)
    return f"| [{component}](components/{component}.md)`.{field}` | {shown} | {escaped(about.doc)} |"


def statements(package: Path) -> Iterator[Statement]:
    """The docstrings of modules and classes that quote the paper, file by file."""
    for path in sorted(package.rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        classes = [each for each in module.body if isinstance(each, ast.ClassDef)]
        nodes: list[ast.Module | ast.ClassDef] = [module, *classes]
        for node in nodes:
            first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
            text = "\n\n".join(part for part in rest.split("\n\n") if _LABEL.search(part))
            if text:
                inside = str(path.relative_to(package.parent))
                yield Statement(f"{inside}, {node.name}" if isinstance(node, ast.ClassDef) else inside, first, text)


def _section(statement: Statement) -> str:
    marked = _LABEL.sub(r"**\1**", escaped(_unhung(statement.text)))
    return f"### {escaped(statement.what)}\n\n`{statement.where}`\n\n{marked}"


def _unhung(text: str) -> str:
    """Text whose lines after a label are indented, with a paragraph a label; any other text as it is."""
    return re.sub(r"\n(?=\S)", "\n\n", re.sub(r"\n +", " ", text)) if "\n    " in text else text

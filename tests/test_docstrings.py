"""Every public method says what it does, itself or in a class of the package that it overrides a method of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import hyprepro

PACKAGE = Path(hyprepro.__file__).parent


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield str(path.relative_to(PACKAGE)), node


def bases(node: ast.ClassDef) -> set[str]:
    """The last words of a class's bases: `Stage` of `stage.Stage` and of `Stage[T]`."""
    return {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}


def documented(name: str, method: str, known: dict[str, list[ast.ClassDef]]) -> bool:
    return any(
        any(isinstance(each, ast.FunctionDef) and each.name == method and ast.get_docstring(each) for each in node.body)
        or any(documented(base, method, known) for base in bases(node) - {name})
        for node in known.get(name, ())
    )


def test_every_public_method_is_documented_where_it_is_first_declared() -> None:
    known: dict[str, list[ast.ClassDef]] = {}
    found = list(classes())
    for _, node in found:
        known.setdefault(node.name, []).append(node)
    silent = [
        f"{path}: {node.name}.{method.name}"
        for path, node in found
        if not node.name.startswith("_") and "Protocol" not in bases(node)
        for method in node.body
        if isinstance(method, ast.FunctionDef)
        and not method.name.startswith(("_", "visit_"))
        and not ast.get_docstring(method)
        and not any(documented(base, method.name, known) for base in bases(node) - {node.name})
    ]
    assert silent == []

"""A digest of the code behind a stage, so that edited code never passes for what an earlier version computed.

The digest covers the modules that define a stage and its components, and every module of the same package, or of
hyprepro, that these import, also inside functions. What cannot change a result does not count: comments, docstrings,
annotations of signatures, error messages, and the descriptions of settings.

Reading a module takes milliseconds, so what was read is remembered from process to process, for its very bytes: however
soon it is edited, it is read again.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hyprepro.engine.memory import Memory, sha256

PLUMBING = frozenset(
    f"hyprepro.{name}"
    for name in (
        "component",
        "errors",
        "engine.cache",
        "engine.executors",
        "engine.kept",
        "engine.memory",
        "engine.plan",
        "engine.ray",
        "engine.remote",
        "engine.schedule",
        "engine.slurm",
        "engine.source",
        "engine.stage",
    )
)
"""Modules that move results around without changing them."""


def source_digest(modules: Iterable[str]) -> str:
    """SHA-256 over the code of some modules and of all that they import from their own package and from hyprepro."""
    return _digest(frozenset(modules))


@cache
def _digest(modules: frozenset[str]) -> str:
    found: dict[str, str] = {}
    waiting = [_true_name(name) for name in modules]
    while waiting:
        name = waiting.pop()
        if name in found or name in PLUMBING or (path := _file_of(name)) is None:
            continue
        found[name], imported = _read(name, path)
        waiting += imported
    _memory().keep()
    return sha256(repr(sorted(found.items())).encode())


def _true_name(name: str) -> str:
    """`python -m package.module` runs a module under the name `__main__`."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec.name if spec is not None else name


def _file_of(name: str) -> Path | None:
    """The Python file of a module, looked up below its package without importing anything; None for anything else."""
    top, *rest = name.split(".")
    package = sys.modules.get(top)
    if package is None:
        return None
    if not rest and getattr(package, "__file__", None):
        return Path(str(package.__file__))
    return _below(tuple(getattr(package, "__path__", ())), tuple(rest))


@cache
def _below(folders: tuple[str, ...], parts: tuple[str, ...]) -> Path | None:
    """The Python file of a module of a package that lies in some folders."""
    for folder in folders:
        base = os.path.join(folder, *parts)
        for path in (f"{base}.py", os.path.join(base, "__init__.py")):
            if os.path.isfile(path):
                return Path(path)
    return None


@cache
def _read(name: str, path: Path) -> tuple[str, list[str]]:
    """The digest of one module's code, and the names of the modules of its package and of hyprepro that it imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    content, memory = path.read_bytes(), _memory()
    state = sha256(package.encode() + b"\n" + content)
    found = memory.recall(name, state)
    if found is None:
        found = _parsed(name, package, content)
        memory.remember(name, state, found)
    digest, imported = found
    return digest, [each for each in imported if each not in PLUMBING and _file_of(each) is not None]


def _parsed(name: str, package: str, content: bytes) -> tuple[str, list[str]]:
    essence = _Essence(package)
    tree = essence.visit(ast.parse(content))
    ours = {name.split(".")[0], "hyprepro"}  # a user's module, or a benchmark, rests on the package as well
    imported = [found for found in dict.fromkeys(essence.imported) if found.split(".")[0] in ours]
    return sha256(ast.dump(tree).encode()), imported


@cache
def _memory() -> Memory:
    """By the content of this module: an edit of it may read the same source differently."""
    return Memory.beside(__file__, sha256(Path(__file__).read_bytes()))


class _Essence(ast.NodeTransformer):
    """Removes from a module what cannot change a result, and notes what the rest imports.

    Args:
        package: The package that relative imports start from.
    """

    def __init__(self, package: str) -> None:
        self._package = package.split(".")
        self.imported: list[str] = []

    def visit_Import(self, node: ast.Import) -> ast.AST:
        self.imported += [alias.name for alias in node.names]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        parts = self._package[: len(self._package) - node.level + 1] if node.level else []
        base = ".".join([*parts, node.module] if node.module else parts)
        self.imported += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._bare(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._bare(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._bare(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(exc=None, cause=None)

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "setting":
            node.args = node.args[:1]
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ("doc", "source")]
        return self.generic_visit(node)

    def _bare(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> ast.AST:
        """Without strings that stand alone, as docstrings do."""
        node.body = [item for item in node.body if not _is_text(item)] or [ast.Pass()]
        return self.generic_visit(node)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

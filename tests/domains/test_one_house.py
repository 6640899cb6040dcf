"""A domain is one object: nothing outside its folder knows its name, its sizes or its horizon.

A module may only do so for one of the reasons below. Whoever adds a line here adds a second place to change with a
domain; the list must get shorter, and a line that nothing needs any more fails too.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hyprepro

PACKAGE = Path(hyprepro.__file__).resolve().parent
FOLDERS = ("domains/metaworld", "domains/cheetah_vel", "collectors")
"""The domains themselves, and the collectors, each of which makes the stores of one domain."""

KNOWN = {}
"""Why a module knows a domain."""

NAMES = re.compile(r"domains\.(metaworld|cheetah_vel)|METAWORLD_LAYOUT|CHEETAH_LAYOUT|velocity-|CheetahVel|MetaWorld")
SIZES = {39, 17, 117, 1020, 22_664, 6_092}
"""Numbers of an observation, a prompt and a policy that stand for one domain alone."""


def knows_a_domain(path: Path) -> list[str]:
    """What in a module's code, comments and docstrings apart, names a domain or is one of its sizes."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in texts:
            if isinstance(node.value, str) and NAMES.search(node.value):
                found.append(f"{node.lineno}: {node.value!r}")
            elif type(node.value) is int and node.value in SIZES:
                found.append(f"{node.lineno}: {node.value}")
        elif isinstance(node, ast.ImportFrom) and NAMES.search(f"{node.module} {' '.join(a.name for a in node.names)}"):
            found.append(f"{node.lineno}: from {node.module} import {', '.join(a.name for a in node.names)}")
        elif isinstance(node, ast.Import) and NAMES.search(" ".join(a.name for a in node.names)):
            found.append(f"{node.lineno}: import {', '.join(a.name for a in node.names)}")
    assert documented
    return found


MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if not path.relative_to(PACKAGE).as_posix().startswith(FOLDERS)
)

"""A domain is one object: nothing outside its folder knows its name, its sizes or its horizon.

A module may only do so for one of the reasons below. Whoever adds a line here adds a second place to change with a
domain; the list must get shorter, and a line that nothing needs any more fails too.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import hyprepro

PACKAGE = Path(hyprepro.__file__).resolve().parent
FOLDERS = ("domains/metaworld", "domains/cheetah_vel", "domains/dm_control", "collect/metaworld")
"""The domains themselves, and the collector that makes the stores of one."""

KNOWN = {
    "cli/exchange.py": "import-maa reads Make-An-Agent's files, which are of Meta-World",
    "collect/recheck.py": "runs Meta-World's policies on its own goals",
    "collect/sac/reference.py": "the default width of the reference is that of Meta-World's policies",
    "config/lint.py": "what components of earlier releases are called now",
    "methods/multitask/training.py": "multi-task SAC is trained in Meta-World's environments",
    "methods/decision_transformer/disturbed.py": "records rewards, which Meta-World's simulator leaves out",
    "policies/layout.py": "the layouts of both domains' policies, which the collectors share",
    "reports/records.py": "reads the older form of Cheetah-Vel's records",
    "stores/prompts.py": "the paper's prompt is defined in Meta-World's numbers",
    "stores/trajectory_store.py": "the sizes of a writer that is told none",
}
"""Why a module knows a domain."""

NAMES = re.compile(
    r"domains\.(metaworld|cheetah_vel|dm_control)|METAWORLD_LAYOUT|CHEETAH_LAYOUT|velocity-(\d|$)|CheetahVel|MetaWorld"
)
SIZES = {39, 17, 117, 1020, 22_664, 6_092}
"""Numbers of an observation, a prompt and a policy that stand for one domain alone."""


def knows_a_domain(path: Path) -> list[str]:
    """What in a module's code, comments and docstrings apart, names a domain or is one of its sizes."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), []
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            is_size = type(node.value) is int and node.value in SIZES
            if is_size or (isinstance(node.value, str) and NAMES.search(node.value)):
                found.append(f"line {node.lineno}: {node.value!r}")
        elif isinstance(node, ast.ImportFrom | ast.Import):
            text = ast.unparse(node)
            if NAMES.search(text):
                found.append(f"line {node.lineno}: {text}")
    return found


MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if not path.relative_to(PACKAGE).as_posix().startswith(FOLDERS)
)


@pytest.mark.parametrize("module", [name for name in MODULES if name not in KNOWN])
def test_a_module_knows_no_domain(module: str) -> None:
    assert not knows_a_domain(PACKAGE / module), "ask the domain: hyprepro/domains/base.py"


@pytest.mark.parametrize("module", KNOWN)
def test_an_exception_is_still_needed(module: str) -> None:
    assert knows_a_domain(PACKAGE / module), "take it off the list"


def test_what_is_looked_for_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text('"""Of velocity-1.200 and 39 numbers."""\nif task.startswith("velocity-") or size == 39: pass\n')
    assert len(knows_a_domain(path)) == 2

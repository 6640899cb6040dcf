"""A user's own module: found beside the gin file or on Python's path, and its mistakes shown as theirs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.component import COMPONENTS
from hyprepro.config.registry import resolve
from hyprepro.errors import UserError

MODULE = """from hyprepro.component import component, setting
from hyprepro.reports.report import Report


@component
class {name}(Report):
    \"\"\"A report of the user's.\"\"\"

    width: int = setting(3, "how wide")

    def markdown(self, result):
        return "# mine"
"""

RECIPE = """import {module}
include 'recipes/table1.gin'
Recipe.report = @{name}()
{name}.width = 7
"""


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    """Leave Python's path, its modules and the components as they were."""
    path, modules, components = list(sys.path), set(sys.modules), dict(COMPONENTS)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("own_"):
            del sys.modules[name]
    for name in set(COMPONENTS) - set(components):
        if COMPONENTS[name].__module__.startswith("own_"):
            del COMPONENTS[name]


def write(folder: Path, module: str, text: str, name: str = "OwnReport") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (folder / "mine.gin").write_text(RECIPE.format(module=module, name=name))
    return folder / "mine.gin"


@pytest.mark.parametrize("module", ["own_beside", "own_package.inner"])
def test_a_module_beside_the_gin_file_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    path = write(tmp_path / "mine", module, MODULE.format(name="OwnReport"))
    if "." in module:
        (tmp_path / "mine" / "own_package" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    found = resolve(path, "smoke")
    assert type(found.recipe.report).__name__ == "OwnReport"
    assert found.recipe.report.width == 7
    again = tmp_path / "mine" / "again.gin"
    again.write_text(found.operative_config)
    assert resolve(again).recipe == found.recipe


def test_a_module_on_pythons_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "lib", "own_on_path", MODULE.format(name="OwnReport"))
    monkeypatch.syspath_prepend(tmp_path / "lib")
    (tmp_path / "a.gin").write_text(RECIPE.format(module="own_on_path", name="OwnReport"))
    assert resolve(tmp_path / "a.gin", "smoke").recipe.report.width == 7


def test_a_module_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gin").write_text(RECIPE.format(module="own_nowhere", name="OwnReport"))
    with pytest.raises(UserError, match="no Python module named 'own_nowhere'") as refused:
        resolve(tmp_path / "a.gin", "smoke")
    assert "own_nowhere.py" in refused.value.fix
    assert "a.gin:1" in refused.value.where


RAISING = {
    "a mistake of its own": ("x = 1\n\ny = x / 0\n", "ZeroDivisionError: division by zero", 3),
    "bad syntax": ("x = 1\ndef f(:\n", "SyntaxError", 2),
    "a missing library": ("import own_library_that_is_missing\n", "No module named 'own_library_that_is_missing'", 1),
    "within a function": ("def f():\n    raise KeyError('a')\n\n\nf()\n", "KeyError: 'a'", 2),
    "an exit": ("raise SystemExit(3)\n", "SystemExit: 3", 1),
    "a component without a type": (
        MODULE.format(name="OwnReport").replace("width: int = ", "width = "),
        "requires a type annotation",
        6,
    ),
    "a name that is taken": (MODULE.format(name="Recipe"), "two components are named Recipe", 5),
    "an assertion": ("assert 1 == 2, 'never'\n", "AssertionError: never", 1),
}


@pytest.mark.parametrize("case", RAISING)
def test_a_module_that_raises_shows_its_last_line_and_place(tmp_path: Path, case: str) -> None:
    text, says, line = RAISING[case]
    path = write(tmp_path, "own_raising", text)
    done = CliRunner().invoke(app, ["run", str(path), "--scale", "smoke", "--dry-run"])
    assert done.exit_code == 2, done.output
    shown = "".join(done.output.replace("│", " ").split())
    assert "".join(says.split()) in shown
    assert f"own_raising.py:{line}" in shown
    assert "Traceback" not in done.output
    assert done.output.count("╭") == 1


@pytest.mark.parametrize("module", ["json", "hyprepro", "yaml"])
def test_a_module_with_the_name_of_another_is_refused(tmp_path: Path, module: str) -> None:
    path = write(tmp_path, module, MODULE.format(name="OwnReport"))
    with pytest.raises(UserError, match=f"Another module is named '{module}'"):
        resolve(path, "smoke")
    __import__(module)


def test_two_modules_of_one_name_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "own_twice", MODULE.format(name="OwnReport"))
    second = write(tmp_path / "b", "own_twice", MODULE.format(name="OtherReport"), "OtherReport")
    assert resolve(first, "smoke").recipe.report.width == 7
    with pytest.raises(UserError, match="Another module is named 'own_twice'") as refused:
        resolve(second, "smoke")
    assert str(tmp_path / "a" / "own_twice.py") in refused.value.where

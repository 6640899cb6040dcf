"""`hyprepro diff`: what two recipes or two results set differently, and how their numbers differ."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from hyprepro.cli import console
from hyprepro.cli.arguments import DEFAULT_SCALE, JsonOption
from hyprepro.errors import UserError

CONFIG = "config.json"
RESULT = "result.json"
_SIDE = "A recipe (table1), a recipe at a scale (table1@smoke), a gin file, or a result's folder."


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    json: JsonOption = False,
) -> None:
    """Show the values in which two recipes or results differ, and the numbers of two results side by side."""
    left, right = _settings(a), _settings(b)
    changed = {
        path: (left.get(path), right.get(path))
        for path in dict.fromkeys([*left, *right])
        if left.get(path) != right.get(path)
    }
    numbers = _numbers(a, b)
    if json:
        settings = [{"path": path, "a": values[0], "b": values[1]} for path, values in changed.items()]
        console.print_json({"settings": settings, "rows": numbers})
        return
    if not changed and not numbers:
        console.line(f"{a} and {b} do not differ.")
        return
    if changed:
        console.columns(
            [("setting", a, b), *((path, _shown(x), _shown(y)) for path, (x, y) in changed.items())], indent=0
        )
    if numbers:
        console.line()
        rows = [(_row_name(row), _shown(row["a"]), _shown(row["b"])) for row in numbers]
        console.columns([("number", a, b), *rows], indent=0)


def _settings(side: str) -> dict[str, Any]:
    """Every value of one side by its path."""
    folder = Path(side)
    if folder.is_dir() or folder.name in (RESULT, CONFIG):
        return _flat(_read(_folder(folder) / CONFIG))
    from hyprepro.registry import resolve

    recipe, _, scale = side.partition("@")
    return _flat(resolve(recipe, scale or DEFAULT_SCALE).recipe.described())


def _numbers(a: str, b: str) -> list[dict[str, Any]]:
    """The rows of two results whose values differ; nothing unless both sides are results."""
    found = []
    for side in (Path(a), Path(b)):
        if not side.exists() or not (_folder(side) / RESULT).is_file():
            return []
        rows = _read(_folder(side) / RESULT).get("rows", [])
        found.append({tuple(str(row.get(key)) for key in _KEYS): row.get("value") for row in rows})
    left, right = found
    keys = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
    return [{**dict(zip(_KEYS, key, strict=True)), "a": left.get(key), "b": right.get(key)} for key in keys]


_KEYS = ("method", "variant", "task", "split", "protocol", "metric", "statistic", "n_train")


def _folder(side: Path) -> Path:
    return side if side.is_dir() else side.parent


def _read(path: Path) -> Any:
    try:
        return json_module.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise UserError(
            f"There is no result to compare: {reason}.", where=str(path), fix="Make it with: hyprepro run RECIPE"
        ) from error
    except ValueError as error:
        raise UserError(
            "This result is damaged.", where=f"{path}: {error}", fix="Make it again with: hyprepro run RECIPE"
        ) from error


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested JSON as paths: {"methods": [{"component": "GenHypRL"}]} -> {"methods[0].component": "GenHypRL"}."""
    if isinstance(value, dict):
        items = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {name: leaf for key, item in items for name, leaf in _flat(item, key).items()}


def _shown(value: Any) -> str:
    return "-" if value is None else json_module.dumps(value)


def _row_name(row: dict[str, Any]) -> str:
    return " ".join(row[key] for key in _KEYS if key != "n_train" or row[key] != "None")

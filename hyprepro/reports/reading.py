"""Reading the files of a result that somebody else may have written: one validation for every command.

JSON itself has no NaN and no infinity; Python's reader takes both, and here neither passes, wherever it stands.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyprepro.errors import UserError
from hyprepro.reports.records import finite

RESULT = "result.json"
SCHEMA = 1
"""The form of a result.json that this version writes and reads."""
KEY = ("method", "minus", "variant", "split", "task", "protocol", "metric", "statistic", "n_train", "zoo")
"""What tells one number of a result from another."""
Key = tuple[str, ...]
MOST_BYTES = 100_000_000
"""Of a result.json; the largest committed one has three million."""
DEEPEST = 60
"""Levels of nesting; a recipe has about ten."""
MAKE = "Name the folder of a finished run, such as runs/table1/desktop, which is made by: hyprepro run table1"
AGAIN = "Fetch it again (git checkout restores a committed result), or make it again with: hyprepro run RECIPE"


def read_result(path: Path) -> dict[str, Any]:
    """Read a result.json.

    Raises:
        UserError: It is missing, not JSON, of a newer schema, or malformed.
    """
    data = read_json(path)
    found = problem(data)
    if found:
        raise UserError(f"The result is malformed: {found}.", where=str(path), fix=AGAIN)
    return data


def read_json(path: Path, missing: str = "There is no result here.", fix: str = MAKE) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
        path: The file.
        missing: What to say where there is none.
        fix: What to do then.

    Raises:
        UserError: It is missing, unreadable, no JSON object, nested without end, or holds NaN or an infinity.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, and at most {MOST_BYTES} are read")
        data = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=finite, parse_float=finite)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(missing, where=str(path), fix=fix) from None
    except OSError as error:
        raise UserError(
            "The result cannot be read.", where=f"{path}: {error.strerror or error}", fix="Name a readable result.json."
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise UserError(
            "The result cannot be read: the file is damaged.", where=f"{path}: {reason}", fix=AGAIN
        ) from None
    if not isinstance(data, dict):
        raise UserError("The result is malformed: it is not a JSON object.", where=str(path), fix=AGAIN)
    if _depth(data) > DEEPEST:
        raise UserError(
            f"The result is malformed: it is nested deeper than {DEEPEST} levels.", where=str(path), fix=AGAIN
        )
    return data


def read_text(path: Path) -> str:
    """A text to stand beside results.

    Raises:
        UserError: It is missing or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError("The text cannot be read.", where=f"{path}: {reason}", fix="Name a Markdown file.") from None


def _depth(data: Any) -> int:
    """Levels of nesting, counted without recursion and no further than one beyond the deepest that is allowed."""
    level, found = [data], 0
    while level and found <= DEEPEST:
        found += 1
        children = [
            each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        level = [item for child in children for item in child]
    return found


def problem(data: Mapping[str, Any]) -> str:
    """What is wrong with the content of a result.json, in a few words; empty if nothing is."""
    if data.get("schema") != SCHEMA or isinstance(data.get("schema"), bool):
        return f"its schema is {str(data.get('schema'))[:40]}, this version reads {SCHEMA}"
    from hyprepro.reports.form import problem_of_form

    found = problem_of_form(data)
    if found:
        return found
    keys = Counter(key_of(row) for row in (*data["rows"], *data.get("comparisons", ())))
    twice = next((key for key, count in keys.items() if count > 1), None)
    return "" if twice is None else f"one number stands twice: {' '.join(part for part in twice if part)}"


def stores_of(provenance: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a result records of its stores, by zoo; without zoos under an empty name."""
    stores: Mapping[str, Any] = provenance.get("stores", {})
    return dict(stores.get("zoos") or {"": stores})


def key_of(row: Mapping[str, Any], fields: Sequence[str] = KEY) -> Key:
    """What tells a row or comparison from every other one of its result."""
    return tuple("" if row.get(field) is None else str(row[field]) for field in fields)

"""Every mistake says what to do; nothing in the package raises one that does not."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import hyprepro
from hyprepro.errors import UserError, closest_match

PACKAGE = Path(hyprepro.__file__).parent


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Every call of `UserError` in the package, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UserError":
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def test_every_mistake_says_what_to_do() -> None:
    calls = dict(raised())
    assert len(calls) > 200, "the calls are found"
    for place, call in calls.items():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        assert "fix" in given or None in given, f"{place} does not say what to do"
        empty = isinstance(given.get("fix"), ast.Constant) and not ast.literal_eval(given["fix"])
        assert not empty, f"{place} says nothing"


def test_no_message_quotes_a_closest_match_that_may_be_empty() -> None:
    """A match belongs into `closest`, which no panel shows when it is empty; in a sentence it must be looked at."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Call):
                assert getattr(node.value.func, "id", "") != "closest_match", f"{path}:{node.lineno}"


def test_a_mistake_survives_the_way_from_a_worker() -> None:
    error = UserError("what", where="where", closest="closest", fix="do")
    copied = pickle.loads(pickle.dumps(error))
    assert copied.described() == error.described()
    assert copied.described() == {"what": "what", "where": "where", "closest": "closest", "do": "do"}


def test_what_is_not_near_is_no_match() -> None:
    assert closest_match("raech", ("reach", "door-open")) == "reach"
    assert closest_match("hammer", ("reach", "door-open")) == ""

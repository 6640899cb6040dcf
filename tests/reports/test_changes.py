from __future__ import annotations

import json
from typing import Any

from hyprepro.reports.changes import Departure, differences, gin, labelled, shown

SGD = {"component": "SGD", "rate": 0.1}
ADAM = {"component": "Adam", "rate": 0.1, "betas": [0.9, 0.99]}


def recipe(*methods: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"component": "Recipe", "methods": list(methods), "seeds": 3, **more}


def method(name: str, row: str = "", **more: Any) -> dict[str, Any]:
    return {"component": name, "row": row, **more}


def found(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(each.path, each.one, each.other) for each in differences(one, other)]


def test_equal_recipes_do_not_differ() -> None:
    one = recipe(method("A", optimiser=SGD))
    assert found(one, json.loads(json.dumps(one))) == []


def test_plain_values_have_paths_and_the_names_that_bindings_use() -> None:
    one, other = recipe(method("A", optimiser=SGD)), recipe(method("A", optimiser={**SGD, "rate": 0.2}), seeds=1)
    assert [(each.path, each.setting) for each in differences(one, other)] == [
        ("methods[A].optimiser.rate", "SGD.rate"),
        ("seeds", "Recipe.seeds"),
    ]


def test_a_swapped_part_is_one_difference() -> None:
    one, other = recipe(method("A", optimiser=SGD)), recipe(method("A", optimiser=ADAM))
    assert found(one, other) == [("methods[A].optimiser", SGD, ADAM)]
    assert found(one, recipe(method("A", optimiser=None))) == [("methods[A].optimiser", SGD, None)]


def test_parts_are_matched_by_name() -> None:
    one, other = recipe(method("A"), method("B"), method("C")), recipe(method("D"), method("A"), method("C", steps=3))
    assert found(one, other) == [
        ("methods[B]", method("B"), None),
        ("methods[C].steps", None, 3),
        ("methods[D]", None, method("D")),
    ]


def test_rows_of_one_component_are_told_apart_by_their_own_names() -> None:
    parts = [method("A", "small"), method("A"), method("A"), method("B")]
    assert list(labelled(parts)) == ["small", "A", "A#2", "B"]
    one, other = recipe(*parts), recipe(parts[3], *parts[:3])
    ((path, before, after),) = found(one, other)
    assert path == "methods (order)"
    assert (before, after) == (["small", "A", "A#2", "B"], ["B", "small", "A", "A#2"])


def test_a_departure_names_a_shared_part_once_with_every_place() -> None:
    one = recipe(method("A", optimiser=SGD), method("B", optimiser=SGD), method("C", optimiser=None))
    other = recipe(method("A", optimiser=ADAM), method("B", optimiser=ADAM), method("C", optimiser=SGD), seeds=1)
    departure = Departure.of("table1 --scale smoke", one, other)
    assert [(change.settings, change.paths) for change in departure.changes] == [
        (("A.optimiser", "B.optimiser"), ("methods[A].optimiser", "methods[B].optimiser")),
        (("C.optimiser",), ("methods[C].optimiser",)),
        (("Recipe.seeds",), ("seeds",)),
    ]
    assert str(departure.changes[0]) == (
        "A.optimiser, B.optimiser = @Adam(betas=(0.9, 0.99)); shipped: @SGD(); "
        "at methods[A].optimiser, methods[B].optimiser"
    )


def test_a_lost_part_is_named_and_a_new_one_told_in_full() -> None:
    lost, new = Departure.of("", recipe(method("A", optimiser=SGD)), recipe(method("B", optimiser=SGD))).changes
    assert lost.values == ("None", "@A()")
    assert new.values == ("@B(row='', optimiser=@SGD(rate=0.1))", "None")


def test_a_departure_survives_json_and_nonsense_is_none() -> None:
    departure = Departure.of("table1", recipe(method("A", optimiser=SGD)), recipe(method("A", optimiser=ADAM)))
    assert Departure.read(json.loads(json.dumps(departure.to_json()))) == departure
    for nonsense in (None, 3, "text", [], {}, {"recipe": "x"}, {"recipe": "x", "changes": [1]}, {"changes": 1}):
        assert Departure.read(nonsense) is None


def test_many_changes_fit_where_there_is_little_room() -> None:
    long = {f"field{number}": "é" * 3000 for number in range(100)}
    departure = Departure.of("", recipe(), recipe(**long))
    lines = departure.lines(40_000)
    assert len(json.dumps(lines)) < 41_000
    assert lines[0].endswith("...")
    assert lines[-1] == f"and {100 - (len(lines) - 1)} more"
    assert departure.lines(10**9)[-1].startswith("Recipe.field99")


def test_values_are_written_as_gin_writes_them() -> None:
    assert gin(SGD) == "@SGD()"
    assert gin([SGD, ADAM]) == "(@SGD(), @Adam(),)"
    assert gin([0.9, "a"]) == "(0.9, 'a')"
    assert shown([SGD]) == "(@SGD(rate=0.1),)"
    assert shown("a" * 50, 10) == "'aaaaaaaaa..."

"""How two described recipes differ, value by value: parts are matched by name, not by position.

A *described* component is what `Component.described` gives: `{"component": "HypLatent", "steps": 600, ...}`. Where one
component stands in another's place, that is one difference with both components whole: their fields are no
counterparts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LONGEST = 1000
"""Letters of one change where there is little room."""


@dataclass(frozen=True)
class Difference:
    """A value that two recipes set differently.

    Attributes:
        path: Where it stands: `methods[GenHypRL].generator.width`.
        setting: As a binding names it: `MLPUNetGenerator.width`.
        one: The value in the first; None where it has none, or has None.
        other: The value in the second.
    """

    path: str
    setting: str
    one: Any
    other: Any


@dataclass(frozen=True)
class Change:
    """A value that differs from the shipped recipe, once for all places that share it.

    Attributes:
        settings: As bindings name it: `HypLatent.generator`; several where parts of different kinds share it.
        paths: Every place: `methods[GenHypRL].hyplatent.generator`.
        shipped: The value that is shipped.
        here: The value in its place.
    """

    settings: tuple[str, ...]
    paths: tuple[str, ...]
    shipped: Any
    here: Any

    def __str__(self) -> str:
        places = ", ".join(self.paths)
        here, shipped = self.values
        return f"{', '.join(self.settings)} = {here}; shipped: {shipped}; at {places}"

    @property
    def values(self) -> tuple[str, str]:
        """Here and shipped in words: of an exchanged component the fields that differ, of a lost one its name."""
        shipped = gin(self.shipped) if self.here is None else shown(_unlike(self.shipped, self.here))
        return shown(_unlike(self.here, self.shipped)), shipped


@dataclass(frozen=True)
class Departure:
    """How a recipe differs from the one that is shipped under its name.

    Attributes:
        shipped: The shipped recipe with its flags, "table1 --scale smoke"; empty where none has the recipe's name.
        changes: Every value that differs.
    """

    shipped: str
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, name: str, shipped: Mapping[str, Any], here: Mapping[str, Any]) -> Departure:
        """What distinguishes one described recipe from the shipped one."""
        found: dict[tuple[str, str, str], Change] = {}
        for each in differences(shipped, here):
            key = (each.setting.rpartition(".")[2], repr(each.one), repr(each.other))
            before = found.get(key, Change((), (), each.one, each.other))
            settings = tuple(dict.fromkeys((*before.settings, each.setting)))
            found[key] = Change(settings, (*before.paths, each.path), each.one, each.other)
        return cls(name, tuple(found.values()))

    @classmethod
    def read(cls, data: Any) -> Departure | None:
        """From a result's provenance or a store's origin; None where nothing, or nothing sensible, is recorded."""
        try:
            changes = tuple(
                Change(tuple(map(str, each["settings"])), tuple(map(str, each["paths"])), each["shipped"], each["here"])
                for each in data["changes"]
            )
            return cls(str(data["recipe"]), changes)
        except (AttributeError, KeyError, TypeError):
            return None

    def lines(self, room: int) -> list[str]:
        """A line for each change, of at most so many bytes together as JSON; the last then counts what is left out."""
        found: list[str] = []
        for number, change in enumerate(self.changes):
            text = str(change)
            text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
            room -= len(json.dumps(text))
            if room < 0:
                return [*found, f"and {len(self.changes) - number} more"]
            found.append(text)
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `read` takes it."""
        return {
            "recipe": self.shipped,
            "changes": [{**asdict(each), "paths": list(each.paths)} for each in self.changes],
        }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """Every value in which two described recipes differ, in the order of the first, then of the second."""
    yield from _fields(one, other, "")


def _fields(one: Mapping[str, Any], other: Mapping[str, Any], path: str) -> Iterator[Difference]:
    owner = str(other.get("component", one.get("component", "")))
    for name in dict.fromkeys([*one, *other]):
        setting = f"{owner}.{name}" if owner else name
        yield from _values(one.get(name), other.get(name), f"{path}.{name}" if path else name, setting)


def _values(one: Any, other: Any, path: str, setting: str) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict) and one.get("component") == other.get("component"):
        yield from _fields(one, other, path)
    elif _has_parts(one) and _has_parts(other):
        yield from _parts(one, other, path, setting)
    elif one != other:
        yield Difference(path, setting, one, other)


def _has_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _parts(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], path: str, setting: str
) -> Iterator[Difference]:
    left, right = labelled(one), labelled(other)
    both = [[name for name in side if name in left and name in right] for side in (left, right)]
    if both[0] != both[1]:
        yield Difference(f"{path} (order)", setting, both[0], both[1])
    for name in dict.fromkeys([*left, *right]):
        yield from _values(left.get(name), right.get(name), f"{path}[{name}]", f"{setting}[{name}]")


def labelled(parts: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Parts of a list by name: a table's row by its own name, else a component's; `Name#2` for the second of a name."""
    seen: Counter[str] = Counter()
    found = {}
    for part in parts:
        name = str(part.get("row") or part.get("name") or part.get("component") or "part")
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name}#{seen[name]}"] = part
    return found


def is_component(value: Any) -> bool:
    """Whether a described value is a component."""
    return isinstance(value, dict) and "component" in value


def gin(value: Any) -> str:
    """A described value as gin writes it; a component by its name alone."""
    if is_component(value):
        return f"@{value['component']}()"
    if _has_parts(value):
        return f"({', '.join(map(gin, value))},)"
    return repr(tuple(value) if isinstance(value, list) else value)


def _unlike(part: Any, other: Any) -> Any:
    """A described component without the fields that another one sets alike; anything else as it is."""
    if not (is_component(part) and is_component(other)):
        return part
    return {name: value for name, value in part.items() if name == "component" or other.get(name, ...) != value}


def shown(value: Any, longest: int | None = None) -> str:
    """A described value in one line for people: a component with its values, cut off after so many letters."""
    text = _whole(value)
    return text if longest is None or len(text) <= longest else f"{text[:longest]}..."


def _whole(value: Any) -> str:
    if is_component(value):
        fields = ", ".join(f"{name}={_whole(item)}" for name, item in value.items() if name != "component")
        return f"@{value['component']}({fields})"
    if _has_parts(value):
        return f"({', '.join(map(_whole, value))},)"
    return gin(value)

"""What a report calls the tasks of a result's domain: from the result itself, or from the domain that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hyprepro.component import COMPONENTS


class Words(NamedTuple):
    """A domain in words.

    Attributes:
        label: Its name in files.
        title: Its name in texts.
        told: What tells its tasks apart.
        many: The plural of that.
        unit: Its unit; may be empty.
        score: What a return is; may be empty.
        tests: The numbers of the tasks that are for testing.
    """

    label: str = ""
    title: str = ""
    told: str = "task"
    many: str = "tasks"
    unit: str = ""
    score: str = ""
    tests: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Words:
        """Those that a result states; of one that does not, as those of earlier releases, its domain's own."""
        found = result.get("domain") or _known(result["provenance"].get("config", {}))
        return cls(**{name: _value(found[name]) for name in cls._fields if name in found})

    @property
    def measured(self) -> str:
        """What stands at an axis: `gravity, m/s^2`."""
        return f"{self.told}, {self.unit}" if self.unit else self.told

    def counted(self, number: int) -> str:
        """`1 velocity`, `5 velocities`."""
        return f"{number} {self.told if number == 1 else self.many}"


def number(task: str) -> str:
    """The numbers that a task's name states, without trailing zeros; a name without any as it is."""
    found = re.findall(r"-(-?\d+(?:\.\d+)?)", task)
    return ", ".join(f"{float(each):g}" for each in found) or task


def _known(config: Mapping[str, Any]) -> Mapping[str, Any]:
    from hyprepro.config.lint import RENAMED

    name = str((config.get("domain") or config.get("data") or {}).get("component", ""))
    domain = COMPONENTS.get(RENAMED.get(name, name))
    words = getattr(domain() if domain is not None else None, "words", {})
    return dict(words)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

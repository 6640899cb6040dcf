"""What a result says, for the reports that print it: its numbers by what they are, and its domain in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from hyprepro.component import COMPONENTS
from hyprepro.reports import paper
from hyprepro.reports.summary import BASELINE, IMPROVEMENT, MAA, MAIN

Row = Mapping[str, Any]

SHORT = {
    "expert": "expert",
    "autoencoder": "autoenc.",
    "retrieval": "retriev.",
    "agreement-retrieval": "agreem.",
    "prompt-cloning": "cloning",
    "conditioned-cloning": "told cl.",
    "mean-policy": "mean",
    "mse-regressor": "mse",
    "hyperzero": "HZero",
    "hypogen": "HyPoGen",
    "care": "CARE",
    "decision-transformer": "DT",
    MAA: "MAA",
    BASELINE: "w/o HF",
    MAIN: "w/ HF",
}
"""Column heads of the table of all methods; other methods get their first eight letters."""

TESTED = ("validation", "test")
"""Splits of tasks that nothing was trained on in a run that has other splits too."""

PROTOCOLS = {
    "paper": "Paper protocol",
    "held": "Success that still holds at the episode's end, strict protocol",
    "strict": "Strict protocol",
}
"""The protocols of tables by their headings; the last one that a result has is the one to stand by."""


class Numbers:
    """The rows of one split of a result by what they are.

    Args:
        result: The content of a result.json.
        split: "seen" or "unseen"; None for what the result is about: withheld or test tasks if it has such, else the
            split of the first row.
        n_train: Of methods that depend on their number of training tasks, the rows of this number alone.
        zoo: Where a result compares zoos, the rows of this one alone.
    """

    def __init__(
        self, result: Mapping[str, Any], split: str | None = None, n_train: int | None = None, zoo: str = ""
    ) -> None:
        self.result = result
        self.provenance: Mapping[str, Any] = result["provenance"]
        present = [str(row["split"]) for row in result["rows"]]
        self.split = split or next((each for each in TESTED if each in present), (*present, "seen")[0])
        of_split = [row for row in result["rows"] if row["split"] == self.split]
        self.sizes = list(dict.fromkeys(row["n_train"] for row in of_split if row["n_train"] is not None))
        self._all = [row for row in of_split if row["n_train"] in (n_train, None) and row.get("zoo", "") == zoo]
        self._rows = {(r["method"], r["protocol"], r["task"], r["statistic"]): r for r in self._all}
        gains = [
            row
            for row in result.get("comparisons", [])
            if row["split"] == self.split and row.get("n_train") in (n_train, None) and row.get("zoo", "") == zoo
        ]
        self._gains = {(r["method"], r["minus"], r["protocol"], r["task"], r["statistic"]): r for r in gains}
        self.reference = str(self._settings.get("reference", MAIN))

    def row(self, method: str, protocol: str, task: str | None, statistic: str = "mean") -> Row | None:
        """One row, None if the run did not have it."""
        return self._rows.get((method, protocol, task, statistic))

    def gain(self, minus: str, protocol: str, task: str | None, method: str = "") -> Row | None:
        """A method, the row that all others are compared with if none is named, minus another one, paired."""
        return self._gains.get((method or self.reference, minus, protocol, task, "mean"))

    def improvement(self, other: str, protocol: str) -> Row | None:
        """The probability that a run of Gen-HypRL is above one of another method on a task."""
        return self._gains.get((self.reference, other, protocol, None, IMPROVEMENT))

    @cached_property
    def methods(self) -> list[str]:
        """In the order of the run."""
        return list(dict.fromkeys(row["method"] for row in self._all))

    @cached_property
    def protocols(self) -> list[str]:
        """Those of the run, the paper's first."""
        found = {row["protocol"] for row in self._all}
        return [name for name in PROTOCOLS if name in found]

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks of the average: those before the average's row, of a method that has one.

        Where none has, since every one was refused a task, those that are not listed below by the run's own settings.
        """
        for order in self._orders:
            if None in order:
                return [task for task in order[: order.index(None)] if task is not None]
        return [task for task in self._present if task not in (self._settings.get("below") or ())]

    @cached_property
    def below(self) -> list[str]:
        """Tasks listed below the average."""
        return [task for task in self._present if task not in self.tasks]

    @cached_property
    def _orders(self) -> list[list[str | None]]:
        """The tasks of every method and protocol, None where the average stands."""
        found: dict[tuple[Any, ...], dict[str | None, None]] = {}
        for row in self._all:
            found.setdefault((row["method"], row["protocol"], row["n_train"]), {})[row["task"]] = None
        return [list(order) for order in found.values()]

    @cached_property
    def _present(self) -> list[str]:
        """All tasks: in the order of the run's settings, else of the first method that has most of them."""
        settings = [task for name in ("seen", "unseen", "below") for task in self._settings.get(name) or ()]
        longest = max(self._orders, key=len, default=[])
        found = dict.fromkeys(task for order in (longest, *self._orders) for task in order if task is not None)
        return [task for task in dict.fromkeys([*settings, *found]) if task in found]

    @property
    def _settings(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.provenance.get("config", {})
        return found

    def paper(self, method: str, task: str | None, statistic: str) -> float | None:
        """The paper's number, None where it has none."""
        return paper.rate(self.split, method, task, statistic, self.tasks)

    def name(self, task: str | None) -> str:
        """A row's name."""
        if task is None:
            return f"**average of {len(self.tasks)}**"
        return f"*{task}*" if task in self.below else task


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


def sides_of(result: Mapping[str, Any]) -> list[Numbers]:
    """Seen and unseen tasks, as far as the run has them."""
    return [side for side in (Numbers(result, split) for split in ("seen", "unseen")) if side.methods]


def counts_of(sides: Sequence[Numbers]) -> str:
    """`10 seen and 8 unseen`."""
    return " and ".join(f"{len(side.tasks)} {side.split}" for side in sides)


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

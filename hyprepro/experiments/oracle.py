"""The ceiling of a choice: what choosing the best of several rows for each prompt would reach, had one known it.

A policy succeeds at some goals and fails at others, so the best of a dozen rows at one goal is partly the luckiest: no
judge that does not know the goal can be held to it. `Oracle.by = 'others'` asks instead which row does best on the
policy's other goals, and scores it at the one that is left; that much is a property of the policy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import ClassVar, Literal

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError, refuse_unknown
from hyprepro.experiments.protocols import Protocol
from hyprepro.methods.base import Method
from hyprepro.reports.records import Record


class Choice(Component, ABC):
    """A row that runs nothing: it takes some of other rows' records, by what they scored."""

    slot: ClassVar[str] = "oracle"
    knows: ClassVar[str] = ""
    """What it is given, for the reader of the table; empty where the report says so itself."""

    name: str

    @abstractmethod
    def check_rows(self, methods: Sequence[Method], protocols: Sequence[Protocol]) -> None:
        """The recipe has the rows that it chooses from, and starts to choose by (`UserError` if not)."""

    @abstractmethod
    def records(self, records: Iterable[Record]) -> list[Record]:
        """The chosen ones among all records, under this row's name."""


@component
class Oracle(Choice):
    """A row that runs nothing: of each policy it takes the records of that row which scored best, or does on others."""

    name: str = setting("the best of these, had one known", "the row's name", min_length=1)
    among: tuple[str, ...] = setting(..., "the rows that it chooses from", min_length=2)
    by: Literal["itself", "others"] = setting(
        "itself", "chosen by the very episodes that score it, or by those of the policy's other starts"
    )

    def check_rows(self, methods: Sequence[Method], protocols: Sequence[Protocol]) -> None:
        """The recipe has these rows, of the same prompts and seeds, and starts to choose by (`UserError` if not)."""
        by_name = {method.name: method for method in methods}
        for name in self.among:
            what = f"Oracle.among names {name!r}, and the recipe has no such row."
            refuse_unknown(name, by_name, what, "Oracle.among", f"its rows are {'; '.join(by_name)}")
        seeded = {by_name[name].seeded for name in self.among}
        if len(seeded) > 1:
            raise UserError(
                "Oracle.among names rows with generator seeds and rows without.",
                where="Oracle.among",
                fix="choose among rows of one kind: what they generate is told apart by its seed",
            )

        few = [protocol.label for protocol in protocols if protocol.episodes < 2]
        if self.by == "others" and few:
            raise UserError(
                f"Under the {few[0]} protocol a policy has one start, and Oracle.by = 'others' chooses by the others.",
                where="Oracle.by, Recipe.protocols",
                fix="-b StrictProtocol.goals_per_policy=4, or -b \"Oracle.by='itself'\"",
            )

    def records(self, records: Iterable[Record]) -> list[Record]:
        """The best records of each policy, under this row's name; of equal rows those of the first."""
        known = [record for record in records if record.method in self.among]
        known.sort(key=_policy)
        best: list[Record] = []
        for _, group in groupby(known, key=_policy):
            rows: dict[str, list[Record]] = {name: [] for name in self.among}
            for record in group:
                rows[record.method].append(record)
            best += self._best([each for each in rows.values() if each])
        return [record._replace(method=self.name) for record in best]

    def _best(self, rows: Sequence[Sequence[Record]]) -> Iterable[Record]:
        """Of one policy's records in each row, those that count."""
        if self.by == "itself":
            return max(rows, key=_total)
        best = []
        for start in range(len(rows[0])):
            others = [_total(row) - row[start].score for row in rows]
            best.append(rows[others.index(max(others))][start])
        return best


@component
class BestLook(Choice):
    """The network of a training that did best on the very tasks that are scored, as HyPoGen's release evaluates.

    Released code does: every 20 passes over the data the network is tried on the test contexts (where those are lengths
    of a torso, on the usual length alone), the best of up to 100 such looks is kept, and that one is evaluated, on
    other starts. Here the starts are the same, so that on average the price of as many looks is overstated. `of` names
    a row whose policies are the looks of a training (`HyperZero.deployed`). The row of the last network is the strict
    one; the difference is the price of looking.
    """

    knows: ClassVar[str] = "the looks of a training, and what each of them scored at the very tasks of the table"

    name: str = setting("best-look", "the row's name", min_length=1)
    of: str = setting("hyperzero-looks", "the row whose policies are looks")

    def check_rows(self, methods: Sequence[Method], protocols: Sequence[Protocol]) -> None:
        """The recipe has a row of looks of this name (`UserError` if not)."""
        known = [method.name for method in methods if getattr(method, "deployed", None) == "looks"]
        what = f"BestLook.of names {self.of!r}, and the recipe has no such row of looks."
        fix = "bind looks/HyperZero.deployed='looks' and its row, and name it among Recipe.methods"
        refuse_unknown(self.of, known, what, "BestLook.of", fix)

    def records(self, records: Iterable[Record]) -> list[Record]:
        """Of each training the records of the look with the best mean over the tasks that nothing was trained on."""
        known = sorted((record for record in records if record.method == self.of), key=_training)
        best: list[Record] = []
        for _, group in groupby(known, key=_training):
            looks: dict[int, list[Record]] = {}
            for record in group:
                looks.setdefault(record.policy, []).append(record)
            chosen: list[Record] = max(looks.values(), key=_tested_total)
            best += chosen
        return [record._replace(method=self.name, policy=0) for record in best]


def _tested_total(records: Sequence[Record]) -> float:
    return _total([record for record in records if record.split != "seen"])


def _training(record: Record) -> tuple[object, ...]:
    """What tells a training, and how it is scored."""
    size = -1 if record.n_train is None else record.n_train
    return record.zoo, record.variant, record.seed, size, record.protocol


def _total(records: Sequence[Record]) -> float:
    return sum(record.score for record in records)


def _policy(record: Record) -> tuple[object, ...]:
    """What tells a policy from others of its row."""
    size = -1 if record.n_train is None else record.n_train
    return record.zoo, record.variant, record.seed, size, record.split, record.task, record.protocol, record.policy

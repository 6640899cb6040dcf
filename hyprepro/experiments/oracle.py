"""The ceiling of a choice: what choosing the best of several rows for each prompt would reach, had one known it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import ClassVar

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError, closest_match
from hyprepro.methods.base import Method
from hyprepro.reports.records import Record


@component
class Oracle(Component):
    """A row that runs nothing: of each policy it takes the records of that row which scored best.

    It looks at the very episodes that score it, so no method can be held to it; it bounds what a judge can win.
    """

    slot: ClassVar[str] = "oracle"

    name: str = setting("the best of these, had one known", "the row's name", min_length=1)
    among: tuple[str, ...] = setting(..., "the rows that it chooses from", min_length=2)

    def check_rows(self, methods: Sequence[Method]) -> None:
        """The recipe has these rows, and their policies are of the same prompts and seeds (`UserError` if not)."""
        by_name = {method.name: method for method in methods}
        for name in self.among:
            if name not in by_name:
                raise UserError(
                    f"Oracle.among names {name!r}, and the recipe has no such row.",
                    where="Oracle.among",
                    closest=closest_match(name, by_name),
                    fix=f"its rows are {', '.join(by_name)}",
                )
        seeded = {by_name[name].seeded for name in self.among}
        if len(seeded) > 1:
            raise UserError(
                "Oracle.among names rows with generator seeds and rows without.",
                where="Oracle.among",
                fix="choose among rows of one kind: what they generate is told apart by its seed",
            )

    def records(self, records: Iterable[Record]) -> list[Record]:
        """The best records of each policy, under this row's name; of equal rows those of the first."""
        known = [record for record in records if record.method in self.among]
        known.sort(key=_policy)
        best: list[Record] = []
        for _, group in groupby(known, key=_policy):
            rows: dict[str, list[Record]] = {}
            for record in group:
                rows.setdefault(record.method, []).append(record)
            best += max((rows[name] for name in self.among), key=lambda each: sum(record.score for record in each))
        return [record._replace(method=self.name) for record in best]


def _policy(record: Record) -> tuple[object, ...]:
    """What tells a policy from others of its row."""
    size = -1 if record.n_train is None else record.n_train
    return record.zoo, record.variant, record.seed, size, record.split, record.task, record.protocol, record.policy

"""The multi-task field: a row a method, what each knows and costs, learning curves, and opposed gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyprepro.component import component
from hyprepro.reports import notes as parts
from hyprepro.reports.markdown import bullets, paragraph, table, with_interval
from hyprepro.reports.numbers import PROTOCOLS, Numbers
from hyprepro.reports.report import Report

SPLITS = ("seen", "unseen")
PUBLISHED = (
    "Published, Meta-World+ (McLean et al. 2025), MT10 (other tasks, of which four are among these), 2e7 steps from "
    "scratch, success in percent with V2 rewards: Soft-Modularization 84.9, MOORE 83.2, PaCo 73.6, multi-head 75. "
    "It predates a correction of its code, which had taken time limits for terminal states."
)
FEW = "An empty cell (-): the method has no such number; below it is said why."


@component
class MultiTaskTable(Report):
    """Averages of one policy for all tasks, by architecture and by gradient, beside what tells a task by more."""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """A table for each protocol, the strict one first; every task; curves; notes; costs and parameters."""
        sides = [side for side in (Numbers(result, split) for split in SPLITS) if side.methods]
        protocols = list(reversed(sides[0].protocols))
        found = [parts.heading(result), paragraph(_setting(result, sides))]
        for protocol in protocols:
            found += [f"## {PROTOCOLS[protocol]}", _table(sides, protocol)]
        found += parts.knowledge(result)
        for side in sides:
            found += [f"## Every method, {side.split} tasks one by one", *parts.every_method(side)]
        found += parts.learning_curves(result)
        provenance = result["provenance"]
        notes = [parts.SUCCESS, parts.INTERVALS, *parts.adapted(provenance), parts.environment_gap(provenance)]
        notes += [parts.route(provenance), PUBLISHED, FEW, *parts.deployments(result)]
        notes += [parts.BELOW] if any(side.below for side in sides) else []
        return "\n\n".join([*found, "## Notes", bullets(notes), *parts.costs_beside_results(result, sides)]) + "\n"


def _setting(result: Mapping[str, Any], sides: Sequence[Numbers]) -> str:
    counts = " and ".join(f"{len(side.tasks)} {side.split}" for side in sides)
    seeds = max((row["n_seeds"] for row in result["rows"]), default=0)
    return (
        f"Success rates in percent, averages of {counts} tasks. {parts.run_of(result)}; generator seeds: {seeds}. "
        f"`{sides[0].reference} minus it`: paired. Those that are told a task by a label or a sentence act in all tasks "
        "with one policy."
    )


def _table(sides: Sequence[Numbers], protocol: str) -> str:
    """A row a method: averages, and how far the reference is above it."""
    reference = sides[0].reference
    methods = dict.fromkeys(method for side in sides for method in side.methods)
    rows = []
    for method in methods:
        cells = []
        for side in sides:
            cells.append(with_interval(side.row(method, protocol, None)))
            if reference in side.methods:
                cells.append(with_interval(side.gain(method, protocol, None), "+"))
        rows.append([method, *cells])
    heads = []
    for side in sides:
        heads += [side.split, *([f"{reference} minus it"] if reference in side.methods else [])]
    return table(["method", *heads], rows)

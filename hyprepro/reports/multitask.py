"""The multi-task field: a row a method, what each knows and costs, learning curves, and opposed gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from hyprepro.component import component
from hyprepro.reports import notes as parts
from hyprepro.reports.markdown import bullets, paragraph, percent, table, with_interval
from hyprepro.reports.numbers import PROTOCOLS, Numbers, counts_of, sides_of
from hyprepro.reports.report import Report

PAIRS = 3
"""How many pairs of tasks are named."""
POINTS = 10
"""How many points of the learning curves have a column, at most."""
CONFLICTS_ARE = (
    "In how many percent of pairs of tasks and batches the product of the two tasks' gradients of what they share is "
    "negative, on average over the points of the curve, of the first generator seed; and the pairs in which it is most "
    "often."
)
PUBLISHED = (
    "Published, Meta-World+ (McLean et al. 2025), MT10 (four of its tasks are among the ten seen ones of the paper), "
    "2e7 steps from scratch, success in percent with V2 rewards: Soft-Modularization 84.9, MOORE 83.2, PaCo 73.6, "
    "multi-head about 75. "
    "It predates a correction of its code, which had taken time limits for terminal states."
)
FEW = "An empty cell (-): the method has no such number; which tasks it cannot be told, and why, is said above."


@component
class MultiTaskTable(Report):
    """Averages of one policy for all tasks, by architecture and by gradient, beside what tells a task by more."""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """A table for each protocol, the strict one first; every task; curves; notes; costs and parameters."""
        sides = sides_of(result)
        protocols = list(reversed(sides[0].protocols))
        found = [parts.heading(result), paragraph(_setting(result, sides))]
        for protocol in protocols:
            found += [f"## {PROTOCOLS[protocol]}", _table(sides, protocol)]
        found += [*parts.knowledge(result), *_curves(result), *_conflicts(result)]
        for side in sides:
            found += [f"## Every method, {side.split} tasks one by one", *parts.every_method(side)]
        provenance = result["provenance"]
        notes = [parts.SUCCESS, parts.INTERVALS, *parts.adapted(provenance), parts.environment_gap(provenance)]
        notes += [parts.route(provenance), PUBLISHED, *parts.deployments(result)]
        notes += [FEW] if any(method.get("refused") for method in result["methods"].values()) else []
        notes += [parts.BELOW] if any(side.below for side in sides) else []
        return "\n\n".join([*found, "## Notes", bullets(notes), *parts.costs_beside_results(result, sides)]) + "\n"


def _setting(result: Mapping[str, Any], sides: Sequence[Numbers]) -> str:
    seeds, reference = max((row["n_seeds"] for row in result["rows"]), default=0), sides[0].reference
    return (
        f"Success rates in percent, averages of {counts_of(sides)} tasks. {parts.run_of(result)}; generator seeds: "
        f"{seeds}. `{reference} minus it`: paired; {reference} itself has a dash there. Rows told a task by a label or "
        "a sentence act in all tasks with one policy."
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


def _charted(result: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The learning curves by method."""
    return {name: method["curve"] for name, method in result["methods"].items() if method.get("curve")}


def _curves(result: Mapping[str, Any]) -> list[str]:
    """Success on the training tasks while they were trained, a column a point; of many the last and some before."""
    curves = _charted(result)
    every = sorted({point["updates"] for points in curves.values() for point in points})
    steps = every[:: -max(1, math.ceil(len(every) / POINTS))][::-1]
    rows = []
    for name, points in curves.items():
        success = {point["updates"]: percent(fmean(point["success"].values())) for point in points}
        rows.append([name, *(success.get(step, "-") for step in steps)])
    if not rows:
        return []
    heads = ["gradient steps", *(f"{step:,}" for step in steps)]
    return ["## Learning curves", table(heads, rows), paragraph(parts.CURVES_ARE)]


def _conflicts(result: Mapping[str, Any]) -> list[str]:
    """How often the tasks' gradients were opposed."""
    rows = []
    for name, points in _charted(result).items():
        compared = [point for point in points if point.get("conflicts")]
        if compared:
            found = {part: _shares(compared, part) for part in compared[0]["conflicts"]}
            pairs = {pair: fmean(shares[pair] for shares in found.values()) for pair in found["critic"]}
            most = sorted(pairs, key=lambda pair: -pairs[pair])[:PAIRS]
            told = "; ".join(f"{' and '.join(pair)} {percent(pairs[pair])}" for pair in most)
            rows.append([name, *(percent(fmean(found[part].values())) for part in ("critic", "actor")), told])
    if not rows:
        return []
    heads = ["method", "critic", "actor", "most often"]
    return ["## Opposed gradients", table(heads, rows), paragraph(CONFLICTS_ARE)]


def _shares(points: Sequence[Mapping[str, Any]], part: str) -> dict[tuple[str, str], float]:
    """Of each pair of tasks the share of batches in which their gradients were opposed, over all points."""
    pairs = list(combinations(points[0]["success"], 2))
    return {pair: fmean(point["conflicts"][part][n] for point in points) for n, pair in enumerate(pairs)}

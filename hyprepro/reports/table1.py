"""The paper's per-task tables (1, seen tasks; 3, unseen) beside ours, as Markdown, from a result.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyprepro.component import component
from hyprepro.reports import notes as parts
from hyprepro.reports import paper
from hyprepro.reports.markdown import bullets, paragraph, printed, table, with_interval
from hyprepro.reports.notes import notes
from hyprepro.reports.numbers import PROTOCOLS, Numbers
from hyprepro.reports.report import Report
from hyprepro.reports.summary import BASELINE, MAA, MAIN


@component
class TaskTable(Report):
    """The paper's Table 1 or 3: a row a task, the paper beside ours, then ceilings and competitors."""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The tables of both protocols, of top-k, of all methods, and the notes."""
        numbers = Numbers(result)
        found = [parts.heading(result), paragraph(parts.setting(numbers))]
        for protocol in numbers.protocols:
            found += [f"## {PROTOCOLS[protocol]}", *_main_tables(numbers, protocol)]
        found += _tops(numbers)
        found += ["## Ceilings and competitors, average of the tasks above", _methods_table(numbers)]
        found += [*parts.knowledge(result), "## Every method, task by task", *parts.every_method(numbers)]
        return "\n\n".join([*found, "## Notes", bullets(notes([numbers])), *parts.costs(result)]) + "\n"

    def side_by_side(self, result: Mapping[str, Any]) -> str:
        """The paper's table and ours under the paper's protocol, with what a reader must know."""
        numbers = Numbers(result)
        theirs = paper.per_task(numbers.split)
        means = ", ".join(f"{theirs.names[name]} {printed(rate)}" for name, rate in theirs.recomputed.items())
        found = [
            *parts.beside_the_paper(theirs.number, parts.setting(numbers), theirs.title),
            *_main_tables(numbers, "paper"),
            paragraph(f"The means of the paper's rows: {means}."),
            bullets(notes([numbers])),
        ]
        return "\n\n".join(found) + "\n"


def _main_tables(numbers: Numbers, protocol: str) -> list[str]:
    """Tasks, their average, then the tasks below; the paper's columns under the paper's protocol only.

    With Make-An-Agent a page is too narrow for the gains, which then have a table of their own.
    """
    is_paper = protocol == "paper" and numbers.split in paper.SPLIT_TABLES
    has_maa = MAA in numbers.methods
    rows, gains = [], []
    for task in (*numbers.tasks, None, *numbers.below):
        theirs = [printed(numbers.paper(method, task, "mean")) for method in (MAA, BASELINE, MAIN) if is_paper]
        ours = [with_interval(numbers.row(method, protocol, task)) for method in (MAA, BASELINE, MAIN)]
        rows.append([numbers.name(task), *theirs, *(ours if has_maa else ours[1:])])
        gains.append([with_interval(numbers.gain(method, protocol, task), "+") for method in (BASELINE, MAA)])
    if not has_maa:
        heads = ["MAA", "paper w/o HF", "paper w/ HF"] if is_paper else []
        heads = ["task", *heads, "ours w/o HF", "ours w/ HF", "HypFormer's gain"]
        return [table(heads, [[*row, gain] for row, (gain, _) in zip(rows, gains, strict=True)])]
    heads = ["paper MAA", "paper w/o", "paper w/"] if is_paper else []
    main = table(["task", *heads, "ours MAA", "ours w/o HF", "ours w/ HF"], rows)
    pairs = [[row[0], *gain] for row, gain in zip(rows, gains, strict=True)]
    return [main, "Gains, paired:", table(["task", "HypFormer's gain", "Gen-HypRL minus MAA"], pairs)]


def _methods_table(numbers: Numbers) -> str:
    """Averages of every method, and how far Gen-HypRL is above it under the last protocol."""
    last = numbers.protocols[-1]
    rows = []
    for method in numbers.methods:
        means = [with_interval(numbers.row(method, protocol, None)) for protocol in numbers.protocols]
        iqm = with_interval(numbers.row(method, last, None, "iqm"))
        rows.append([method, *means, iqm, with_interval(numbers.gain(method, last, None), "+")])
    heads = [f"{protocol} protocol" for protocol in numbers.protocols]
    return table(["method", *heads, f"IQM, {last}", f"Gen-HypRL minus it, {last}"], rows)


def _tops(numbers: Numbers) -> list[str]:
    """Top-5 and top-10 averages, where there were enough policies."""
    rows = []
    for statistic in ("top5", "top10"):
        cells = [with_interval(numbers.row(m, p, None, statistic)) for p in numbers.protocols for m in (BASELINE, MAIN)]
        if any(cell != "-" for cell in cells):
            theirs = [printed(numbers.paper(method, None, statistic)) for method in (BASELINE, MAIN)]
            rows.append([statistic.replace("top", "top-"), *theirs, *cells])
    if not rows:
        return []
    heads = [f"ours {side}, {protocol}" for protocol in numbers.protocols for side in ("w/o", "w/")]
    return ["## Top-k, average of the tasks above", table(["", "paper w/o", "paper w/", *heads], rows)]

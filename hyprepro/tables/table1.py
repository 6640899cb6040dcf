"""The paper's per-task tables (1, seen tasks; 3, unseen) beside ours, as Markdown, from a result.json alone.

`python -m hyprepro.tables.table1 results/table1/desktop/result.json > paper_tables/table1.md` writes the short
side-by-side.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from hyprepro.errors import UserError
from hyprepro.tables import paper
from hyprepro.tables.markdown import bullets, paragraph, point, printed, table, with_interval
from hyprepro.tables.notes import notes
from hyprepro.tables.result import BASELINE, MAIN, read_result

Row = Mapping[str, Any]

SHORT = {
    "expert": "expert",
    "autoencoder": "autoenc.",
    "retrieval": "retriev.",
    "agreement-retrieval": "agreem.",
    "prompt-cloning": "cloning",
    "mean-policy": "mean",
    "mse-regressor": "mse",
    "make-an-agent": "MAA",
    BASELINE: "w/o HF",
    MAIN: "w/ HF",
}
"""Column heads of the table of all methods; other methods get their first eight letters."""

PROTOCOLS = {"paper": "Paper protocol", "strict": "Strict protocol"}


class Numbers:
    """The rows of a result by what they are."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = result
        self.provenance: Mapping[str, Any] = result["provenance"]
        self._rows = {(r["method"], r["protocol"], r["task"], r["statistic"]): r for r in result["rows"]}
        self._gains = {(r["minus"], r["protocol"], r["task"]): r for r in result.get("comparisons", [])}

    def row(self, method: str, protocol: str, task: str | None, statistic: str = "mean") -> Row | None:
        """One row, None if the run did not have it."""
        return self._rows.get((method, protocol, task, statistic))

    def gain(self, minus: str, protocol: str, task: str | None) -> Row | None:
        """Gen-HypRL minus another method, paired."""
        return self._gains.get((minus, protocol, task))

    @cached_property
    def methods(self) -> list[str]:
        """In the order of the run."""
        return list(dict.fromkeys(row["method"] for row in self.result["rows"]))

    @cached_property
    def protocols(self) -> list[str]:
        """Those of the run, the paper's first."""
        found = {row["protocol"] for row in self.result["rows"]}
        return [name for name in PROTOCOLS if name in found]

    @cached_property
    def split(self) -> str:
        """Which tasks these are: seen or unseen."""
        return str(self.result["rows"][0]["split"]) if self.result["rows"] else "seen"

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks of the average: those before the average's row."""
        order = list(dict.fromkeys(row["task"] for row in self.result["rows"]))
        return order[: order.index(None)] if None in order else order

    @cached_property
    def below(self) -> list[str]:
        """Tasks listed below the average."""
        found = dict.fromkeys(row["task"] for row in self.result["rows"])
        return [task for task in found if task is not None and task not in self.tasks]

    def paper(self, method: str, task: str | None, statistic: str) -> float | None:
        """The paper's number, None where it has none."""
        return paper.rate(self.split, method, task, statistic, self.tasks)

    def name(self, task: str | None) -> str:
        """A row's name."""
        if task is None:
            return f"**average of {len(self.tasks)}**"
        return f"*{task}*" if task in self.below else task


def table_markdown(result: Mapping[str, Any]) -> str:
    """The whole of table.md for a result of per-task success rates, at most 120 characters wide."""
    numbers = Numbers(result)
    config = numbers.provenance.get("config", {})
    parts = [f"# {config.get('title') or result.get('recipe', 'Result')}", paragraph(_setting(numbers))]
    for protocol in numbers.protocols:
        parts += [f"## {PROTOCOLS[protocol]}", _main_table(numbers, protocol)]
    parts += _tops(numbers)
    parts += ["## Ceilings and competitors, average of the tasks above", _methods_table(numbers), *_knowledge(numbers)]
    parts += [
        "## Every method, task by task",
        *_all_methods(numbers),
        "## Notes",
        bullets(notes(numbers.provenance, numbers.split, bool(numbers.below))),
    ]
    return "\n\n".join(parts) + "\n"


def side_by_side(result: Mapping[str, Any]) -> str:
    """paper_tables/tableN.md: the paper's table and ours under the paper's protocol, with what a reader must know."""
    numbers = Numbers(result)
    theirs = paper.per_task(numbers.split)
    means = ", ".join(f"{theirs.names[name]} {printed(rate)}" for name, rate in theirs.recomputed.items())
    parts = [
        f"# Table {theirs.number}: the paper and this reproduction",
        paragraph(f"{theirs.title}. Generated from a committed result; do not edit. {_setting(numbers)}"),
        _main_table(numbers, "paper"),
        paragraph(f"The means of the paper's rows: {means}."),
        bullets(notes(numbers.provenance, numbers.split, bool(numbers.below))),
    ]
    return "\n\n".join(parts) + "\n"


def _setting(numbers: Numbers) -> str:
    result = numbers.result
    main = numbers.row(MAIN, numbers.protocols[0], None) if numbers.protocols else None
    text = f"Success rates in percent. Recipe {result.get('recipe')}, scale {result.get('scale')}"
    text += f", variant {result.get('variant', 'ours')}."
    if main is None:
        return text
    count = main["n_policies"] // max(len(numbers.tasks), 1)
    return f"{text} Ours: {_count(main['n_seeds'], 'generator seed')}, {_count(count, 'policy')} a task and seed."


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _main_table(numbers: Numbers, protocol: str) -> str:
    """Tasks, their average, then the tasks below; the paper's columns under the paper's protocol only."""
    is_paper = protocol == "paper" and numbers.split in paper.SPLIT_TABLES
    theirs = ("make-an-agent", BASELINE, MAIN) if is_paper else ()
    rows = []
    for task in (*numbers.tasks, None, *numbers.below):
        printed_cells = [printed(numbers.paper(method, task, "mean")) for method in theirs]
        ours = [with_interval(numbers.row(method, protocol, task)) for method in (BASELINE, MAIN)]
        gain = with_interval(numbers.gain(BASELINE, protocol, task), "+")
        rows.append([numbers.name(task), *printed_cells, *ours, gain])
    heads = ["MAA", "paper w/o HF", "paper w/ HF"] if is_paper else []
    return table(["task", *heads, "ours w/o HF", "ours w/ HF", "HypFormer's gain"], rows)


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


def _knowledge(numbers: Numbers) -> list[str]:
    """What each method is given, as the run declares it."""
    described = numbers.result.get("methods", {})
    known = {name: described.get(name, {}).get("knows") for name in numbers.methods}
    lines = [f"`{name}`: {text}" for name, text in known.items() if text]
    return ["What each is given at test time:", bullets(lines)] if lines else []


def _all_methods(numbers: Numbers) -> list[str]:
    """Values without intervals, a table for each protocol."""
    parts = []
    heads = [SHORT.get(method, method[:8]) for method in numbers.methods]
    for protocol in numbers.protocols:
        rows = []
        for task in (*numbers.tasks, None, *numbers.below):
            cells = [point(numbers.row(method, protocol, task)) for method in numbers.methods]
            rows.append([numbers.name(task), *cells])
        parts += [f"{PROTOCOLS[protocol]}:", table(["task", *heads], rows)]
    return parts


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


def main(arguments: list[str]) -> str:
    """The side-by-side of one result.json.

    Raises:
        UserError: Not exactly one path, or no readable result there.
    """
    if len(arguments) != 1:
        raise UserError("One result.json is needed.", fix="python -m hyprepro.tables.table1 RESULT.json")
    return side_by_side(read_result(Path(arguments[0])))


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))

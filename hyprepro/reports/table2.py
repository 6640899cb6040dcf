"""The paper's Table 2 (averages on seen and unseen tasks, all policies and the best of them) beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from hyprepro.component import component
from hyprepro.reports import notes as parts
from hyprepro.reports import paper
from hyprepro.reports.markdown import bullets, paragraph, printed, table, with_interval
from hyprepro.reports.notes import notes
from hyprepro.reports.numbers import PROTOCOLS, Numbers, counts_of, sides_of
from hyprepro.reports.report import Report
from hyprepro.reports.summary import MAIN

ABSENT = "not yet reproduced"
PICTURES = "performance_profiles"


@component
class AveragesTable(Report):
    """The paper's Table 2: a row a method, seen and unseen averages; then ceilings, competitors and profiles."""

    shows: ClassVar[str] = (
        "The share of runs x tasks above each success rate, a panel a method, Gen-HypRL in grey behind."
    )

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The tables of both protocols, of ceilings and competitors, by robust statistics, of all tasks, the notes."""
        both = sides_of(result)
        protocols = both[0].protocols
        found = [parts.heading(result), paragraph(_setting(both))]
        for protocol in protocols:
            found += [f"## {PROTOCOLS[protocol]}", _main_table(both, protocol)]
        for protocol in protocols:
            found += [f"## Ceilings and competitors, {protocol} protocol", _differences_table(both, protocol)]
        found += [*parts.knowledge(result), *_robust(both, protocols)]
        for numbers in both:
            found += [f"## Every method, {numbers.split} tasks one by one", *parts.every_method(numbers)]
        found += parts.learning_curves(result)
        return "\n\n".join([*found, "## Notes", bullets(notes(both)), *parts.costs_beside_results(result, both)]) + "\n"

    def side_by_side(self, result: Mapping[str, Any]) -> str:
        """The paper's table and ours under the paper's protocol."""
        both = sides_of(result)
        found = [
            *parts.beside_the_paper(2, _setting(both), paper.load("table2")["title"]),
            _main_table(both, "paper"),
            bullets(notes(both)),
        ]
        return "\n\n".join(found) + "\n"

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        """Performance profiles as PNG and SVG, where matplotlib is installed (`pip install hyprepro[plot]`)."""
        from hyprepro.reports.figures import profiles

        return profiles.pictures(result.get("profiles", []), PICTURES) if profiles.can_draw() else {}


def _setting(both: Sequence[Numbers]) -> str:
    return f"{parts.setting(both[0])} Averages of {counts_of(both)} tasks."


def _main_table(both: Sequence[Numbers], protocol: str) -> str:
    """The rows of the paper's table; its columns under its own protocol only."""
    is_paper = protocol == "paper"
    rows = []
    for printed_row in paper.load("table2")["rows"]:
        method, statistic = printed_row["method"], printed_row["statistic"]
        cells = []
        for numbers in both:
            theirs = [printed(numbers.paper(method, None, statistic))] if is_paper else []
            cells += [*theirs, _ours(numbers, method, protocol, statistic)]
        rows.append([printed_row["printed_as"] + _seeds(both, method), *cells])
    heads = [f"{side} {numbers.split}" for numbers in both for side in (("paper", "ours") if is_paper else ("ours",))]
    return table(["", *heads], rows)


def _seeds(both: Sequence[Numbers], method: str) -> str:
    """How many generator seeds a row has, where they are fewer than Gen-HypRL's."""
    counts = [_seed_counts(numbers, method) for numbers in both]
    ours, main = max(count[0] for count in counts), max(count[1] for count in counts)
    return f" ({ours} seed{'s' if ours > 1 else ''})" if 0 < ours < main else ""


def _seed_counts(numbers: Numbers, method: str) -> tuple[int, int]:
    rows = [numbers.row(name, protocol, None) for name in (method, MAIN) for protocol in numbers.protocols[:1]]
    own, main = (row["n_seeds"] if row else 0 for row in rows or (None, None))
    return own, main


def _ours(numbers: Numbers, method: str, protocol: str, statistic: str) -> str:
    if method not in numbers.methods:
        return ABSENT
    return with_interval(numbers.row(method, protocol, None, statistic))


def _by_method(both: Sequence[Numbers], *columns: tuple[str, Callable[[Numbers, str], str]]) -> str:
    """A row a method, Gen-HypRL first: these columns of each split, whose heads may name it."""
    found = dict.fromkeys(method for numbers in both for method in numbers.methods)
    methods = sorted(found, key=lambda method: method != MAIN)
    rows = [[method, *(cell(side, method) for side in both for _, cell in columns)] for method in methods]
    return table(["method", *(head.format(side.split) for side in both for head, _ in columns)], rows)


def _differences_table(both: Sequence[Numbers], protocol: str) -> str:
    """Every method's averages, and how far Gen-HypRL is above them, prompt by prompt."""
    return _by_method(
        both,
        ("{}", lambda side, method: with_interval(side.row(method, protocol, None))),
        ("Gen-HypRL minus it", lambda side, method: with_interval(side.gain(method, protocol, None), "+")),
    )


def _robust(both: Sequence[Numbers], protocols: Sequence[str]) -> list[str]:
    """Interquartile means and probabilities of improvement, under the last protocol."""
    last = protocols[-1]
    rows = _by_method(
        both,
        ("IQM, {}", lambda side, method: with_interval(side.row(method, last, None, "iqm"))),
        ("P(above it), {}", lambda side, method: with_interval(side.improvement(method, last))),
    )
    return [f"## By the field's statistics, {last} protocol", rows, paragraph(ROBUST)]


ROBUST = (
    "IQM: the mean of the middle half of runs x tasks. P(above it), in percent: that a run of Gen-HypRL scores above "
    "one of the method on a task (rliable's probability of improvement: over all pairs of runs, ties by half, then "
    "over tasks); 50 says that neither is better. A run is one generator seed with all its prompts; the intervals "
    "resample seeds and prompts. Performance profiles, the share of runs x tasks above each score, are drawn in "
    f"{PICTURES}.svg and .png where matplotlib is installed."
)

"""Reports: what is written for people from the numbers of a result. A recipe names one; users may swap it.

Whatever it reports, every report says more than its numbers. Above them: that those of a miniature mean nothing, and
every value that differs from the shipped recipe. Below: what stepped Meta-World if that is not what was asked for, and
what a whole run costs. All follow from the result's own provenance, so no kind of table or figure can leave them out.
`closing` is the same in a few lines, for the end of a terminal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from hyprepro.component import COMPONENTS, Component
from hyprepro.errors import UserError
from hyprepro.reports.changes import Change, Departure
from hyprepro.reports.markdown import bullets, paragraph, quote, with_interval
from hyprepro.reports.numbers import TESTED, Words
from hyprepro.reports.summary import MAIN

SMOKE = "smoke"
FEWEST = 5
"""Policies a task below which a success rate and its interval say nothing: 5 of 5 still leave 48 to 100%."""
LENGTHS = ("steps", "updates")
"""Fields that say how long something is trained."""
PAPER_PROMPTS = 100


def framed(text: str, result: Mapping[str, Any]) -> str:
    """A report with what must stand above its numbers, under its headline, and below them what they cost."""
    found = [quote(banner) for banner in [miniature(result)] if banner] + departed(result)
    headline, _, rest = text.partition("\n\n")
    below = [paragraph(note) for note in (refused(result["provenance"]), whole_cost(result["provenance"])) if note]
    return "\n\n".join([headline, *found, rest.rstrip("\n"), *below]) + "\n"


def refused(provenance: Mapping[str, Any]) -> str:
    """That the fast stepper was asked for and metaworld's own ran; empty otherwise."""
    config = provenance.get("config", {})
    wanted = config.get("domain", config).get("stepper")  # results of earlier releases have it beside the domain
    if wanted != "fast" or provenance.get("stepper") != "metaworld":
        return ""
    return (
        "Stepper: metaworld's own env.step ran, since the metaworld here is not the one that the fast stepper was "
        "checked against. The numbers are metaworld's either way; only the time differs."
    )


def whole_cost(provenance: Mapping[str, Any]) -> str:
    """What a run of everything takes, whatever of it this run found finished; empty where a result does not tell."""
    work, stages, workers = (provenance.get(name) for name in ("work_seconds", "stages", "workers"))
    if not work or not stages:
        return ""
    hardware = provenance.get("hardware", {})
    machine = f"{hardware.get('cpu', 'an unknown processor')}, {hardware.get('cores', '?')} cores"
    made, wall = provenance.get("stages_made", stages), provenance.get("wall_seconds")
    whole = f"Cost: a whole run is {stages} stages, {work / 60:.1f} minutes of work for one core ({machine})"
    whole += f", so {work / 60 / workers:.1f} on {workers} workers" if workers and workers > 1 else ""
    if wall is None:
        return f"{whole}."
    took = "all of them" if made == stages else f"{made} of them"
    return f"{whole}. This run made {took}, in {wall / 60:.1f} minutes beside whatever else the machine did."


def miniature(result: Mapping[str, Any]) -> str:
    """What a reader must know of a run that only shows that everything runs; empty for other runs."""
    row = next(iter(_averages(result)), None)
    is_smoke = result.get("scale") == SMOKE
    is_few = row is not None and row["metric"] == "success_rate" and _policies(result, row) < FEWEST
    if not (is_smoke or is_few):
        return ""
    sizes = [] if row is None else _sizes(result, row)
    steps = dict(_lengths(result["provenance"].get("config", {}).get("methods", [])))
    if is_smoke and steps:
        each = ", ".join(f"{name} {count:,}" for name, count in steps.items())
        sizes.append(f"networks trained for {min(steps.values()):,} to {max(steps.values()):,} steps ({each})")
    title = "Smoke numbers mean nothing." if is_smoke else "So few policies say nothing."
    return (
        f"**{title}** This run shows that every stage works, and is a miniature: {'; '.join(sizes)}. No number below, "
        "and no interval, can be held against the paper's. Numbers that count take `--scale desktop`."
    )


def _sizes(result: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """How few policies, starts and seeds stand behind an average."""
    policies, seeds = _policies(result, row), row["n_seeds"]
    generators = f"{seeds} generator seed{'' if seeds == 1 else 's'}"
    if row["metric"] == "return":
        starts = row["n_episodes"] // max(row["n_policies"] * seeds, 1)
        return [f"{policies} policies a {Words.of(result).told}, {starts} starts each", generators]
    return [f"{policies} prompts, and so {policies} policies, a task (the paper: {PAPER_PROMPTS})", generators]


def _policies(result: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Policies of one seed and task behind an average."""
    return int(row["n_policies"] // max(_tasks(result, row), 1))


def _tasks(result: Mapping[str, Any], average: Mapping[str, Any]) -> int:
    """How many tasks an average is of."""
    rows = [row for row in result["rows"] if all(row.get(name) == average.get(name) for name in _PLACE)]
    order = list(dict.fromkeys(row["task"] for row in rows))
    return order.index(None) or len(order) - 1


_PLACE = ("method", "split", "protocol", "n_train", "zoo")


def _lengths(value: Any) -> Iterator[tuple[str, int]]:
    """How long each part of a configuration is trained: "HypLatent", 60. Fits at test time are no training."""
    if isinstance(value, list):
        for item in value:
            yield from _lengths(item)
    if isinstance(value, dict):
        for name in LENGTHS:
            if isinstance(value.get(name), int) and value[name] > 0 and "component" in value:
                yield str(value["component"]), value[name]
        for name, item in value.items():
            if name != "adaptation":
                yield from _lengths(item)


def departed(result: Mapping[str, Any]) -> list[str]:
    """Every value that differs from the shipped recipe, as the run recorded it."""
    departure = Departure.read(result["provenance"].get("shipped"))
    if departure is None:
        return []
    if not departure.shipped:
        return [quote("**A recipe of its own.** None of its name is shipped; `config.json` has every value.")]
    if not departure.changes:
        return []
    count = len(departure.changes)
    title = (
        f"**Not the shipped recipe.** {count} value{'s differ' if count > 1 else ' differs'} from "
        f"`hyprepro run {departure.shipped}`:"
    )
    return [paragraph(title), bullets([_change(change) for change in departure.changes])]


def _change(change: Change) -> str:
    settings, places = (", ".join(f"`{name}`" for name in names) for names in (change.settings, change.paths))
    here, shipped = change.values
    return f"{settings}: `{here}`; shipped: `{shipped}`. At {places}."


def closing(result: Mapping[str, Any]) -> list[str]:
    """The headline once more, for the end of a terminal: what the numbers are of, then Gen-HypRL's averages."""
    lines = []
    if miniature(result):
        lines.append(miniature(result).replace("**", "").replace("`", ""))
    departure = Departure.read(result["provenance"].get("shipped"))
    if departure is not None and departure.shipped and departure.changes:
        names = ", ".join(dict.fromkeys(name for change in departure.changes for name in change.settings))
        lines.append(f"Not the shipped recipe: {names} (values and places stand at the top of the table).")
    note = refused(result["provenance"])
    return lines + ([note] if note else []) + headline(result)


def headline(result: Mapping[str, Any]) -> list[str]:
    """A line for each average of the rows that the report is about, all protocols in it, the paper's number beside."""
    found: dict[str, list[str]] = {}
    words = Words.of(result)
    for row in _averages(result):
        size = f", {row['n_train']} training {words.many}" if row.get("n_train") is not None else ""
        one, many = (words.told, words.many) if row["metric"] == "return" else ("task", "tasks")
        count = _tasks(result, row)
        zoo = f" ({row['zoo']})" if row.get("zoo") else ""
        name = f"{row['method']}{zoo}, average of {count} {row['split']} {one if count == 1 else many}{size}"
        paper = row.get("paper")
        theirs = (
            f" (the paper: {100 * paper if row['metric'] == 'success_rate' else paper:g})" if paper is not None else ""
        )
        found.setdefault(name, []).append(f"{_label(row)} {with_interval(row)}{theirs}")
    return [f"{name}: {'; '.join(values)}" for name, values in found.items()]


def _label(row: Mapping[str, Any]) -> str:
    """What a value is: its protocol, or in a picture of latents its distance."""
    named = {"success_rate": f"{row['protocol']} protocol", "return": "return"}
    return named.get(row["metric"], f"{row['statistic']} distance")


def _averages(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The averages of Gen-HypRL and of the row that others are compared with; where there is neither, of the first row.

    Of a sweep over numbers those of the tested ones alone.
    """
    rows = [row for row in result["rows"] if row["task"] is None]
    first = next((row["statistic"] for row in rows), None)
    rows = [row for row in rows if row["statistic"] in ("mean", first)]
    rows = [row for row in rows if row["metric"] != "return" or row["split"] in TESTED]
    leading = {MAIN, result["provenance"].get("config", {}).get("reference")}
    found = [row for row in rows if row["method"] in leading]
    return found or [row for row in rows if row["method"] == rows[0]["method"]]


TABLE = "table.md"


class Report(Component, ABC):
    """Turns the content of a result.json into Markdown and, for a figure, pictures; reads nothing but the records."""

    slot: ClassVar[str] = "report"
    shows: ClassVar[str] = ""
    """What its pictures show, in a sentence for those who do not see them."""
    tells_zoos: ClassVar[bool] = False
    """Whether it tells the zoos of a result apart."""

    @abstractmethod
    def markdown(self, result: Mapping[str, Any]) -> str:
        """The numbers and notes of table.md under a first line with the headline, at most 120 characters wide."""

    def page(self, result: Mapping[str, Any]) -> str:
        """The whole of table.md: above the numbers what a reader must know of any run (see `frame`)."""
        return framed(self.markdown(result), result)

    def side_by_side(self, result: Mapping[str, Any]) -> str:
        """The short comparison with the paper for paper_tables/; the whole report unless there is a shorter one."""
        return self.markdown(result)

    def figures(self, result: Mapping[str, Any]) -> dict[str, bytes]:
        """Further files by name; equal results give equal bytes."""
        return {}

    def require(self) -> None:
        """Fail before any work if the report could not be made here (`UserError`)."""

    def files(self, result: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
        """Everything that belongs beside the result.json, by file name; `folder` holds the result's records."""
        return {TABLE: self.page(result).encode(), **self.figures(result)}


def files_of(report: Report, result: Mapping[str, Any], path: Path) -> dict[str, bytes]:
    """A report's files for a result that was read from `path`, which somebody may have edited.

    Raises:
        UserError: The result is well-formed, and makes no sense to its own report.
    """
    with fitting(path):
        return report.files(result, path.parent)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """For the time that a report makes something of a result that was read from `path`.

    Raises:
        UserError: The result is well-formed, and makes no sense to its own report.
    """
    from hyprepro.reports.reading import AGAIN

    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            "The result does not fit its own report.", where=f"{path}: {type(error).__name__}: {error}", fix=AGAIN
        ) from error


def report_of(result: Mapping[str, Any]) -> Report:
    """The report that a result was written with.

    Raises:
        UserError: The result names none that is installed, or with settings that it does not have.
    """
    from hyprepro.config.catalogue import load_components
    from hyprepro.config.lint import RENAMED

    load_components()
    described = dict(result["provenance"].get("config", {}).get("report") or {})
    name = str(described.pop("component", ""))
    found = COMPONENTS.get(RENAMED.get(name, name))
    if found is None or not issubclass(found, Report):
        raise UserError(
            "The result does not say how it is reported.",
            where="provenance.config.report",
            fix="make it again with this version: hyprepro run RECIPE",
        )
    try:
        return found.model_validate({name: _tuples(value) for name, value in described.items()})
    except ValueError as error:
        raise UserError(
            "The result's report has unknown settings.",
            where=str(error),
            fix="make it again with this version: hyprepro run RECIPE",
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value

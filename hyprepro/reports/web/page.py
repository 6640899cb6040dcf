"""Results as one HTML page: nothing is loaded from elsewhere, everything from a file is escaped.

What a page says of a result follows from its result.json: the report's own text, a table of every row and comparison,
what each method knows, where the numbers come from and how to make them again.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hyprepro.reports.changes import Departure, is_component
from hyprepro.reports.markdown import NONE, point, printed, with_interval
from hyprepro.reports.notes import knowledge
from hyprepro.reports.reading import KEY
from hyprepro.reports.report import Report, closing, fitting
from hyprepro.reports.summary import IMPROVEMENT
from hyprepro.reports.web.media import Media
from hyprepro.reports.web.prose import Prose, prose

SETTINGS = "operative_config.gin"
LONGEST = 400_000
"""Letters of a configuration that are shown."""
DEEPEST = 4
"""Levels of the provenance that its table shows, and no settings of components; the whole of it stands below."""
ANSWERED = frozenset(("config", "shipped"))
"""Parts of the provenance that have a place of their own on the page."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""What no HTML may hold, and what would turn the direction of the text around it."""


class Table(NamedTuple):
    """A table of plain cells.

    Attributes:
        caption: What it shows.
        heads: The columns' names.
        rows: Their cells; the first of a row names it.
        numbers: The columns of numbers, which are set to the right.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()


NO_MEDIA = Media((), ())
NO_TABLE = Table("", (), ())


@dataclass(frozen=True)
class Section:
    """One result, or another text, on a page.

    Attributes:
        title: Its headline.
        text: What it says, as HTML.
        glance: The most important numbers, a line each.
        warnings: What a reader must know before all else.
        media: Figures and films.
        shows: What the figures show.
        knows: Each method with what it is given.
        numbers: Every number.
        repeat: Sentences, each with the commands that follow it.
        provenance: Where the numbers come from.
        files: Configurations by name.
    """

    title: str
    text: Markup
    glance: Sequence[str] = ()
    warnings: Sequence[str] = ()
    media: Media = NO_MEDIA
    shows: str = ""
    knows: Sequence[tuple[str, str]] = ()
    numbers: Sequence[Table] = ()
    repeat: Sequence[tuple[str, Sequence[str]]] = ()
    provenance: Table = NO_TABLE
    files: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Shown:
    """A result that goes on a page.

    Attributes:
        place: The result.json.
        result: Its content.
        report: Its report.
        media: What lies beside it.
        settings: Its operative configuration; empty where there is none.
        warnings: What was found wrong with it.
    """

    place: Path
    result: Mapping[str, Any]
    report: Report
    media: Media = NO_MEDIA
    settings: str = ""
    warnings: Sequence[str] = ()


def page_of(shown: Sequence[Shown], readings: Sequence[str] = ()) -> bytes:
    """The page of some results.

    Args:
        shown: The results, in order.
        readings: Texts in Markdown on what they say.

    Raises:
        UserError: A result makes no sense to its own report.
    """
    sections = []
    for each in shown:
        with fitting(each.place):
            sections.append(_section(each, 3 if len(shown) > 1 else 2))
    title = sections[0].title if len(sections) == 1 else f"{len(sections)} results of hyprepro"
    return page(title, sections, [prose(text, 3) for text in readings])


def page(title: str, sections: Sequence[Section], readings: Sequence[Prose] = ()) -> bytes:
    """A page as UTF-8.

    Args:
        title: Its headline.
        sections: What it shows; headings in their text begin at level 2 where there is one, else at level 3.
        readings: What stands below.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.jinja")
    footer = "This page was written by hyprepro."
    text = template.render(title=title, sections=sections, readings=readings, footer=footer)
    return _UNPRINTABLE.sub("\ufffd", text).encode()


def _section(shown: Shown, level: int) -> Section:
    result, report = shown.result, shown.report
    markdown = report.page(result)
    text = prose(markdown, level)
    is_told = any(line in markdown for line in knowledge(result)[:1])
    methods = result.get("methods", {})
    files = [
        ("The resolved recipe, and all else that the result says of what made it", _json(result["provenance"])),
        (f"{SETTINGS}: every value, and where it was set", shown.settings),
    ]
    return Section(
        title=text.title or str(result.get("recipe", "Result")),
        text=text.html,
        glance=closing(result),
        warnings=shown.warnings,
        media=shown.media,
        shows=report.shows,
        knows=[] if is_told else [(name, each["knows"]) for name, each in methods.items() if each.get("knows")],
        numbers=list(_numbers(result)),
        repeat=list(_repeat(result, bool(shown.settings))),
        provenance=_provenance(result),
        files=[(name, _cut(text)) for name, text in files if text],
    )


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n... ({len(text) - LONGEST} letters more)"


def _numbers(result: Mapping[str, Any]) -> Iterator[Table]:
    """All rows and all comparisons, in columns for what tells them apart."""
    rows = result["rows"]
    if rows:
        heads = ("value [95% interval]", "paper", "policies", "episodes", "seeds")
        cells = [
            (with_interval(row), _paper(row), *(str(row[name]) for name in ("n_policies", "n_episodes", "n_seeds")))
            for row in rows
        ]
        yield _table(f"The {len(rows)} numbers of this result", rows, heads, cells)
    pairs = result.get("comparisons", [])
    if pairs:
        cells_ = [(with_interval(row, "" if row["statistic"] == IMPROVEMENT else "+"),) for row in pairs]
        yield _table(f"The {len(pairs)} comparisons, paired", pairs, ("value [95% interval]",), cells_)


def _paper(row: Mapping[str, Any]) -> str:
    if row.get("paper") is None:
        return NONE
    return printed(row["paper"]) if row["metric"] == "success_rate" else point({**row, "value": row["paper"]})


def _table(
    caption: str, rows: Sequence[Mapping[str, Any]], heads: Sequence[str], cells: Sequence[Sequence[str]]
) -> Table:
    """Rows with their numbers; what all of them share is told once, in the caption."""
    told = {name: [_told(name, row.get(name)) for row in rows] for name in KEY}
    varied = [name for name in KEY if name == "method" or len(set(told[name])) > 1]
    shared = [f"{name} {told[name][0]}" for name in KEY if name not in varied and told[name][0] != NONE]
    lines = [(*(told[name][i] for name in varied), *cells[i]) for i in range(len(rows))]
    numbers = frozenset(range(len(varied), len(varied) + len(heads)))
    unit = "; success rates in percent" if any(row["metric"] == "success_rate" for row in rows) else ""
    return Table(f"{caption} ({', '.join(shared)}{unit})", [*varied, *heads], lines, numbers)


def _told(name: str, value: Any) -> str:
    return ("average" if name == "task" else NONE) if value is None else str(value)


def _provenance(result: Mapping[str, Any]) -> Table:
    """What the result says of what made it, without settings of settings."""
    provenance = {name: value for name, value in result["provenance"].items() if name not in ANSWERED}
    said = {name: result.get(name) for name in ("recipe", "scale", "variant", "digest", "schema")}
    rows = [row for name, value in {**said, **provenance}.items() for row in _flat(name, value)]
    return Table("What made these numbers", ("what", "value"), rows)


def _flat(name: str, value: Any, level: int = 0) -> Iterator[tuple[str, str]]:
    """A line for each value inside a value, down to `DEEPEST` levels."""
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        value = {str(number): inner for number, inner in enumerate(value, start=1)}
    if not isinstance(value, dict):
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield name.replace("_", " "), words
    elif level < DEEPEST and not is_component(value):
        for key, inner in value.items():
            yield from _flat(f"{name} {key}", inner, level + 1)


def _repeat(result: Mapping[str, Any], has_settings: bool) -> Iterator[tuple[str, Sequence[str]]]:
    """How to make the result again; a command holds nothing from the result but plain names."""
    names = [str(result.get(name, "")) for name in ("recipe", "scale", "variant")]
    departure = Departure.read(result["provenance"].get("shipped"))
    versions = result["provenance"].get("versions", {})
    known = ", ".join(f"{name} {versions[name]}" for name in ("metaworld", "mujoco", "torch") if name in versions)
    yield (
        f"In a checkout of hyprepro {versions.get('hyprepro', '')}{f', with {known}' if known else ''}:",
        ["pip install -e . -c constraints.txt"],
    )
    is_shipped = departure is not None and departure.shipped and not departure.changes
    if is_shipped and all(_NAME.fullmatch(name) for name in names):
        recipe, scale, variant = map(shlex.quote, names)
        flags = f"{recipe} --scale {scale}" + ("" if variant == "ours" else f" --variant {variant}")
        yield (
            "Make it, and hold it against the committed result:",
            [
                f"hyprepro run {flags}",
                f"hyprepro check {flags}",
            ],
        )
    elif has_settings:
        yield (
            f"Save {SETTINGS} below, which has every value of this recipe, beside the modules that it imports:",
            [f"hyprepro run {SETTINGS}"],
        )
    else:
        yield "Its recipe is not the shipped one, and no operative configuration lies beside the result.", []

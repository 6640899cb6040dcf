"""`hyprepro report`: results as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyprepro.cli import arguments, console
from hyprepro.errors import UserError
from hyprepro.experiments.choice import choose, committed_result

if TYPE_CHECKING:
    from hyprepro.reports.web.page import Shown

CHANGED = (
    "The records beside this result do not give its digest: its numbers, or its records, were changed after the run. "
    "Computed anew by: hyprepro adopt RUN"
)
NO_DIGEST = "This result has no digest, so nobody can tell whether its numbers are those of its records."

SourcesArgument = Annotated[
    list[str],
    typer.Argument(metavar="RESULT...", help="Folders of results or their result.json; a recipe is its committed one."),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="The page.")]
ReadingOption = Annotated[
    Path | None,
    typer.Option(
        "--reading",
        metavar="FILE",
        help="A Markdown text on what the results say, to stand below them.",
        show_default="the README.md of a folder of references",
    ),
]


def report(
    results: SourcesArgument,
    out: OutOption = Path("report.html"),
    reading: ReadingOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Write results as one HTML page that holds all it shows: to be sent, read on a phone, printed.

    Tables with intervals, figures and films that lie beside a result, what each method knows, where the numbers come
    from, how to repeat them. The page loads nothing and runs nothing; what it says follows from result.json alone.
    """
    from hyprepro.engine.stage import explaining, make_folder, write_atomically
    from hyprepro.reports.web.page import page_of

    paths = [_path(source) for source in results]
    shown = [_shown(path) for path in paths]
    texts = _readings(paths, reading)
    content = page_of(shown, texts)
    if out.is_dir():
        raise UserError(
            "A folder stands where the page would go.", where=f"--out {out}", fix=f"--out {out}/report.html"
        )
    with explaining(out):
        make_folder(out.parent)
        write_atomically(out, content)
    left_out = [
        f"{path.parent / name}" for path, each in zip(paths, shown, strict=True) for name in each.media.left_out
    ]
    if json:
        files = {"file": str(out), "bytes": len(content), "results": list(map(str, paths)), "left_out": left_out}
        console.print_json(files)
        return
    console.line(str(out))
    console.note(f"{len(content) / 1e6:.2f} MB, {len(paths)} result{'s' if len(paths) > 1 else ''}")
    for name in left_out:
        console.note(f"Not on the page: {name}")


def _path(source: str) -> Path:
    """The result.json that an argument names, or that is committed of a recipe."""
    return arguments.result_file(source) or committed_result(choose(source))


def _shown(path: Path) -> Shown:
    """A result with what lies beside it.

    Raises:
        UserError: There is none, it is damaged or of another schema, or it has no records.
    """
    from hyprepro.config.files import read
    from hyprepro.reports.reading import read_result
    from hyprepro.reports.report import report_of
    from hyprepro.reports.web.media import media
    from hyprepro.reports.web.page import SETTINGS, Shown

    result = read_result(path)
    records = _records(path)
    settings = path.parent / SETTINGS
    return Shown(
        path,
        result,
        report_of(result),
        media(path.parent),
        read(settings) if settings.is_file() else "",
        _doubts(result, records),
    )


def _records(path: Path) -> Sequence[tuple[Any, ...]]:
    from hyprepro.reports.summaries import READERS, records_in

    file = records_in(path.parent)
    found = READERS[file.name](file) if file is not None else ()
    if not found:
        raise UserError(
            "This result has no records, from which every number of a result is computed.",
            where=str(file or path.parent),
            fix="Name the folder that a run wrote; records.csv.gz belongs beside result.json.",
        )
    return found


def _doubts(result: Mapping[str, Any], records: Sequence[tuple[Any, ...]]) -> list[str]:
    """What does not fit together in a result."""
    from hyprepro.experiments.results import digest

    if not result.get("digest"):
        return [NO_DIGEST]
    return [] if digest(records, result["rows"], result.get("comparisons", ())) == result["digest"] else [CHANGED]


def _readings(paths: Sequence[Path], named: Path | None) -> list[str]:
    """The text that was named, or that of each folder of references that results lie in."""
    from hyprepro.experiments.references import reading_of
    from hyprepro.reports.reading import read_text

    files = [named] if named else dict.fromkeys(filter(None, (reading_of(path.parent) for path in paths)))
    return [read_text(file) for file in files]

"""References: the committed results that fresh numbers are held against.

    results/RECIPE/SCALE/   in a checkout, or in the folder where a user keeps references of her own recipes
    hyprepro/references/    the same result.json files, in an installed wheel

No run writes here: runs have a folder of their own, `runs/`. A finished run becomes a reference by `adopt` alone, which
takes no number from the run's result.json but computes all of them again from its records, and writes these in
today's form. It leaves a mark in the
folder of references, by which every run, from whatever working folder, leaves that folder alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyprepro.engine.stage import explaining, make_folder, staging_folder, sweep, write_atomically
from hyprepro.errors import UserError
from hyprepro.experiments.results import digest, result_text
from hyprepro.reports.reading import RESULT, read_result

REFERENCES = "results"
PACKAGE = Path(__file__).resolve().parents[1]
SIDE_BY_SIDE = "paper_tables"
MARK = ".references"
README = "README.md"
"""What all references together say, claim by claim."""
MARKED = "Results below this folder are references: hyprepro adopt writes them, and no run does.\n"


def roots() -> tuple[Path, ...]:
    """The folders of references, the first one counts: the working folder's, the checkout's, the wheel's."""
    return Path.cwd() / REFERENCES, PACKAGE.parent / REFERENCES, PACKAGE / "references"


def is_reference(folder: Path) -> bool:
    """Whether a folder is one that references are kept in, so that no run may write there."""
    place = folder.resolve()
    known = any(place.is_relative_to(root.resolve()) for root in roots() if root.is_dir())
    return known or any((parent / MARK).exists() for parent in (place, *place.parents))


def reading_of(folder: Path) -> Path | None:
    """The text that says what the references say, for a result that is one of them; None where there is none."""
    root = next((parent for parent in folder.resolve().parents if (parent / MARK).exists()), None)
    return root / README if root is not None and (root / README).is_file() else None


@dataclass(frozen=True)
class Adopted:
    """What became of a result.

    Attributes:
        folder: Where the reference stands now.
        changed: Numbers that differ between the result.json as it was and what its records say.
    """

    folder: Path
    changed: int


def adopt(source: Path, root: Path) -> Adopted:
    """Make a finished result the reference of its recipe, scale and variant.

    Args:
        source: The result's folder. A reference itself is computed again, for when the statistics or the form of the
            records changed.
        root: The folder of references to write to; `paper_tables/` beside it, if there is one, follows.

    Raises:
        UserError: The result is damaged, incomplete, of a changed recipe, or the folder cannot be written.
    """
    from hyprepro.reports.report import files_of, report_of
    from hyprepro.reports.summaries import renew_records

    before = read_result(source / RESULT)
    _refuse_changed(before, source)
    result = recomputed(source)
    parts = [str(before["scale"])] + ([str(before["variant"])] if before["variant"] != "ours" else [])
    folder = root / str(before["recipe"]) / "-".join(parts)
    report = report_of(result)
    report.require()
    with explaining(folder):
        make_folder(folder)
        (root / MARK).write_text(MARKED, encoding="utf-8")
        files = {
            path.name: path.read_bytes()
            for path in sorted(source.iterdir())
            if path.is_file() and not path.name.startswith(".")
        }
        files |= files_of(report, result, source / RESULT)
        sweep(folder)
        with staging_folder(folder) as staging:
            for name, content in files.items():
                (staging / name).write_bytes(content)
            renew_records(staging)
            (staging / RESULT).write_text(result_text(result), encoding="utf-8")
            for name in sorted(files, key=lambda name: name == RESULT):  # result.json last
                (staging / name).replace(folder / name)
        beside = root.parent / SIDE_BY_SIDE / f"{before['recipe']}.md"
        if beside.is_file():
            write_atomically(beside, report.side_by_side(result).encode())
    return Adopted(folder, _changes(before, result))


def recomputed(folder: Path) -> dict[str, Any]:
    """The result of a folder with every number computed again from the records that lie beside it.

    Raises:
        UserError: The result or its records are missing, damaged or incomplete.
    """
    from hyprepro.reports.summaries import read_summary

    result = read_result(folder / RESULT)
    records, summary = read_summary(folder, result)
    numbers = {"rows": summary.rows, "comparisons": summary.comparisons, "profiles": summary.profiles}
    return {**result, "digest": digest(records, summary.rows, summary.comparisons), **numbers}


def _refuse_changed(result: Mapping[str, Any], source: Path) -> None:
    """A reference is of a recipe as it is shipped, or as the user's own file has it."""
    changes = result["provenance"].get("shipped", {}).get("changes")
    if changes:
        raise UserError(
            f"This result is of a changed recipe ({len(changes)} values differ).",
            where=str(source / RESULT),
            fix="Adopt a run without -b, -g and --seeds; put lasting changes into a recipe file of your own.",
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    sides = [[*result["rows"], *result.get("comparisons", [])] for result in (before, after)]
    texts = [{json.dumps(row, sort_keys=True) for row in side} for side in sides]
    return len(texts[1] - texts[0])

"""The numbers of any kind of result, from the records that lie beside its result.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyprepro.reports.audit import AUDIT, read_audit, summarise_audit
from hyprepro.reports.cells import refused_in
from hyprepro.reports.latents import LATENTS, read_latents, summarise_latents
from hyprepro.reports.records import RECORDS, read_records, write_records
from hyprepro.reports.summary import Summary, summarise

TASKS = ("seen", "below", "unseen")
"""Where a recipe names its tasks, in the order of its rows; one that names none there has those of its records."""


READERS: Mapping[str, Callable[[Path], Sequence[tuple[Any, ...]]]] = {
    LATENTS: read_latents,
    AUDIT: read_audit,
    RECORDS: read_records,
}
"""What reads the records beside a result.json, by the name of their file."""
OTHERS: Mapping[str, Callable[[Any], Summary]] = {LATENTS: summarise_latents, AUDIT: summarise_audit}
"""What computes the numbers of records that are no rollouts."""


def records_in(folder: Path) -> Path | None:
    """The file of records in the folder of a result; None where it holds none."""
    return next((folder / name for name in READERS if (folder / name).is_file()), None)


def read_summary(folder: Path, result: Mapping[str, Any]) -> tuple[Sequence[tuple[Any, ...]], Summary]:
    """The records of a folder, and what is computed from them.

    Args:
        folder: Holds the records.
        result: The content of the result.json beside them: the recipe says which tasks are averaged.

    Raises:
        UserError: The records are missing, damaged or incomplete.
    """
    for name, summarised in OTHERS.items():
        if (folder / name).is_file():
            found = READERS[name](folder / name)
            return found, summarised(found)
    records, config = read_records(folder / RECORDS), result["provenance"].get("config", {})
    tasks = [task for name in TASKS for task in config.get(name, ())]
    summary = summarise(
        records,
        recipe=str(result["recipe"]),
        tasks=tasks,
        below=config.get("below", ()),
        reference=str(config.get("reference")),
        pairs=config.get("pairs", ()),
        refused=refused_in(result),
    )
    return records, summary


def renew_records(folder: Path) -> None:
    """Write the records of rollouts in a folder again, in today's form.

    Raises:
        UserError: They are damaged.
    """
    if (folder / RECORDS).is_file():
        write_records(folder / RECORDS, read_records(folder / RECORDS))

"""Records: one tidy row a rollout, written once; every table, figure and interval is computed from them.

CSV, so that anything reads it; gzip for a name ending in `.gz`, without a time stamp, so that equal records are equal
files.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hyprepro.errors import UserError


class Record(NamedTuple):
    """One rollout.

    Attributes:
        method: The method's label, such as "gen-hyprl".
        variant: "ours", "paper" or "released"; empty until a run fills it in.
        seed: The generator seed; 0 for methods without one.
        split: "seen" or "unseen".
        task: The Meta-World task.
        protocol: "paper", "strict" or "validation".
        policy: Index of the policy, which is that of its prompt.
        goal: The goal's label, such as "paper-720" or "fresh-4000017".
        success: Whether the success flag was true at any step.
        steps: Steps until success, or those after which the episode was given up.
    """

    method: str
    variant: str
    seed: int
    split: str
    task: str
    protocol: str
    policy: int
    goal: str
    success: bool
    steps: int


def with_variant(records: Iterable[Record], variant: str) -> list[Record]:
    """The same records under a variant's name."""
    return [record._replace(variant=variant) for record in records]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records in the order given, under a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Record._fields)
    writer.writerows([int(value) if isinstance(value, bool) else value for value in record] for record in records)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_records(path: Path) -> list[Record]:
    """Read records.

    Raises:
        UserError: The file is missing, is not a records file, or has a malformed line.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            "The records cannot be read.",
            where=f"{path}: {error}",
            fix="the cached or written file is damaged: remove its folder and run the same command again",
        ) from None
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    if tuple(header) != Record._fields:
        fix = f"its header must be {','.join(Record._fields)}"
        raise UserError("This is not a records file.", where=str(path), fix=fix)
    return [_parse(row, path, number) for number, row in enumerate(rows, start=2)]


def _parse(row: list[str], path: Path, line: int) -> Record:
    try:
        method, variant, seed, split, task, protocol, policy, goal, success, steps = row
        succeeded = {"0": False, "1": True}[success]
        return Record(method, variant, int(seed), split, task, protocol, int(policy), goal, succeeded, int(steps))
    except (ValueError, KeyError):
        raise UserError(
            "A line of the records is malformed.",
            where=f"{path}:{line}: {','.join(row)}",
            fix="the cached or written file is damaged: remove its folder and run the same command again",
        ) from None

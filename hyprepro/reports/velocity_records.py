"""Records of Cheetah-Vel: one tidy row an episode, from which Table 4 and its figure are computed.

CSV like the records of Meta-World; gzip for a name ending in `.gz`, without a time stamp.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hyprepro.domains.cheetah_vel.tasks import velocity_task
from hyprepro.errors import UserError


class VelocityRecord(NamedTuple):
    """One episode.

    Attributes:
        method: The method's name.
        variant: "ours", "paper" or "released"; empty until a run fills it in.
        seed: The seed; 0 for methods without one.
        split: "test"; "validation" for withheld training velocities that settings are chosen by; for other velocities
            of the grid "seen" or "unseen", whether the method was trained on them.
        n_train: Number of training velocities; None for a method that does not depend on them.
        velocity: The target velocity, in m/s.
        policy: Index of the controller.
        start: Seed of the start noise.
        total: The undiscounted return.
    """

    method: str
    variant: str
    seed: int
    split: str
    n_train: int | None
    velocity: float
    policy: int
    start: int
    total: float

    @property
    def task(self) -> str:
        """The velocity as the stores name it."""
        return velocity_task(self.velocity)


HEADER = (*VelocityRecord._fields[:-1], "return")


def write_records(path: Path, records: Iterable[VelocityRecord]) -> None:
    """Write records in the order given, under a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(records)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_records(path: Path) -> list[VelocityRecord]:
    """Read records.

    Raises:
        UserError: The file is missing, is not a file of these records, or has a malformed line.
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
    if tuple(next(rows, [])) != HEADER:
        raise UserError("This is no file of returns.", where=str(path), fix=f"its header must be {','.join(HEADER)}")
    return [_parse(row, f"{path}:{number}") for number, row in enumerate(rows, start=2)]


def _parse(row: list[str], where: str) -> VelocityRecord:
    try:
        method, variant, seed, split, n_train, velocity, policy, start, total = row
        size = int(n_train) if n_train else None
        return VelocityRecord(
            method, variant, int(seed), split, size, float(velocity), int(policy), int(start), float(total)
        )
    except ValueError as error:
        raise UserError(
            "A line of the records is malformed.",
            where=f"{where}: {error}",
            fix="the cached or written file is damaged: remove its folder and run the same command again",
        ) from None

"""Records of latents: one tidy row a latent, from which Figure 4 and its numbers are computed.

CSV like the records of rollouts; gzip for a name ending in `.gz`, without a time stamp.
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

TRUE = "true-latents"
"""The `method` of true latents."""


class LatentRecord(NamedTuple):
    """One latent, predicted or true. Distances are Euclidean, in the whole latent space.

    Attributes:
        method: The method's name, or `TRUE`.
        variant: "ours", "paper" or "released"; empty until a run fills it in.
        seed: The generator seed; 0 for true latents.
        split: Where the prompt comes from: "seen", as the task has training policies, or "unseen".
        task: The Meta-World task.
        prompt: Index of the prompt.
        policy: Row of the prompt's source policy in the policy store: prompts of one policy have one true latent.
        distance: To the prompt's own true latent; of a true latent, to the mean of its task's true latents.
        nearest: To the nearest true latent of the task; of a true latent, to the nearest of another policy (0 if none).
        outside: To the space that the coordinates span.
        at: Principal coordinates, the first two of which the figure shows.
    """

    method: str
    variant: str
    seed: int
    split: str
    task: str
    prompt: int
    policy: int
    distance: float
    nearest: float
    outside: float
    at: tuple[float, ...]


_PLAIN = LatentRecord._fields[:-1]


def write_latents(path: Path, records: Iterable[LatentRecord]) -> None:
    """Write records in the order given, under a header line that ends in pc1, pc2, ..."""
    rows = [(*record[:-1], *record.at) for record in records]
    axes = len(rows[0]) - len(_PLAIN) if rows else 0
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_PLAIN, *(f"pc{number + 1}" for number in range(axes))])
    writer.writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_latents(path: Path) -> list[LatentRecord]:
    """Read records.

    Raises:
        UserError: The file is missing, is not a file of latents, or has a malformed line.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            "The latents cannot be read.",
            where=f"{path}: {error}",
            fix="the cached or written file is damaged: remove its folder and run the same command again",
        ) from None
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    if tuple(header[: len(_PLAIN)]) != _PLAIN:
        raise UserError(
            "This is not a file of latents.", where=str(path), fix=f"its header must begin {','.join(_PLAIN)}"
        )
    return [_parse(row, len(header), f"{path}:{number}") for number, row in enumerate(rows, start=2)]


def _parse(row: list[str], width: int, where: str) -> LatentRecord:
    try:
        if len(row) != width:
            raise ValueError(f"{len(row)} values instead of {width}")
        method, variant, seed, split, task, prompt, policy = row[:7]
        distance, nearest, outside, *at = map(float, row[7:])
        return LatentRecord(
            method, variant, int(seed), split, task, int(prompt), int(policy), distance, nearest, outside, tuple(at)
        )
    except ValueError as error:
        raise UserError(
            "A line of the latents is malformed.",
            where=f"{where}: {error}",
            fix="the cached or written file is damaged: remove its folder and run the same command again",
        ) from None

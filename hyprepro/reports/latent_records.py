"""Records of latents: one tidy row a latent, from which Figure 4 and its numbers are computed.

CSV like the records of rollouts; gzip for a name ending in `.gz`, without a time stamp.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hyprepro.errors import UserError
from hyprepro.reports.records import finite, parsed, read_csv, write_csv

LATENTS = "latents.csv.gz"
"""The file beside a result.json."""
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
    write_csv(path, (*_PLAIN, *(f"pc{number + 1}" for number in range(axes))), rows)


def read_latents(path: Path) -> list[LatentRecord]:
    """Read records.

    Raises:
        UserError: The file is missing, is not a file of latents, or has a malformed line.
    """
    header, lines = read_csv(path, "latents")
    if header[: len(_PLAIN)] != _PLAIN:
        fix = f"its header must begin {','.join(_PLAIN)}"
        raise UserError("This is not a file of latents.", where=str(path), fix=fix)

    def latent(*values: str) -> LatentRecord:
        if len(values) != len(header):
            raise ValueError(f"{len(values)} values instead of {len(header)}")
        method, variant, seed, split, task, prompt, policy = values[:7]
        distance, nearest, outside, *at = map(finite, values[7:])
        return LatentRecord(
            method, variant, int(seed), split, task, int(prompt), int(policy), distance, nearest, outside, tuple(at)
        )

    return list(parsed(lines, latent, "latents"))

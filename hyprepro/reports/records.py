"""Records: one tidy row a rollout, written once; every table, figure and interval is computed from them.

CSV, so that anything reads it; gzip for a name ending in `.gz`, without a time stamp, so that equal records are equal
files. Success and returns have had files of their own; both older forms are read, and turned into these records.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hyprepro.errors import UserError

T = TypeVar("T")

RECORDS = "records.csv.gz"
MOST_BYTES = 200_000_000
"""Of unpacked records that are read; the largest committed ones have eleven million."""
"""The file beside a result.json."""
SUCCESS, RETURN = "success_rate", "return"
"""What rollouts are scored by, as rows name it."""
DAMAGED = "the cached or written file is damaged: remove its folder and run the same command again"


class Record(NamedTuple):
    """One rollout, which is scored by its success or by its return.

    Attributes:
        method: The method's name.
        variant: "ours", "paper" or "released"; empty until a run fills it in.
        seed: The generator seed; 0 for methods without one.
        n_train: Number of training tasks, where a recipe varies it and the method depends on it; else None.
        split: "seen" or "unseen" in training, "test", or "validation" for tasks that settings are chosen by.
        task: The task.
        protocol: "paper", "strict", "held" or "validation".
        policy: Index of the policy, which is that of its prompt where it was made from one.
        start: The start's label, such as "paper-720" or "fresh-4000017".
        success: Whether the success flag was true at any step (under "held": at the last); None where there is none.
        steps: Steps until success, or those after which the episode was given up; None where every episode is whole.
        total: The undiscounted return; None where success is the score.
        zoo: Where a recipe compares several, of which the policies are, and from which kind of runs the prompts:
            "independent/unseen" (see `zoo_label`); empty elsewhere.
    """

    method: str
    variant: str
    seed: int
    n_train: int | None
    split: str
    task: str
    protocol: str
    policy: int
    start: str
    success: bool | None = None
    steps: int | None = None
    total: float | None = None
    zoo: str = ""

    @property
    def written(self) -> tuple[Any, ...]:
        """What a file, and a digest, has of it: the zoo only where there is one."""
        return tuple(self) if self.zoo else tuple(self)[:-1]

    @property
    def metric(self) -> str:
        """What the rollout is scored by."""
        return RETURN if self.success is None else SUCCESS

    @property
    def score(self) -> float:
        """The return, or 1 for success and 0 for failure."""
        return float((self.total or 0.0) if self.success is None else self.success)


def zoo_label(name: str, prompts: str | None) -> str:
    """What tells a zoo with a kind of test prompts from others in records: "independent/unseen"."""
    return f"{name}/{prompts}" if prompts else name


def with_variant(records: Iterable[Record], variant: str) -> list[Record]:
    """The same records under a variant's name."""
    return [record._replace(variant=variant) for record in records]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records in the order given, under a header line; the column of zoos only where one is named."""
    records = list(records)
    has_zoos = any(record.zoo for record in records)
    write_csv(path, Record._fields if has_zoos else PLAIN, records if has_zoos else [each.written for each in records])


def read_records(path: Path) -> list[Record]:
    """Read records of today's form or of an older one.

    Raises:
        UserError: The file is missing, is not a records file, or has a malformed line.
    """
    header, lines = read_csv(path, "records")
    parse = FORMS.get(header)
    if parse is None:
        fix = f"its header must be {','.join(PLAIN)}, with or without {Record._fields[-1]}"
        raise UserError("This is not a records file.", where=str(path), fix=fix)
    return list(parsed(lines, parse, "records"))


def _record(
    method: str, variant: str, seed: str, n_train: str, split: str, task: str, protocol: str, policy: str, start: str,
    success: str, steps: str, total: str, zoo: str = "",
) -> Record:  # fmt: skip
    if not success and not total:
        raise ValueError("neither success nor total")
    return Record(
        method, variant, int(seed), _whole(n_train), split, task, protocol, int(policy), start,
        _FLAGS[success], _whole(steps), finite(total) if total else None, zoo,
    )  # fmt: skip


def _of_no_zoo(*values: str) -> Record:
    """A line without the column of zoos."""
    if len(values) != len(PLAIN):
        raise ValueError(f"{len(values)} values")
    return _record(*values)


def _of_success(
    method: str, variant: str, seed: str, split: str, task: str, protocol: str, policy: str, goal: str,
    success: str, steps: str,
) -> Record:  # fmt: skip
    """A line of the older form of Meta-World, whose starts were goals."""
    return _record(method, variant, seed, "", split, task, protocol, policy, goal, success, steps, "")


def _of_return(
    method: str, variant: str, seed: str, split: str, n_train: str, velocity: str, policy: str, start: str, total: str
) -> Record:
    """A line of the older form of Cheetah-Vel, which had one protocol and named its tasks by numbers."""
    task, label = f"velocity-{finite(velocity):.3f}", f"fresh-{int(start)}"
    return _record(method, variant, seed, n_train, split, task, "paper", policy, label, "", "", total)


PLAIN = Record._fields[:-1]
"""The columns of records without zoos."""

FORMS: dict[tuple[str, ...], Callable[..., Record]] = {
    PLAIN: _of_no_zoo,
    Record._fields: _record,
    ("method", "variant", "seed", "split", "task", "protocol", "policy", "goal", "success", "steps"): _of_success,
    ("method", "variant", "seed", "split", "n_train", "velocity", "policy", "start", "return"): _of_return,
}
"""What makes a record of a line, by the file's header."""

_FLAGS = {"": None, "0": False, "1": True}


def _whole(text: str) -> int | None:
    return int(text) if text else None


def finite(text: str) -> float:
    """A number; `ValueError` for text that is none, NaN and the infinities."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text[:40]}, which is not a finite number")
    return value


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows under a header line; gzip where the name ends in `.gz`."""
    data = csv_text(header, rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows under a header line: truth as 1 and 0, None as nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([int(value) if isinstance(value, bool) else value for value in row] for row in rows)
    return text.getvalue()


def read_csv(path: Path, what: str) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """The header of a file, and its lines, each with its place for messages.

    Args:
        path: The file.
        what: What it holds, for messages, such as "records".

    Raises:
        UserError: It is missing or damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it holds more than {MOST_BYTES} bytes")
        header, *rows = list(csv.reader(io.StringIO(data.decode()))) or [[]]
    except (OSError, EOFError, zlib.error, ValueError, csv.Error) as error:
        raise UserError(f"The {what} cannot be read.", where=f"{path}: {error}", fix=DAMAGED) from None
    return tuple(header), [(f"{path}:{number}", row) for number, row in enumerate(rows, start=2)]


def parsed(lines: Iterable[tuple[str, list[str]]], parse: Callable[..., T], what: str) -> Iterator[T]:
    """What `parse` makes of each line's values.

    Raises:
        UserError: A line has too many values, too few, or one of another kind.
    """
    for where, row in lines:
        try:
            yield parse(*row)
        except (TypeError, ValueError, KeyError):
            place = f"{where}: {','.join(row)[:200]}"
            raise UserError(f"A line of the {what} is malformed.", where=place, fix=DAMAGED) from None

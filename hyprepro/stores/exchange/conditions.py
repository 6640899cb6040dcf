"""A table that says of which task each file of a folder is: `file,task`, or `file` and the numbers that tell tasks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hyprepro.errors import UserError, refuse_unknown

SUFFIX = ".zip"
MAX_BYTES = 16 * 2**20


class Names(Protocol):
    """What a domain says of its tasks; a domain of numbers."""

    @property
    def title(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def parameter(self, task: str) -> tuple[float, ...]: ...
    def task_at(self, parameter: tuple[float, ...]) -> str: ...


def read_conditions(table: Path, folder: Path, domain: Names | None = None) -> tuple[list[Path], list[str]]:
    """The files of a folder in the order of a table, and the task of each.

    Args:
        table: CSV whose first line names its columns: `file`, then `task` or what the domain calls its numbers.
        folder: Its `.zip` files must each have one line.
        domain: What the tasks are of; needed where they are given by numbers.

    Raises:
        UserError: The table or the folder is missing or malformed, a file has no line or two, a line has no file, a
            task is none of the domain's.
    """
    if not folder.is_dir():
        raise UserError("There is no such folder.", where=str(folder), fix="name the folder of the agents' files")
    present = sorted(path.name for path in folder.iterdir() if path.suffix == SUFFIX)
    header, lines = _lines(table)
    numbers = _columns(header, table, domain)
    tasks: dict[str, str] = {}
    for number, line in lines:
        where = f"{table}:{number}"
        if len(line) != len(header):
            raise UserError(
                f"The line has {len(line)} values, and the table {len(header)} columns.",
                where=f"{where}: {','.join(line)[:80]}",
                fix=f"write {','.join(header)[:80]}",
            )
        name = line[0].strip()
        if name in tasks:
            raise UserError(f"{name[:80]} has two lines.", where=where, fix="leave one: a file is of one task")
        fix = f"write the name of a {SUFFIX} file in the folder, with its ending and without a path"
        refuse_unknown(name, present, f"The folder has no file {name[:80]!r}.", f"{where}\n{folder}", fix)
        tasks[name] = _task([value.strip() for value in line[1:]], numbers, domain, where)
    missing = [name for name in present if name not in tasks]
    if missing or not tasks:
        raise UserError(
            f"{len(missing)} files of the folder have no line in the table." if missing else "The table has no lines.",
            where=f"{table}\n{', '.join(missing[:3]) or folder}",
            fix="add a line for each, or move files that are not to be imported elsewhere",
        )
    return [folder / name for name in tasks], list(tasks.values())


def _lines(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the lines that are not empty with their numbers."""
    fix = "name a CSV file: a first line file,task and a line a file"
    if not table.is_file():
        raise UserError("There is no such table.", where=str(table), fix=fix)
    if table.stat().st_size > MAX_BYTES:
        raise UserError(f"The table has over {MAX_BYTES >> 20} MB.", where=str(table), fix=fix)
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            lines = [(rows.line_num, row) for row in rows if any(value.strip() for value in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError("The table cannot be read as CSV.", where=f"{table}: {error}", fix=fix) from None
    if not lines:
        raise UserError("The table is empty.", where=str(table), fix=fix)
    return [name.strip() for name in lines[0][1]], lines[1:]


def _columns(header: Sequence[str], table: Path, domain: Names | None) -> int:
    """How many numbers tell a task; 0 where the table names tasks."""
    if list(header) == ["file", "task"]:
        return 0
    shown = ",".join(header)[:80]
    if domain is None:
        raise UserError(
            f"The table's columns are {shown}, not file,task, and no domain is named whose numbers these could be.",
            where=f"{table}:1",
            fix="write file,task; or name the domain: --domain NAME (hyprepro list), or --domain FILE.gin for your own",
        )
    wanted = ["file", *domain.columns]
    if list(header) != wanted:
        raise UserError(
            f"The table's columns are {shown}; those of {domain.title} are {','.join(wanted)}, or file,task.",
            where=f"{table}:1",
            fix=f"write {','.join(wanted)} in the first line",
        )
    return len(domain.columns)


def _task(values: Sequence[str], numbers: int, domain: Names | None, where: str) -> str:
    """The task that a line gives, by name or by its numbers."""
    try:
        if not numbers or domain is None:
            if domain is not None:
                domain.parameter(values[0])
            return values[0]
        return domain.task_at(tuple(map(float, values)))
    except ValueError:
        raise UserError(
            f"{', '.join(values)[:80]} is no number.", where=where, fix="write numbers with a point, such as 9.81"
        ) from None
    except UserError as error:
        raise UserError(error.what, where=where, closest=error.closest, fix=error.fix) from None

"""The paper's numbers, from `paper_tables/*.yaml`. They are data and never mix with ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hyprepro.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = (_PACKAGE.parent / "paper_tables", _PACKAGE / "paper_tables")
"""In the repository, and in an installed wheel."""

SPLIT_TABLES = {"seen": "table1", "unseen": "table3"}
"""The paper's per-task tables by split; its Table 2 has top-5 and top-10 of both."""


@dataclass(frozen=True)
class PaperTable:
    """A per-task table of the paper (Table 1 or 3), success rates as fractions.

    Attributes:
        number: The table's number.
        title: What it shows.
        names: The paper's name of each method, by ours.
        rates: By method, then by task; the task None is the average as printed.
        recomputed: By method: the mean of the printed rows.
        notes: What a reader should know.
    """

    number: int
    title: str
    names: dict[str, str]
    rates: dict[str, dict[str | None, float]]
    recomputed: dict[str, float]
    notes: tuple[str, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in the paper's order."""
        return tuple(task for task in next(iter(self.rates.values())) if task is not None)


def load(name: str) -> dict[str, Any]:
    """A file of `paper_tables/` as plain data, by name such as `table1`.

    Raises:
        UserError: The file is missing or malformed.
    """
    import yaml

    for folder in FOLDERS:
        path = folder / f"{name}.yaml"
        if path.is_file():
            where = str(path)
            try:
                data = yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.YAMLError as error:
                data, where = None, f"{path}: {error}"
            if isinstance(data, dict):
                return data
            fix = "install hyprepro again, or restore the file: git checkout paper_tables"
            raise UserError("A file of the paper's numbers is malformed.", where=where, fix=fix)
    raise UserError(f"The paper's numbers {name}.yaml are missing.", where=str(FOLDERS[0]), fix="reinstall hyprepro")


@cache
def per_task(split: str) -> PaperTable:
    """Table 1 (seen) or Table 3 (unseen)."""
    data = load(SPLIT_TABLES[split])
    rates: dict[str, dict[str | None, float]] = {}
    for method in data["methods"]:
        rates[method] = {task: row[method] / 100 for task, row in data["rows"].items()}
        rates[method][None] = data["average"][method] / 100
    recomputed = {method: value / 100 for method, value in data["recomputed"].items()}
    return PaperTable(data["table"], data["title"], dict(data["methods"]), rates, recomputed, tuple(data["notes"]))


@cache
def averages(split: str) -> dict[tuple[str, str], float]:
    """Table 2: averages by (method, statistic) as fractions."""
    return {(row["method"], row["statistic"]): row[split] / 100 for row in load("table2")["rows"]}


def rate(split: str, method: str, task: str | None, statistic: str, tasks: Collection[str]) -> float | None:
    """The paper's success rate as a fraction, None where it reports none.

    Its averages (`task` None) are of all its tasks: None unless those are the `tasks` that ours is the average of.
    """
    if split not in SPLIT_TABLES or (task is None and set(tasks) != set(per_task(split).tasks)):
        return None
    if task is None:
        return _rounded(averages(split).get((method, statistic)))
    return _rounded(per_task(split).rates.get(method, {}).get(task)) if statistic == "mean" else None


PAPERS_SIZE = 35
"""Training tasks behind the rows of the paper's Table 4 that do not say how many."""


def average_return(method: str, n_train: int | None) -> float | None:
    """The paper's average return over its test tasks, None where it has none."""
    for row in load("table4")["rows"]:
        if row["method"] == method and row.get("n_train", PAPERS_SIZE) == n_train:
            return float(row["return"])
    return None


def beside(row: Mapping[str, Any], tasks: Collection[str]) -> float | None:
    """The paper's number beside a row of ours, of its own protocol and tasks alone: others would compare unlike things.

    Args:
        row: The row.
        tasks: The tasks of its split's average.
    """
    if row["protocol"] != "paper":
        return None
    if row["metric"] == "success_rate":
        return rate(row["split"], row["method"], row["task"], row["statistic"], tasks)
    is_papers = (row["task"], row["split"], row["statistic"]) == (None, "test", "mean")
    is_papers = is_papers and set(tasks) <= set(load("table4")["tasks"])
    return average_return(row["method"], row["n_train"]) if is_papers else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)

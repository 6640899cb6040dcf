"""Paired differences of the same numbers in two results, from both results' records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyprepro.evaluation.records import Record, read_records
from hyprepro.tables.compared import Key, key_of
from hyprepro.tables.result import MAIN, TOP, outcomes_of
from hyprepro.tables.returns import summarise_returns
from hyprepro.tables.statistics import IQM, MEAN, Bootstrap, Outcomes, Statistic, difference, estimate, same_design, top
from hyprepro.velocity import records as velocity

RECORDS = "records.csv.gz"
_OTHER = "the other result"

Found = dict[Key, dict[str, Any]]
_Where = tuple[str, str, str]  # method, protocol, task
_Outcomes = Mapping[_Where, Outcomes]


def paired(a: Mapping[str, Any], b: Mapping[str, Any], folders: tuple[Path, Path]) -> Found:
    """Differences b minus a, with 95% intervals, of the numbers that can be paired.

    Args:
        a: The content of a result.json.
        b: That of another.
        folders: Where each has its records.

    Returns:
        `value` and `ci95` by the number's key: of success rates where policies answer the same prompts on the same
        goals; of average returns where episodes have the same starts. Nothing where records are missing.

    Raises:
        UserError: Records are damaged.
    """
    kinds = {result["provenance"]["config"].get("component") for result in (a, b)}
    paths = [folder / RECORDS for folder in folders]
    if len(kinds) != 1 or not all(path.is_file() for path in paths):
        return {}
    if kinds == {"Recipe"} and _same_prompts(a, b):
        return _rates(a, [read_records(path) for path in paths])
    if kinds == {"VelocityRecipe"}:
        return _returns(a, [velocity.read_records(path) for path in paths])
    return {}


def _same_prompts(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether prompt i of a task is the same in both."""
    sides = [
        (found["stores"].get("trajectories"), found["config"].get("prompt_split"))
        for found in (a["provenance"], b["provenance"])
    ]
    return sides[0] == sides[1] and None not in sides[0]


def _rates(a: Mapping[str, Any], records: Sequence[Sequence[Record]]) -> Found:
    goals = [_goals(side) for side in records]
    outcomes: list[_Outcomes] = [outcomes_of(side, str(a.get("recipe", "")))[1] for side in records]
    bootstrap, found = Bootstrap(), {}
    config = a["provenance"]["config"]
    for row in a["rows"]:
        tasks = [row["task"]] if row["task"] is not None else list(config.get(row["split"], ()))
        places = [(row["method"], row["protocol"], task) for task in tasks]
        sides = [{place[2]: side[place] for place in places if place in side} for side in outcomes]
        alike = all(goals[0].get(place) == goals[1].get(place) for place in places)
        statistic = _statistic(row["statistic"], row["protocol"])
        if statistic is None or not alike or not all(len(side) == len(tasks) for side in sides) or not tasks:
            continue
        if same_design(list(sides[0].values()), list(sides[1].values())) and _has(statistic, sides):
            one, other = (estimate(statistic, side, bootstrap) for side in sides)
            found[key_of(row)] = _value(difference(other, one).value, difference(other, one).ci95)
    return found


def _has(statistic: Statistic, sides: Iterable[Mapping[str, Outcomes]]) -> bool:
    """Whether both sides' policies were ranked, where the statistic picks by ranks."""
    picks = statistic.key.endswith("True")
    return not picks or all(outcome.validation is not None for side in sides for outcome in side.values())


def _statistic(name: str, protocol: str) -> Statistic | None:
    known = {MEAN.name: MEAN, IQM.name: IQM} | {f"top{k}": top(k, protocol != "paper") for k in TOP}
    return known.get(name)


def _goals(records: Iterable[Record]) -> dict[_Where, frozenset[tuple[int, str]]]:
    """Which policy meets which goal, by method, protocol and task."""
    found: dict[_Where, set[tuple[int, str]]] = defaultdict(set)
    for record in records:
        found[record.method, record.protocol, record.task].add((record.policy, record.goal))
    return {place: frozenset(met) for place, met in found.items()}


def _returns(a: Mapping[str, Any], records: Sequence[Sequence[velocity.VelocityRecord]]) -> Found:
    """The second result's rows beside the first's, as if they were two methods of one run."""
    found: Found = {}
    for method in dict.fromkeys(row["method"] for row in a["rows"]):
        sides = [[record for record in side if record.method == method] for side in records]
        starts = [{(r.n_train, r.split, r.velocity, r.start) for r in side} for side in sides]
        if not sides[0] or starts[0] != starts[1]:
            continue
        named = [
            record._replace(method=name, variant="")
            for name, side in zip((_OTHER, MAIN), sides, strict=True)
            for record in side
        ]
        for row in summarise_returns(named, recipe=str(a.get("recipe", ""))).comparisons:
            found[key_of({**row, "method": method})] = _value(row["value"], row["ci95"])
    return found


def _value(value: float, ci95: Sequence[float]) -> dict[str, Any]:
    return {"value": value, "ci95": list(ci95)}

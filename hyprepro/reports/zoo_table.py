"""Zoos side by side: a row a method, a column a zoo and kind of test prompts; then the paper's claims, zoo by zoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hyprepro.component import component
from hyprepro.reports.markdown import NONE, WIDTH, bullets, paragraph, seconds, table, with_interval
from hyprepro.reports.notes import (
    COSTS,
    COSTS_ARE,
    INTERVALS,
    SUCCESS,
    adapted,
    environment_gap,
    heading,
    knowledge,
    run_of,
)
from hyprepro.reports.numbers import PROTOCOLS, Numbers, Row
from hyprepro.reports.reading import stores_of
from hyprepro.reports.report import Report

BY_ZOO = "training_seconds_by_zoo"
KINDS = (
    "Prompts of `training` runs are of runs that training policies come from (Make-An-Agent's way: other checkpoints "
    "and other goals), those of `unseen` runs of runs that nothing is trained on. Of unseen tasks no run is trained "
    "on, so all their prompts are of the latter kind."
)
DECIDED = "**Bold**: the 95% interval of the difference excludes zero."

Cell = Callable[[Numbers], str]


@component
class ZooTable(Report):
    """Methods by zoo by kind of test prompts, for seen and unseen tasks and both protocols, and paired differences."""

    tells_zoos: ClassVar[bool] = True

    def markdown(self, result: Mapping[str, Any]) -> str:
        """The tables, the strict protocol first, the claims, what the zoos are, and the notes."""
        provenance, parts = result["provenance"], [heading(result), paragraph(_setting(result))]
        splits = dict.fromkeys(str(row["split"]) for row in result["rows"])
        for split in splits:
            for protocol in _protocols(result, split):
                parts += [f"## {_title(split, protocol)}", *_averages(result, split, protocol)]
        for split in splits:
            for protocol in _protocols(result, split):
                parts += _claims(result, split, protocol)
        parts += ["## The zoos", bullets(list(described(result)))]
        notes = [KINDS, SUCCESS, INTERVALS, *adapted(provenance), environment_gap(provenance)]
        parts += [*knowledge(result), "## Notes", bullets(notes), *_costs(result)]
        return "\n\n".join(parts) + "\n"


def by_zoo(result: Mapping[str, Any], split: str) -> dict[str, Numbers]:
    """The numbers of a split for each zoo and kind of prompts that has any, in the order of the run."""
    zoos = dict.fromkeys(str(row.get("zoo", "")) for row in result["rows"] if row["split"] == split)
    return {zoo: Numbers(result, split, zoo=zoo) for zoo in zoos}


def head(result: Mapping[str, Any], zoo: str) -> str:
    """What stands above a zoo's column: "independent, unseen"."""
    name, _, kind = zoo.partition("/")
    kinds = stores_of(result["provenance"]).get(zoo, {}).get("prompts", [])
    kind = kind or " and ".join(kinds)
    return f"{name}, {kind}" if kind else name


def described(result: Mapping[str, Any]) -> Iterator[str]:
    """A few words on each zoo: how its policies were made, how many are trained on, where its prompts come from."""
    config, columns = result["provenance"].get("config", {}), stores_of(result["provenance"])
    without = {zoo["name"]: zoo.get("without", []) for zoo in config.get("zoos", [])}
    for name in _names(list(columns)):
        own = {zoo: stores for zoo, stores in columns.items() if zoo.partition("/")[0] == name}
        stores = next(iter(own.values()))
        route = stores.get("route", {})
        text = str(route.get("summary") or route.get("name") or "made in a way that its store does not state")
        counts = [
            f"{_range(stores[count])} {count.replace('_', ' ')} a task"
            for count in ("training_runs", "training_policies")
            if count in stores
        ]
        counts += [f"{kind} `{str(stores.get(kind))[:16]}`" for kind in ("policies", "trajectories")]
        kinds = " and of ".join(head(result, zoo).partition(", ")[2] for zoo in own)
        lost = [task for task in without.get(name, []) if task in _tasks(config)]
        lacks = f" It has no {', '.join(lost)}: its averages are of other tasks than those of the rest." if lost else ""
        unsolved = ", ".join(route.get("unsolved", {}))
        lacks += (
            f" Runs of {unsolved} that did not get there are not stored; its card has their curves." if unsolved else ""
        )
        yield f"`{name}`: {text.rstrip('.')}. {', '.join(counts)}. Prompts of {kinds} runs.{lacks}"


def _setting(result: Mapping[str, Any]) -> str:
    config = result["provenance"].get("config", {})
    seeds = max((row["n_seeds"] for row in result["rows"]), default=0)
    splits = [
        f"{max(len(numbers.tasks) for numbers in by_zoo(result, split).values())} {split}"
        for split in dict.fromkeys(row["split"] for row in result["rows"])
    ]
    return (
        f"Success rates in percent with 95% intervals, averages over {' and '.join(splits)} tasks. {run_of(result)}. "
        f"Generator seeds: {seeds}; {config.get('prompt_split', 'test')} prompts, and so policies, a task: "
        f"{config.get('prompts_per_task')}. A column is a zoo and the runs that its prompts come from."
    )


def _protocols(result: Mapping[str, Any], split: str) -> list[str]:
    found = {protocol for numbers in by_zoo(result, split).values() for protocol in numbers.protocols}
    return [name for name in reversed(PROTOCOLS) if name in found]


def _title(split: str, protocol: str) -> str:
    return f"{split.capitalize()} tasks, {PROTOCOLS[protocol].lower()}"


def _averages(result: Mapping[str, Any], split: str, protocol: str) -> list[str]:
    zoos = by_zoo(result, split)
    methods = dict.fromkeys(method for numbers in zoos.values() for method in numbers.methods)
    rows = {method: _average(method, protocol) for method in methods}
    return _tables(result, zoos, "method", rows)


def _average(method: str, protocol: str) -> Cell:
    return lambda numbers: with_interval(numbers.row(method, protocol, None))


def _claims(result: Mapping[str, Any], split: str, protocol: str) -> list[str]:
    """Paired differences: the pairs that the recipe names, then the reference and every other row."""
    config, zoos = result["provenance"].get("config", {}), by_zoo(result, split)
    pairs = [(str(one), str(other)) for one, other in config.get("pairs", [])]
    found = []
    if pairs:
        rows = {f"{one} minus {other}": _difference(one, other, protocol) for one, other in pairs}
        found += [f"## The claims: {_title(split, protocol).lower()}", paragraph(DECIDED)]
        found += _tables(result, zoos, "difference", rows)
    reference = next(iter(zoos.values())).reference
    methods = dict.fromkeys(method for numbers in zoos.values() for method in numbers.methods if method != reference)
    rest = {method: _difference(reference, method, protocol) for method in methods}
    found.append(f"## `{reference}` minus each other row: {_title(split, protocol).lower()}")
    return [*found, *_tables(result, zoos, "minus", rest)]


def _difference(one: str, other: str, protocol: str) -> Cell:
    def cell(numbers: Numbers) -> str:
        found = numbers.gain(other, protocol, None, one)
        text = with_interval(found, "+")
        return f"**{text}**" if is_decided(found) else text

    return cell


def is_decided(difference: Row | None) -> bool:
    """Whether the interval of a difference excludes zero."""
    if difference is None or difference["ci95"] is None:
        return False
    low, high = difference["ci95"]
    return bool(low > 0 or high < 0)


def _tables(result: Mapping[str, Any], zoos: Mapping[str, Numbers], first: str, rows: Mapping[str, Cell]) -> list[str]:
    """A column a zoo, as many abreast as fit on a page; rows without any number are left out."""
    columns = [[head(result, zoo), *(cell(numbers) for cell in rows.values())] for zoo, numbers in zoos.items()]
    return abreast([first, *rows], columns)


def abreast(first: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """Tables of a first column and as many of the others, heads included, as fit on a page; rows of none are left out.

    Args:
        first: The head and the names of the rows.
        columns: Each has a head and a cell for each row.
    """
    found: list[str] = []
    start = 0
    while start < len(columns):
        width = 4 + max(map(len, first))
        count = 0
        for column in columns[start:]:
            width += 3 + max(map(len, column))
            if count and width > WIDTH:
                break
            count += 1
        lines = list(zip(first, *columns[start : start + count], strict=True))
        found.append(table(lines[0], [line for line in lines[1:] if set(line[1:]) != {NONE}]))
        start += count
    return found


def _costs(result: Mapping[str, Any]) -> list[str]:
    """The seconds of training by zoo; kinds of prompts share their training."""
    times = {name: each[BY_ZOO] for name, each in result.get("methods", {}).items() if BY_ZOO in each}
    zoos = list(dict.fromkeys(zoo for each in times.values() for zoo in each))
    first = [next(zoo for zoo in zoos if zoo.partition("/")[0] == name) for name in _names(zoos)]
    rows = [[name, *(seconds(each.get(zoo)) for zoo in first)] for name, each in times.items()]
    heads = [f"{name}, s" for name in _names(zoos)]
    return [COSTS, table(["method", *heads], rows), paragraph(COSTS_ARE)] if rows else []


def _names(zoos: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(zoo.partition("/")[0] for zoo in zoos))


def _tasks(config: Mapping[str, Any]) -> list[str]:
    return [task for name in ("seen", "below", "unseen") for task in config.get(name, ())]


def _range(counts: Sequence[int]) -> str:
    low, high = counts
    return str(low) if low == high else f"{low} to {high}"

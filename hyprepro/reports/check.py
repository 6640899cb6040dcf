"""Does a fresh run reproduce the committed numbers?

Every fresh value must lie in the committed 95% interval widened by the fresh value's own sampling error: the larger
half of its own interval, and never less than 3 in n policies, as a bootstrap cannot see errors that did not happen.
Probabilities of improvement are judged alike, by runs x tasks. Performance profiles follow from the rows' records and
are not compared.
Results of different simulators, stores or settings are not compared at all: that is refused, never passed over. And
what is compared must have been measured: a fresh result's numbers are those of the records beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from hyprepro.config.lint import RENAMED
from hyprepro.engine.provenance import identity_gaps
from hyprepro.errors import UserError
from hyprepro.reports.reading import KEY, RESULT, Key, key_of, stores_of
from hyprepro.reports.summaries import read_summary, records_in
from hyprepro.reports.summary import IMPROVEMENT

Row = Mapping[str, Any]


def check(committed: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    """Violations, one line each; empty when every number was reproduced.

    Raises:
        UserError: The two come from different recipes, settings, simulators or stores.
    """
    refuse_unlike(committed, fresh)
    before, now = _by_key(committed), _by_key(fresh)
    found = [f"{_text(key)}: missing in the fresh result" for key in before if key not in now]
    found += [f"{_text(key)}: has no committed number" for key in now if key not in before]
    for key, row in now.items():
        if key in before:
            found += _compare(key, before[key], row)
    return found


def unfounded(file: Path, result: Mapping[str, Any]) -> list[str]:
    """Numbers of a result.json that the records beside it do not give, one line each; empty where there are no records.

    The interval of few policies is so wide that any number would lie in it; this finds the one that was never measured.

    Raises:
        UserError: The records are damaged or incomplete.
    """
    if file.name != RESULT or records_in(file.parent) is None:
        return []
    _, summary = read_summary(file.parent, result)
    measured = json.loads(json.dumps({"rows": summary.rows, "comparisons": summary.comparisons}))
    said, true = _by_key(result), _by_key(measured)
    return [
        f"{_text(key)}: {name} {said.get(key, {}).get(name)} in {file}, {true.get(key, {}).get(name)} by its records"
        for key in {**said, **true}
        for name in _unlike(said.get(key, {}), true.get(key, {}))[:1]
    ]


def _unlike(one: Row, other: Row) -> list[str]:
    """The fields in which two rows differ, the value first."""
    return [name for name in {"value": None, **one, **other} if one.get(name) != other.get(name)]


def refuse_unlike(committed: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Raise `UserError` unless both results are of one recipe, simulator, pair of stores and set of settings."""
    for problem, fix in _differences(committed, fresh):
        raise UserError(
            f"These results must not be compared: {problem}.", where="committed against fresh result", fix=fix
        )


def tolerance(committed: Row, fresh: Row) -> float:
    """How far outside the committed interval the fresh value may lie: its own sampling error."""
    low, high = fresh["ci95"]
    own = max(fresh["value"] - low, high - fresh["value"], 0.0)
    if fresh["statistic"] == IMPROVEMENT:
        # A first failure where both sides never failed turns a tie, half a win: up to 3 in n runs x tasks might.
        return float(max(own, 1.5 / min(row.get("n_runs") or 1_000_000 for row in (committed, fresh))))
    if fresh["metric"] != "success_rate":
        return float(own)
    policies = min(row.get("n_policies") or 1_000_000 for row in (committed, fresh))
    return float(max(own, 3.0 / policies))


def _differences(committed: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("recipe", "scale", "variant"):
        if committed.get(name) != fresh.get(name):
            yield f"{name} {committed.get(name)!r} committed, {fresh.get(name)!r} now", "check a run of the same recipe"
    old, new = (result["provenance"] for result in (committed, fresh))
    for package, before, now in identity_gaps(old.get("versions", {}), new.get("versions", {})):
        yield f"{package} {before} committed, {now} now", f"pip install {package}=={before}"
    ours, theirs = stores_of(old), stores_of(new)
    for zoo, store in product(dict.fromkeys([*ours, *theirs]), ("policies", "trajectories")):
        digests = [stores.get(zoo, {}).get(store) for stores in (ours, theirs)]
        if digests[0] is None or digests[0] != digests[1]:
            texts = [str(digest)[:16] for digest in digests]
            place = f"{store} store of {zoo}" if zoo else f"{store} store"
            yield f"{place} {texts[0]} committed, {texts[1]} now", "use the stores of the committed result"
    for place in unequal(old.get("config", {}), new.get("config", {}), "Recipe"):
        yield f"{place} differs", "run without bindings, or compare with: hyprepro diff"
    seeds = _seeds(fresh)
    for method, count in _seeds(committed).items():
        if seeds.get(method, count) != count:
            yield f"{method} has {count} seeds committed, {seeds[method]} now", "run without bindings"


def _seeds(result: Mapping[str, Any]) -> dict[str, int]:
    """The number of seeds of each method."""
    return {row["method"]: row["n_seeds"] for row in result["rows"] if row.get("n_seeds") is not None}


_OF_NO_ACCOUNT = {"data", "policies", "trajectories", "parents", "title", "one_seed"}
"""Where stores lie, and what stands in the rows."""


def unequal(one: Any, other: Any, place: str) -> Iterator[str]:
    """Places where two configurations differ.

    Fields that only one of them knows and paths of stores do not count; which rows have one seed alone says each row.
    A component may have another name now; its row is then named as before, which the rows' own names are held against.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        before, now = one.get("component"), other.get("component")
        renamed = {"row"} if before in RENAMED and RENAMED[before] == now else set()
        for name in one.keys() & other.keys() - _OF_NO_ACCOUNT - renamed:
            yield from unequal(one[name], other[name], f"{place}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from unequal(*pair, f"{place}[{number}]")
    elif one != other and not (place.endswith(".component") and RENAMED.get(one) == other):
        yield place


def _by_key(result: Mapping[str, Any]) -> dict[Key, Row]:
    rows = [*result["rows"], *result.get("comparisons", [])]
    return {key_of(row): row for row in rows}


def _compare(key: Key, committed: Row, fresh: Row) -> list[str]:
    if committed["value"] is None or fresh["value"] is None:
        is_same = committed["value"] is fresh["value"]
        return [] if is_same else [f"{_text(key)}: {fresh['value']} now, committed {committed['value']}"]
    (low, high), slack = committed["ci95"], tolerance(committed, fresh)
    if low - slack <= fresh["value"] <= high + slack:
        return []
    scale, unit = (100, "%") if fresh["metric"] == "success_rate" else (1, "")
    now, before, low, high, slack = (scale * n for n in (fresh["value"], committed["value"], low, high, slack))
    return [
        f"{_text(key)}: {now:.1f}{unit} now, committed {before:.1f}{unit} [{low:.1f}, {high:.1f}], "
        f"own sampling error {slack:.1f}"
    ]


def _text(key: Key) -> str:
    named = dict(zip(KEY, key, strict=True))
    between = "above" if named["statistic"] == IMPROVEMENT else "minus"
    method = f"{named['method']} {between} {named['minus']}" if named["minus"] else named["method"]
    task = named["task"] or f"average of {named['split']} tasks"
    task += f", {named['zoo']}" if named["zoo"] else ""
    return f"{method}, {task}, {named['protocol']} protocol, {named['statistic']}"

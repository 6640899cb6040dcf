"""The ablation: a row for every change, averaged over seen and over unseen tasks, against the default row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from hyprepro.component import component
from hyprepro.reports.changes import gin, is_component
from hyprepro.reports.markdown import NONE, bullets, paragraph, table, with_interval
from hyprepro.reports.notes import INTERVALS, SUCCESS, deployments, environment_gap, heading, route, run_of
from hyprepro.reports.numbers import PROTOCOLS, Numbers, counts_of, sides_of
from hyprepro.reports.report import Report
from hyprepro.reports.summary import MAIN

READING = "What these numbers say together stands in results/README.md."


@component
class AblationTable(Report):
    """What each change of the reference row is worth: averages of both splits and paired differences."""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """A table for each protocol, the strict one first; what each row changes; the notes."""
        provenance = result["provenance"]
        numbers = sides_of(result)
        parts = [heading(result), paragraph(_setting(result, numbers))]
        for protocol in reversed(PROTOCOLS):
            if any(protocol in side.protocols for side in numbers):
                parts += [f"## {PROTOCOLS[protocol]}", _table(numbers, protocol, _reference(result))]
        title = f"## What each row changes, and in brackets the value of `{_reference(result)}`"
        parts += [title, bullets(list(_changes(result)))]
        notes = [SUCCESS, INTERVALS, environment_gap(provenance), route(provenance), *deployments(result), READING]
        return "\n\n".join([*parts, "## Notes", bullets(notes)]) + "\n"


def _setting(result: Mapping[str, Any], numbers: list[Numbers]) -> str:
    seeds = max((row["n_seeds"] for row in result["rows"]), default=0)
    return (
        f"Success rates in percent, averages over {counts_of(numbers)} tasks. {run_of(result)}; generator seeds: "
        f"{seeds}. `minus it`: the row minus `{_reference(result)}`, paired. n: prompts, and so policies, of one seed "
        "in each average."
    )


def _reference(result: Mapping[str, Any]) -> str:
    """The row that the others are compared with."""
    return str(result["provenance"].get("config", {}).get("reference", MAIN))


def _table(numbers: list[Numbers], protocol: str, reference: str) -> str:
    """Every row of the recipe with both averages under one protocol."""
    rows = []
    for name in dict.fromkeys(name for side in numbers for name in side.methods):
        averages = [side.row(name, protocol, None) for side in numbers]
        cells = []
        for side, average in zip(numbers, averages, strict=True):
            cells += [with_interval(average), with_interval(_negated(side.gain(name, protocol, None)), "+")]
        counts = dict.fromkeys(str(average["n_policies"]) for average in averages if average)
        rows.append([f"**{name}**" if name == reference else name, *cells, "/".join(counts) or NONE])
    return table(["row", *(head for side in numbers for head in (side.split, "minus it")), "n"], rows)


def _negated(gain: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The default minus a row, as the row minus the default."""
    if gain is None or gain["value"] is None:
        return None
    low, high = gain["ci95"]
    return {"value": 0.0 - gain["value"], "ci95": [0.0 - high, 0.0 - low]}


def _changes(result: Mapping[str, Any]) -> Iterator[str]:
    """For each row the settings in which it differs from the default row, out of the result's own configuration."""
    for oracle in result["provenance"].get("config", {}).get("oracles", ()):
        among = oracle.get("among") or [oracle["of"]]
        yield f"`{oracle['name']}`: no row to be had, but their ceiling; of {', '.join(among)}."
    names = dict.fromkeys(row["method"] for row in result["rows"])
    methods = dict(zip(names, result["provenance"].get("config", {}).get("methods", []), strict=False))
    reference = _reference(result)
    default = methods.get(reference)
    if default is None:
        return
    for name, method in methods.items():
        if name != reference:
            changes = list(differences(default, method))
            yield f"`{name}`: {'; '.join(changes) if changes else 'nothing'}."


def differences(default: Mapping[str, Any], method: Mapping[str, Any]) -> Iterator[str]:
    """What a described method sets differently from another: "`HypLatent.lambda_reg=0.0` (0.1)".

    Of a part that is another component its name is told, and its settings only where the part that it replaces holds
    such a component itself: others have no counterpart. Of a part where there was none all settings are told.
    """
    if method["component"] != default["component"]:
        yield f"the method `{method['component']}` in place of `{default['component']}`"
    for field, value in method.items():
        if field not in default or field in ("component", "row") or value == default[field]:
            continue
        before = default[field]
        if is_component(value) and is_component(before) and value["component"] == before["component"]:
            yield from differences(before, value)
        else:
            yield f"`{method['component']}.{field}={gin(value)}` ({gin(before)})"
            if not is_component(value):
                continue
            inner = _inner(before, value["component"])
            if inner is not None:
                yield from differences(inner, value)
            elif before is None:
                yield from _settings(value)


def _settings(part: Mapping[str, Any]) -> Iterator[str]:
    """Every setting of a described part and of the components in it: "`PromptAdaptation.steps=200`"."""
    for field, value in part.items():
        if field != "component":
            yield f"`{part['component']}.{field}={gin(value)}`"
            if is_component(value):
                yield from _settings(value)


def _inner(part: Any, name: str) -> Mapping[str, Any] | None:
    """The component of that name which a described part holds, at any depth."""
    if not is_component(part):
        return None
    if part["component"] == name:
        return cast(Mapping[str, Any], part)
    return next((found for value in part.values() if (found := _inner(value, name)) is not None), None)

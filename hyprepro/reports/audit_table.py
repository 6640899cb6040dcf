"""The audit as a page: what each method reaches with its prompt and without, and how near stored policies it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyprepro.component import component
from hyprepro.reports.audit import DISTANCE, METRICS, OWN, SUCCESS
from hyprepro.reports.markdown import bullets, paragraph, table, with_interval
from hyprepro.reports.notes import INTERVALS, environment_gap, heading, knowledge, route, run_of
from hyprepro.reports.notes import SUCCESS as SUCCEEDS
from hyprepro.reports.report import Report

WEIGHTS = {
    "weights_nearest": "weights, nearest",
    "weights_mean": "weights, mean",
    "known_nearest": "known",
    "run_share": "one run",
    "own_task": "own task, %",
}
ACTIONS = {"actions_nearest": "actions, nearest", "actions_mean": "actions, mean"}
"""Columns by measure."""
ABREAST = 3
"""Controls in one table: more are too wide for a page."""

Rows = Mapping[tuple[str, str, str], Mapping[str, Any]]
"""Averages of a split by method, what was shown, and measure."""


@component
class AuditTable(Report):
    """Is a generated policy new, or a copy, and what did the prompt have to do with it?"""

    def markdown(self, result: Mapping[str, Any]) -> str:
        """Success by what was shown, and distances, for seen and unseen tasks."""
        parts = [heading(result), paragraph(_setting(result))]
        averages = [row for row in result["rows"] if row["task"] is None]
        for split in dict.fromkeys(row["split"] for row in averages):
            rows = {(r["method"], r["protocol"], r["statistic"]): r for r in averages if r["split"] == split}
            gains = [row for row in result["comparisons"] if row["task"] is None and row["split"] == split]
            worth = {(row["method"], row["minus"], SUCCESS): row for row in gains}
            parts += [f"## {split.capitalize()} tasks: success, by what a policy is made from", *_success(rows, worth)]
            parts += [f"## {split.capitalize()} tasks: how far policies are from the training policies"]
            parts += [_table(rows, OWN, WEIGHTS), _table(rows, OWN, ACTIONS)]
            controls = _controls(result["provenance"]["config"])
            for label in dict.fromkeys(shown for _, shown, _ in rows):
                if label in controls and not controls[label].copies:
                    parts += [f"Made from {controls[label].title}:", _table(rows, label, WEIGHTS)]
        return "\n\n".join([*parts, *knowledge(result), "## Notes", bullets(_notes(result))]) + "\n"


def _success(rows: Rows, worth: Rows) -> list[str]:
    """Success with the own prompt beside that with each control, and what the own prompt is worth."""
    others = [label for label in dict.fromkeys(shown for _, shown, _ in rows) if label != OWN]
    found = []
    for first in range(0, max(len(others), 1), ABREAST):
        some = others[first : first + ABREAST]
        found.append(_table(rows, "", dict.fromkeys((OWN, *some), ""), SUCCESS))
    for first in range(0, len(others), ABREAST):
        some = others[first : first + ABREAST]
        lines = [
            [method, *(with_interval(worth.get((method, label, SUCCESS)), "+") for label in some)]
            for method in _methods(rows)
        ]
        found += ["The own prompt minus each of them, paired:", table(["", *some], lines)]
    return found


def _table(rows: Rows, shown: str, columns: Mapping[str, str], measure: str = "") -> str:
    """A row a method; a column a measure of what was shown, or with `measure` a column for each of what was shown."""
    lines = [
        [method, *(_cell(rows.get((method, shown or name, measure or name))) for name in columns)]
        for method in _methods(rows)
    ]
    return table(["", *(head or name for name, head in columns.items())], lines)


def _methods(rows: Rows) -> list[str]:
    return list(dict.fromkeys(method for method, _, _ in rows))


def _cell(row: Mapping[str, Any] | None) -> str:
    """A distance or a success rate with its interval; shares without."""
    if row is None or row["value"] is None or row["metric"] == METRICS[SUCCESS]:
        return with_interval(row)
    if row["statistic"] == "own_task":
        return f"{100 * row['value']:.0f}"
    low, high = row["ci95"]
    return f"{row['value']:.3f} [{low:.3f}, {high:.3f}]" if row["metric"] == DISTANCE else f"{row['value']:.2f}"


def _setting(result: Mapping[str, Any]) -> str:
    config = result["provenance"]["config"]
    seeds = max((row["n_seeds"] for row in result["rows"]), default=0)
    return (
        f"Success rates in percent, averages over tasks, {config['prompts_per_task']} {config['prompt_split']} prompts "
        f"a task; generator seeds: {seeds}. {run_of(result)}."
    )


def _notes(result: Mapping[str, Any]) -> list[str]:
    config = result["provenance"]["config"]
    controls = "; ".join(f"`{label}`: {kind.title}" for label, kind in _controls(config).items())
    return [
        f"`{OWN}`: the method as it is. {controls}. What a method still reaches with another prompt than its own, it "
        "did not learn from the prompt.",
        "Weights: root mean square difference of parameters as a share of a training parameter's root mean square, "
        f"hidden units matched by {config['matched_by']}; 0 is a copy, about 1.4 are strangers. Actions: mean squared "
        "difference on states of the task's prompts. `nearest`: to the nearest training policy, in weights or in "
        f"actions. `mean`: to the mean of the {config['neighbours']} training policies that are nearest in weights. "
        "`known`: how far that nearest one is from the nearest other training policy.",
        "`one run`: the largest weight when a policy is fitted by the means of its task's training runs: 1 is a policy "
        "of one run, less a mixture. `own task`: how often the nearest training policy is of the task.",
        SUCCEEDS,
        INTERVALS,
        environment_gap(result["provenance"]),
        route(result["provenance"]),
    ]


def _controls(config: Mapping[str, Any]) -> dict[str, Any]:
    """The kinds of controls of a run, by label."""
    from hyprepro.component import COMPONENTS

    found = [COMPONENTS.get(each["component"]) for each in config.get("controls", [])]
    return {str(cls.label): cls for cls in found if cls is not None and hasattr(cls, "label")}

"""What a reader of a table must know: stated under every table, from the result's own provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyprepro.tables import paper
from hyprepro.tables.markdown import percent, printed

COLUMNS = (
    "HF: HypFormer. MAA: Make-An-Agent, as the paper reports it. Columns headed `MAA` or `paper` hold the paper's "
    "printed numbers; all others were measured in this run."
)
SUCCESS = (
    "Success: metaworld's success flag is true at any step of a 500-step episode of the deterministic policy. Paper "
    "protocol: the goals that environment seeds 720 and 920 freeze (Make-An-Agent's test code), one episode each. "
    "Strict protocol: fresh goals that were used for nothing else, the same for every method."
)
INTERVALS = (
    "Intervals: 95%, bootstrap over generator seeds (jointly for all tasks) and prompts (within each task); "
    "differences are paired. Goals are fixed under the paper protocol. With one generator seed an interval speaks of "
    "prompts alone; [100, 100] says that nothing failed, not that nothing can (up to 3 in n policies might)."
)
TOP = (
    "Top-k, paper protocol: the best k policies of each environment seed, picked by the very episodes that score them: "
    "an optimistic order statistic, as in Make-An-Agent's code. Strict protocol: picked on validation goals, scored on "
    "others."
)
BELOW = "*Tasks in italics* stand in no table of the paper and are not part of the average."


def notes(provenance: Mapping[str, Any], split: str, has_below: bool) -> list[str]:
    """All notes of a per-task table."""
    found = [COLUMNS, SUCCESS, INTERVALS, environment_gap(provenance), route(provenance), TOP, *averages(split)]
    return [*found, BELOW] if has_below else found


def environment_gap(provenance: Mapping[str, Any]) -> str:
    """Why the two sides are not the same experiment."""
    versions = provenance.get("versions", {})
    ours = f"metaworld {versions.get('metaworld', '?')} on mujoco {versions.get('mujoco', '?')}"
    return (
        f"Environment gap: ours is {ours}. The paper's data and test code are Make-An-Agent's, which uses an older "
        "Meta-World (on mujoco-py) with other physics: the two sides are neighbours, not the same experiment."
    )


def route(provenance: Mapping[str, Any]) -> str:
    """How the experts of the stores were made."""
    declared = provenance.get("stores", {}).get("route", {})
    text = str(declared.get("summary") or declared.get("name") or "not stated in the store").rstrip(".")
    return f"Route to the experts: {text}. The paper's experts are Make-An-Agent's SAC checkpoints."


def averages(split: str) -> list[str]:
    """Where the paper's printed averages are not the means of its rows, rounded."""
    if split not in paper.SPLIT_TABLES:
        return []
    theirs = paper.per_task(split)
    return [
        f"The paper prints {printed(theirs.rates[name][None])} as {theirs.names[name]}'s average; the mean of its "
        f"{len(theirs.tasks)} rows is {percent(rate)}."
        for name, rate in theirs.recomputed.items()
        if abs(theirs.rates[name][None] - rate) > 0.005
    ]

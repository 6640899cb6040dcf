"""What a reader of a table must know: stated under every table, from the result's own provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyprepro.tables import paper
from hyprepro.tables.markdown import percent, printed
from hyprepro.tables.numbers import Numbers
from hyprepro.tables.result import MAA, MAIN

COLUMNS = (
    "HF: HypFormer. MAA: Make-An-Agent, as the paper reports it; this run has none of its own. Columns headed `MAA` or "
    "`paper` hold the paper's printed numbers; all others were measured in this run."
)
COLUMNS_WITH_MAA = (
    "HF: HypFormer. MAA: Make-An-Agent. Columns headed `paper` hold the paper's printed numbers, MAA's as it reports "
    "them; all others were measured in this run."
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
TOKENS = (
    "Tokens: the paper's numbers with HypFormer are of 8 candidates on seen and of 32 on unseen tasks, each the best "
    "that it found on these very test tasks (its ablation of the number of tokens); ours are of one setting for both."
)
ABSENT = (
    "The paper states no protocol for {names} (seeds, budget, what they know of a task, Meta-World version): not yet "
    "reproduced here, so only its numbers stand."
)
PRESENT = (
    "{names}: the paper says nothing of how it ran them; what ours are given is listed above, what each costs below. "
    "They answer other questions than Gen-HypRL: one network acts in all tasks, and no policy's weights are written."
)
ADAPTED = (
    "Adaptation: the paper deploys policies as they are decoded. Here those of {names} that disagree with their "
    "prompt are first fitted to its actions, without any step in an environment; `hyprepro run ablation` has the rows "
    "without it."
)
UNLIKE = "Ours averages other tasks than the paper ({splits}), so its averages are left out."
FEW = "An empty cell (-): the run has no such number; top-k needs k policies a task, and validation goals to pick on."
UNSTATED = {"care": "CARE", "decision-transformer": "DT"}


def notes(splits: Sequence[Numbers]) -> list[str]:
    """All notes of a table of these splits, which are of one result."""
    provenance, names = splits[0].provenance, [numbers.split for numbers in splits]
    has_maa = any(MAA in numbers.methods for numbers in splits)
    found = [COLUMNS_WITH_MAA if has_maa else COLUMNS, SUCCESS, INTERVALS]
    found += [*adapted(provenance), environment_gap(provenance), route(provenance), TOP]
    found += [note for name in names for note in averages(name)]
    found += [TOKENS] if "unseen" in names else []
    found += _of_averages(splits) if len(splits) > 1 else []
    return [*found, BELOW] if any(numbers.below for numbers in splits) else found


def _of_averages(splits: Sequence[Numbers]) -> list[str]:
    """Notes of Table 2 alone."""
    absent = [name for method, name in UNSTATED.items() if all(method not in numbers.methods for numbers in splits)]
    present = [name for method, name in UNSTATED.items() if name not in absent]
    unlike = [numbers.split for numbers in splits if numbers.paper(MAIN, None, "mean") is None]
    found = [ABSENT.format(names=" and ".join(absent))] if absent else []
    found += [PRESENT.format(names=" and ".join(present))] if present else []
    found += [UNLIKE.format(splits=" and ".join(unlike))] if unlike else []
    return [*found, FEW]


def adapted(provenance: Mapping[str, Any]) -> list[str]:
    """Which rows are fitted to their prompts, by the run's own configuration."""
    methods = provenance.get("config", {}).get("methods", [])
    names = [method["component"] for method in methods if method.get("adaptation")]
    return [ADAPTED.format(names=" and ".join(names))] if names else []


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

"""Sections that several reports have, from the numbers of one split or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from hyprepro.tables.markdown import NONE, bullets, paragraph, percent, point, table
from hyprepro.tables.numbers import PROTOCOLS, SHORT, Numbers
from hyprepro.tables.result import MAIN

COSTS = "## What each costs"
COSTS_ARE = (
    "Seconds of the training stages behind one seed of a method, those that it shares with others included; the median "
    "over seeds. They were taken on a noisy machine, beside other work, and a stage that was resumed counts from its "
    "last checkpoint on: a rough guide. What a method fits to a prompt at test time is not training. The time to "
    "generate a policy is measured by `hyprepro bench generation`."
)


MAY_USE = {
    "gen-hyprl": "prompt",
    "gen-hyprl-wo-hypformer": "prompt",
    "make-an-agent": "prompt",
    "expert": "source policy",
    "autoencoder": "source policy",
    "retrieval": "prompt, stored policies",
    "agreement-retrieval": "prompt, stored policies",
    "prompt-cloning": "prompt",
    "mean-policy": "task label, stored policies",
    "mse-regressor": "prompt",
}
"""What a method is given, in a word or two, where the run does not say so itself (`uses`)."""


CURVES_ARE = (
    "Deterministic episodes of the training's length on goals that are not trained on; the mean over all training "
    "tasks, of the first generator seed. CARE's published runs are of 2,000,000 environment steps a task."
)


def heading(result: Mapping[str, Any]) -> str:
    """The report's first line."""
    return f"# {result['provenance'].get('config', {}).get('title') or result.get('recipe', 'Result')}"


def setting(numbers: Numbers) -> str:
    """What was run, in two sentences."""
    result = numbers.result
    main = numbers.row(MAIN, numbers.protocols[0], None) if numbers.protocols else None
    text = f"Success rates in percent. Recipe {result.get('recipe')}, scale {result.get('scale')}"
    text += f", variant {result.get('variant', 'ours')}."
    if main is None:
        return text
    count = main["n_policies"] // max(len(numbers.tasks), 1)
    return f"{text} Ours: {_count(main['n_seeds'], 'generator seed')}, {_count(count, 'policy')} a task and seed."


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def knowledge(result: Mapping[str, Any]) -> list[str]:
    """What each method is given, as the run declares it."""
    lines = [f"`{name}`: {each['knows']}" for name, each in result.get("methods", {}).items() if each.get("knows")]
    return ["What each is given at test time:", bullets(lines)] if lines else []


def every_method(numbers: Numbers) -> list[str]:
    """Values of all methods task by task without intervals, a table for each protocol."""
    parts = []
    heads = [SHORT.get(method, method[:8]) for method in numbers.methods]
    for protocol in numbers.protocols:
        rows = []
        for task in (*numbers.tasks, None, *numbers.below):
            cells = [point(numbers.row(method, protocol, task)) for method in numbers.methods]
            rows.append([numbers.name(task), *cells])
        parts += [f"{PROTOCOLS[protocol]}:", table(["task", *heads], rows)]
    return parts


def costs(result: Mapping[str, Any]) -> list[str]:
    """The seconds of training, if the run recorded them: the last section, as it alone differs from run to run."""
    seconds = {
        name: method["training_seconds"] for name, method in result.get("methods", {}).items() if _is_timed(method)
    }
    if not seconds:
        return []
    rows = [[name, _seconds(value)] for name, value in seconds.items()]
    return [COSTS, table(["method", "training, s"], rows), paragraph(COSTS_ARE)]


def costs_beside_results(result: Mapping[str, Any], splits: Sequence[Numbers]) -> list[str]:
    """The same with what each method may use, its generator seeds, and its averages under the last protocol."""
    protocols = max((numbers.protocols for numbers in splits), key=len)
    rows = []
    for name, method in result.get("methods", {}).items():
        if _is_timed(method):
            averages = [numbers.row(name, protocol, None) for numbers in splits for protocol in protocols[-1:]]
            seeds = max((row["n_seeds"] for row in averages if row), default=0)
            uses = method.get("uses") or MAY_USE.get(name, NONE)
            numbers_ = [uses, str(seeds), _seconds(method["training_seconds"])]
            rows.append([name, *numbers_, *(point(row) for row in averages)])
    if not rows:
        return []
    heads = [numbers.split for numbers in splits for _ in protocols[-1:]]
    return [COSTS, table(["method", "may use", "seeds", "training, s", *heads], rows), paragraph(COSTS_ARE)]


def learning_curves(result: Mapping[str, Any]) -> list[str]:
    """A table for each method that learns in the environment: its success on training tasks while it was trained."""
    found = []
    for name, method in result.get("methods", {}).items():
        points = method.get("curve") or []
        rows = [
            [f"{point_['steps_a_task']:,}", f"{point_['updates']:,}", percent(fmean(point_["success"].values()))]
            for point_ in points
        ]
        if rows:
            heads = ["environment steps a task", "gradient steps", "success"]
            found += [f"## Learning curve of {name}", table(heads, rows), paragraph(CURVES_ARE)]
    return found


def _is_timed(method: Mapping[str, Any]) -> bool:
    return "training_seconds" in method


def _seconds(value: float | None) -> str:
    if value is None:
        return NONE
    return "none" if value == 0 else f"{value:.0f}"

"""What several reports say: the notes under a table, from the result's own provenance, and the sections around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from hyprepro.reports import paper
from hyprepro.reports.markdown import NONE, bullets, paragraph, percent, point, printed, seconds, table
from hyprepro.reports.numbers import PROTOCOLS, SHORT, Numbers, Words
from hyprepro.reports.summary import MAA, MAIN

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
HELD = (
    "Success that still holds: the strict protocol's episodes to their last step, scored by the success flag at that "
    "step. Success at any step, as metaworld and the paper measure it, flatters beside it."
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
    "prompt are first fitted to it, without any step in an environment; `hyprepro run ablation` has the rows "
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
    found += [HELD] if any("held" in numbers.protocols for numbers in splits) else []
    found += [*adapted(provenance), environment_gap(provenance), route(provenance), TOP]
    found += [note for name in names for note in averages(name)]
    found += [TOKENS] if "unseen" in names else []
    found += deployments(splits[0].result)
    found += _of_averages(splits) if len(splits) > 1 else []
    return [*found, BELOW] if any(numbers.below for numbers in splits) else found


def deployments(result: Mapping[str, Any]) -> list[str]:
    """What the deployments of methods had to say, each text once with the rows that say it."""
    rows: dict[str, list[str]] = {}
    for name, method in result.get("methods", {}).items():
        for text in method.get("notes", ()):
            rows.setdefault(text, []).append(f"`{name}`")
    return [f"{', '.join(names)}: {text}." for text, names in rows.items()] + _refusals(result)


def _refusals(result: Mapping[str, Any]) -> list[str]:
    """Which methods have no rows of which tasks, and why."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, method in result.get("methods", {}).items():
        if refused := method.get("refused"):
            rows.setdefault((refused["why"], *refused["tasks"]), []).append(f"`{name}`")
    return [f"{', '.join(names)}: no number on {', '.join(tasks)}: {why}." for (why, *tasks), names in rows.items()]


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


def route(provenance: Mapping[str, Any], papers: str = "experts are Make-An-Agent's SAC checkpoints") -> str:
    """How the experts of the stores were made, and the paper's where it says something of such."""
    declared = provenance.get("stores", {}).get("route", {})
    text = str(declared.get("summary") or declared.get("name") or "not stated in the store").rstrip(".")
    return f"Route to the experts: {text}." + (f" The paper's {papers}." if papers else "")


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


COSTS = "## What each costs"
BY_SIZE = "training_seconds_by_n_train"
COUNTED = "parameters, actor + critics"
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
    "tasks, of the first generator seed. Published runs are of 2,000,000 environment steps a task."
)


def heading(result: Mapping[str, Any]) -> str:
    """The report's first line."""
    return f"# {result['provenance'].get('config', {}).get('title') or result.get('recipe', 'Result')}"


def beside_the_paper(number: int, setting: str, title: str = "") -> list[str]:
    """How the side-by-side of a table in paper_tables/ begins: its heading, what it shows and what was run."""
    shows = f"{title}. " if title else ""
    text = f"{shows}Generated from a committed result; do not edit. {setting}"
    return [f"# Table {number}: the paper and this reproduction", paragraph(text)]


def run_of(result: Mapping[str, Any]) -> str:
    """Which run of which recipe."""
    return f"Recipe {result.get('recipe')}, scale {result.get('scale')}, variant {result.get('variant', 'ours')}"


def setting(numbers: Numbers) -> str:
    """What was run, in two sentences."""
    main = numbers.row(MAIN, numbers.protocols[0], None) if numbers.protocols else None
    text = f"Success rates in percent. {run_of(numbers.result)}."
    if main is None:
        return text
    count = main["n_policies"] // max(len(numbers.tasks), 1)
    return f"{text} Ours: {_count(main['n_seeds'], 'generator seed')}, {_count(count, 'policy')} a task and seed."


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def knowledge(result: Mapping[str, Any]) -> list[str]:
    """What each method is given, as the run declares it; those that are given the same together."""
    rows: dict[str, list[str]] = {}
    for name, method in result.get("methods", {}).items():
        if told := method.get("knows"):
            rows.setdefault(told, []).append(f"`{name}`")
    lines = [f"{', '.join(names)}: {told}" for told, names in rows.items()]
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


def costs(result: Mapping[str, Any], are: str = COSTS_ARE) -> list[str]:
    """The seconds of training, if the run recorded them: the last section, as it alone differs from run to run.

    Args:
        result: The content of a result.json.
        are: What the seconds are of.
    """
    methods = result.get("methods", {})
    by_size = {name: each[BY_SIZE] for name, each in methods.items() if BY_SIZE in each}
    sizes = list(dict.fromkeys(size for times in by_size.values() for size in times if size != "any"))
    rows = [[name, *(seconds(times.get(size, times.get("any"))) for size in sizes)] for name, times in by_size.items()]
    heads = [f"{size} {Words.of(result).many}, s" for size in sizes]
    if not rows:
        rows = [[name, seconds(each["training_seconds"])] for name, each in methods.items() if _is_timed(each)]
        heads = ["training, s"]
    return [COSTS, table(["method", *heads], rows), paragraph(are)] if rows else []


def costs_beside_results(result: Mapping[str, Any], splits: Sequence[Numbers]) -> list[str]:
    """The same with what each method may use, its generator seeds, and its averages under the last protocol."""
    protocols = max((numbers.protocols for numbers in splits), key=len)
    rows, is_counted = [], any(method.get("parameters") for method in result.get("methods", {}).values())
    for name, method in result.get("methods", {}).items():
        if _is_timed(method):
            averages = [numbers.row(name, protocol, None) for numbers in splits for protocol in protocols[-1:]]
            seeds = max((row["n_seeds"] for row in averages if row), default=0)
            uses = method.get("uses") or MAY_USE.get(name, NONE)
            numbers_ = [uses, str(seeds), seconds(method["training_seconds"])]
            numbers_ += [_counted(method.get("parameters", {}))] if is_counted else []
            rows.append([name, *numbers_, *(point(row) for row in averages)])
    if not rows:
        return []
    heads = [numbers.split for numbers in splits for _ in protocols[-1:]]
    heads = ["method", "may use", "seeds", "training, s", *([COUNTED] if is_counted else []), *heads]
    return [COSTS, table(heads, rows), paragraph(COSTS_ARE)]


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


def _counted(parameters: Mapping[str, int]) -> str:
    """Numbers of parameters, part by part, in thousands."""
    return " + ".join(f"{count / 1e3:,.0f}k" for count in parameters.values()) or NONE


def _is_timed(method: Mapping[str, Any]) -> bool:
    return "training_seconds" in method

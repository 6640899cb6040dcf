"""The data card beside the stores of a domain of numbers, written from the stores themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.collect.parameter.harvest import SIGNIFICANT_BITS
from hyprepro.collect.parameter.settings import ExpertTraining, ParameterSelection
from hyprepro.collect.sac.settings import ParameterSAC
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.stores.info import store_info

_HEADS = (
    "split",
    "policies",
    "return: expert (mean of stored, last)",
    "return: parent",
    "episodes (offline / prompts)",
)
_SHOWN = {"spread": "stored experts", "last": "the last stored expert"}


def data_card(
    name: str, collection: ParameterCollection, policies: Path, trajectories: Path, parents: Mapping[str, Path]
) -> str:
    """Markdown: contents and quality by task, route, schedule, versions, limits."""
    zoo, episodes = store_info(policies), store_info(trajectories)
    folded, for_all = (
        store_info(parents[kind])["tasks"] if kind in parents else {} for kind in ("parent", "randomised")
    )
    training, selection, domain = collection.experts, collection.selection, collection.of
    layout, many, shown = domain.layout, domain.many, _SHOWN[selection.shown]
    tasks = sorted(zoo["tasks"], key=domain.parameter)
    rows = [_row(t, zoo["tasks"][t], folded.get(t), episodes["tasks"].get(t, {"counts": {}})) for t in tasks]
    versions = ", ".join(f"{library} {version}" for library, version in zoo["versions"].items())
    recipe = _selection_lines(domain, training, selection) + _expert_lines(domain, training)
    recipe += _parent_lines(collection) + _randomised_line(collection, for_all)
    of = " FILE.gin" if collection.name else f" {name}"
    means = _means(many, zoo["tasks"], folded)
    shortest = min(
        (each["steps"][0] for each in episodes["tasks"].values() if each.get("steps")), default=domain.horizon
    )
    ends = "" if shortest == domain.horizon else " at most (the environment ends some)"
    head = " | ".join((domain.told + (f", {domain.unit}" if domain.unit else ""), *_HEADS))
    score = textwrap.fill(
        f"{domain.score or 'the undiscounted sum of rewards'}.", 118, initial_indent="  ", subsequent_indent="  "
    )
    return f"""# Data card: {name}

Made by `hyprepro collect{of}`; written by that command, not by hand.

| {head} |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}
{means}

![Return against {domain.told} and learning curves]({name}.svg)

- **Return** is
{score}
  Of a policy it is the mean over {selection.starts} fresh starts of the deterministic policy, measured on the stored
  (rounded) weights. There is no success flag.
- **Policies**: {zoo["route"]["summary"]}.
  MLPs {layout.shape} with mean and log-std heads, ReLU, {layout.size:,} parameters, {selection.weights}; the
  deterministic action is tanh(mean). Weights act on raw observations.
{recipe}{_test_lines(collection)}
- **Episodes** hold {domain.horizon} steps{ends}: first the offline ones with SAC's exploration noise,
  {selection.offline_episodes} of sources from early to late and {selection.expert_episodes} of stored experts (split
  train, of test {many} split test), then {selection.prompt_episodes} deterministic ones of {shown} (split
  validation). Numbers are rounded to {SIGNIFICANT_BITS} significant bits.
- **Limits**: checkpoints of one run are close to each other, and with a parent all runs start from it: policies of
  neighbouring {many} are closer than those of independent runs would be.{_worse_than_parent(zoo["tasks"], folded)}
- **Versions**: {versions}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
- **Licence**: that of this repository. No data of others is contained.
"""


def _test_lines(collection: ParameterCollection) -> str:
    many, tested = collection.of.many, ", ".join(_number(task) for task in collection.test_tasks)
    if not tested:
        return (
            f"- **Test {many}**: none. No expert knows of another's steps, so a recipe may test any of them and train\n"
            "  on the others; what was trained on all of them together has practised those that are tested."
        )
    return (
        f"- **Test {many}** ({tested}): the parent never stepped nor was relabelled with\n"
        "  them; their experts are ceilings, trained in a stack of their own."
    )


def _selection_lines(domain: ParameterDomain, training: ExpertTraining, selection: ParameterSelection) -> str:
    every, begun = training.checkpoint_every, max(training.checkpoints_from, training.checkpoint_every)
    made, steps = 1 + (training.updates - begun) // every, every / training.updates_per_step
    stored = f"{selection.rule} {selection.policies}" + f" of every {selection.stride}th" * (selection.stride > 1)
    lines = [
        f"- **Which policies**: each {domain.told}'s run leaves {made} checkpoints, one every {steps:,.0f} steps",
        f"  ({every:,} updates) from step {_steps(domain, training, begun):,} on. Stored are the {stored}.",
        "  `step` counts the environment steps of that run alone.",
    ]
    if selection.acceptance is not None:
        lines += [
            f"  A checkpoint that returns more than {selection.acceptance:g} less than the policy that its run started",
            "  from is passed over.",
        ]
    return "\n".join(lines) + "\n"


def _expert_lines(domain: ParameterDomain, training: ExpertTraining) -> str:
    sac, own = training.sac, _steps(domain, training, training.updates)
    return (
        f"- **SAC of an expert**: {training.updates:,} updates of {sac.batch_size} transitions, "
        f"{training.updates_per_step:g} an environment step\n  ({own:,} steps a {domain.told}), "
        f"{_sac_line(domain, sac)},\n"
        f"  transitions shared: {training.shared(domain.relabels)}.\n"
    )


def _steps(domain: ParameterDomain, training: ExpertTraining, updates: int) -> int:
    """Environment steps of one agent after so many updates, those before the first included."""
    return round(updates / training.updates_per_step) + training.first_rounds * domain.horizon


def _parent_lines(collection: ParameterCollection) -> str:
    if collection.route != "parent":
        return ""
    training, domain = collection.parent, collection.of
    share = (0.5 if domain.relabels else 0.0) if training.relabelled is None else training.relabelled
    return (
        f"- **Parent**: {training.updates} updates of {training.sac.batch_size} transitions, "
        f"{training.updates_per_step} an environment step,\n  {training.environments} environments at random training "
        f"{domain.many}, {share:.0%} of each batch relabelled with random ones,\n  "
        f"{_sac_line(domain, training.sac)}. Its input for the {domain.told}\n  is folded into the first layer's "
        "bias.\n"
    )


def _randomised_line(collection: ParameterCollection, for_all: Mapping[str, Any]) -> str:
    if collection.randomised is None:
        return ""
    mean = np.mean([content["return_mean"] for content in for_all.values()])
    return (
        f"- **Domain randomisation**: one policy for all {collection.of.many}, told none, by "
        f"{collection.randomised.updates:,} updates: a mean\n  return of {mean:.1f}.\n"
    )


def _worse_than_parent(zoo: dict[str, Any], folded: dict[str, Any]) -> str:
    """Tasks at which going on made it worse, by more than a return of 1."""
    worse = [task for task in folded if zoo[task]["return_mean"] < folded[task]["return_mean"] - 1.0]
    if not worse:
        return ""
    named = ", ".join(map(_number, worse))
    return f"\n  The stored experts are worse than the folded parent by more than 1 at: {named}."


def _sac_line(domain: ParameterDomain, sac: ParameterSAC) -> str:
    entropy = -domain.layout.action_size if sac.target_entropy is None else sac.target_entropy
    return (
        f"step size {sac.learning_rate:g} falling to {sac.last_learning_rate:g}, critics {sac.critic_width} wide, "
        f"target entropy {entropy:g}"
    )


def _number(task: str) -> str:
    """The numbers in a task's name."""
    return task.partition("-")[2]


def _row(task: str, zoo: dict[str, Any], folded: dict[str, Any] | None, episodes: dict[str, Any]) -> str:
    counts, recorded = zoo["counts"], episodes["counts"]
    offline = recorded.get("train", 0) + recorded.get("test", 0)
    cells = (
        _number(task),
        "test" if "test" in counts else "train",
        str(sum(counts.values())),
        f"{zoo['return_mean']:.1f}, {zoo['return_last']:.1f}",
        f"{folded['return_mean']:.1f}" if folded else "-",
        f"{offline} / {recorded.get('validation', 0)}",
    )
    return f"| {' | '.join(cells)} |"


def _means(many: str, zoo: dict[str, Any], folded: dict[str, Any]) -> str:
    lines = []
    for split, label in (("train", f"training {many}"), ("test", f"test {many}"), ("", "all")):
        tasks = [task for task, content in zoo.items() if not split or split in content["counts"]]
        if not tasks:
            continue
        values = [f"{np.mean([zoo[task][field] for task in tasks]):.1f}" for field in ("return_mean", "return_last")]
        parent = f"{np.mean([folded[task]['return_mean'] for task in tasks]):.1f}" if folded else "-"
        lines.append(f"| mean of {len(tasks)} {label} | {split or '-'} | | {', '.join(values)} | {parent} | |")
    return "\n".join(lines)

"""The data card beside the Cheetah-Vel stores, written from the stores themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.collectors.velocity.collection import VelocityCollection
from hyprepro.collectors.velocity.harvest import SIGNIFICANT_BITS
from hyprepro.collectors.velocity.settings import ExpertTraining, VelocitySAC, VelocitySelection
from hyprepro.domains.cheetah_vel.tasks import HORIZON
from hyprepro.stores.info import store_info


def data_card(
    name: str, collection: VelocityCollection, policies: Path, trajectories: Path, parent: Path | None = None
) -> str:
    """Markdown: contents and quality by velocity, route, schedule, versions, limits."""
    zoo, episodes = store_info(policies), store_info(trajectories)
    folded = store_info(parent)["tasks"] if parent is not None else {}
    training, selection = collection.experts, collection.selection
    rows = [_row(t, zoo["tasks"][t], folded.get(t), episodes["tasks"].get(t, {"counts": {}})) for t in zoo["tasks"]]
    versions = ", ".join(f"{library} {version}" for library, version in zoo["versions"].items())
    recipe = _selection_lines(training, selection) + _expert_lines(training) + _parent_lines(collection)
    means = _means(zoo["tasks"], folded)
    tested = ", ".join(f"{v:.3f}" for v in collection.test_velocities)
    return f"""# Data card: {name}

Made by `hyprepro collect {name}`; written by that command, not by hand.

| velocity | split | policies | return: expert (mean of stored, last) | return: parent | episodes (offline / prompts) |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}
{means}

![Return against velocity and learning curves]({name}.svg)

- **Return** is the undiscounted sum over 200 steps of -|x_velocity - v*| - 0.05 sum(a^2), the mean over
  {selection.starts} fresh starts of the deterministic policy, measured on the stored (rounded) weights. The environment
  has no success flag.
- **Policies**: {zoo["route"]["summary"]}.
  MLPs 17 -> 64 -> 64 with mean and log-std heads of 6, ReLU, 6,092 parameters, {selection.weights}; the deterministic
  action is tanh(mean). Weights act on raw observations.
{recipe}- **Test velocities** ({tested}): the parent never stepped nor was relabelled with
  them; their experts are ceilings, trained in a stack of their own.
- **Episodes** hold 200 steps: first the offline ones with SAC's exploration noise, {selection.offline_episodes} of
  sources from early to late and {selection.expert_episodes} of stored experts (split train, of test velocities split
  test), then {selection.prompt_episodes} deterministic ones of stored experts (split validation). Numbers are rounded
  to {SIGNIFICANT_BITS} significant bits.
- **Limits**: checkpoints of one run are close to each other, and with a parent all runs start from it: policies of
  neighbouring velocities are closer than those of independent runs would be.{_worse_than_parent(zoo["tasks"], folded)}
- **Versions**: {versions}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
- **Licence**: that of this repository. No data of others is contained.
"""


def _selection_lines(training: ExpertTraining, selection: VelocitySelection) -> str:
    every, begun = training.checkpoint_every, max(training.checkpoints_from, training.checkpoint_every)
    made, steps = 1 + (training.updates - begun) // every, every / training.updates_per_step
    stored = f"{selection.rule} {selection.policies}" + f" of every {selection.stride}th" * (selection.stride > 1)
    lines = [
        f"- **Which policies**: each velocity's run leaves {made} checkpoints, one every {steps:,.0f} steps",
        f"  ({every:,} updates) from step {_steps(training, begun):,} on. Stored are the {stored}.",
        "  `step` counts the environment steps of that run alone.",
    ]
    if selection.acceptance is not None:
        lines += [
            f"  A checkpoint that returns more than {selection.acceptance:g} less than the policy that its run started",
            "  from is passed over.",
        ]
    return "\n".join(lines) + "\n"


def _expert_lines(training: ExpertTraining) -> str:
    sac, own = training.sac, _steps(training, training.updates)
    return (
        f"- **SAC of an expert**: {training.updates:,} updates of {sac.batch_size} transitions, "
        f"{training.updates_per_step:g} an environment step\n  ({own:,} steps a velocity), {_sac_line(sac)},\n"
        f"  transitions shared: {training.sharing}.\n"
    )


def _steps(training: ExpertTraining, updates: int) -> int:
    """Environment steps of one agent after so many updates, those before the first included."""
    return round(updates / training.updates_per_step) + training.first_rounds * HORIZON


def _parent_lines(collection: VelocityCollection) -> str:
    if collection.route != "parent":
        return ""
    training = collection.parent
    return (
        f"- **Parent**: {training.updates} updates of {training.sac.batch_size} transitions, "
        f"{training.updates_per_step} an environment step,\n  {training.environments} cheetahs at random training "
        f"velocities, {training.relabelled:.0%} of each batch relabelled with random ones,\n  "
        f"{_sac_line(training.sac)}. Its velocity input is folded into the first\n  layer's bias.\n"
    )


def _worse_than_parent(zoo: dict[str, Any], folded: dict[str, Any]) -> str:
    """Velocities at which going on made it worse, by more than a return of 1."""
    worse = [task for task in folded if zoo[task]["return_mean"] < folded[task]["return_mean"] - 1.0]
    if not worse:
        return ""
    named = ", ".join(task.removeprefix("velocity-") for task in worse)
    return f"\n  The stored experts are worse than the folded parent by more than 1 at: {named} m/s."


def _sac_line(sac: VelocitySAC) -> str:
    return (
        f"step size {sac.learning_rate:g} falling to {sac.last_learning_rate:g}, critics {sac.critic_width} wide, "
        f"target entropy {sac.target_entropy:g}"
    )


def _row(task: str, zoo: dict[str, Any], folded: dict[str, Any] | None, episodes: dict[str, Any]) -> str:
    counts, recorded = zoo["counts"], episodes["counts"]
    offline = recorded.get("train", 0) + recorded.get("test", 0)
    cells = (
        task.removeprefix("velocity-"),
        "test" if "test" in counts else "train",
        str(sum(counts.values())),
        f"{zoo['return_mean']:.1f}, {zoo['return_last']:.1f}",
        f"{folded['return_mean']:.1f}" if folded else "-",
        f"{offline} / {recorded.get('validation', 0)}",
    )
    return f"| {' | '.join(cells)} |"


def _means(zoo: dict[str, Any], folded: dict[str, Any]) -> str:
    lines = []
    for split, label in (("train", "training velocities"), ("test", "test velocities"), ("", "all")):
        tasks = [task for task, content in zoo.items() if not split or split in content["counts"]]
        if not tasks:
            continue
        values = [f"{np.mean([zoo[task][field] for task in tasks]):.1f}" for field in ("return_mean", "return_last")]
        parent = f"{np.mean([folded[task]['return_mean'] for task in tasks]):.1f}" if folded else "-"
        lines.append(f"| mean of {len(tasks)} {label} | {split or '-'} | | {', '.join(values)} | {parent} | |")
    return "\n".join(lines)

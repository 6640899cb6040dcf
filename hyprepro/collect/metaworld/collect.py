"""From a collection of Meta-World experts to its stages, and from their artifacts to two stores and a data card.

The card, beside the stores, tells what is in them and how it was made, read from the stores themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyprepro.collect.metaworld.clones import CloneExperts
from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.collect.metaworld.harvest import HarvestTask
from hyprepro.collect.metaworld.training import TrainSAC
from hyprepro.collect.writing import write_pair
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import make_folder, write_atomically
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.info import store_info


def data_card(name: str, collection: MetaWorldCollection, policies: Path, trajectories: Path) -> str:
    """Markdown: contents and quality by task, route, schedule, versions, limits."""
    zoo, episodes = store_info(policies), store_info(trajectories)
    selection, training = collection.selection, collection.training
    rows = [_row(task, zoo["tasks"].get(task, {}), episodes["tasks"][task]) for task in episodes["tasks"]]
    versions = ", ".join(f"{library} {version}" for library, version in zoo["versions"].items())
    return f"""# Data card: {name}

Made by `hyprepro collect {name}`; written by that command, not by hand.

| task | policies (train / test) | success (mean, lowest) | return (mean) | prompts (train / validation / test) |
| --- | --- | --- | --- | --- |
{chr(10).join(rows)}

- **Policies**: {zoo["route"]["summary"]}. MLPs 39 -> 128 -> 128 with mean and log-std heads of 4, ReLU,
  22,664 parameters, {selection.weights}; the deterministic action is tanh(mean). Weights act on raw observations.
- **Success** is the share of {selection.score_goals} fresh goals solved within {selection.score_steps} steps by the
  deterministic policy, measured on the stored (rounded) weights; **return** is the undiscounted sum of metaworld's
  dense reward (0 to 10 a step) over the same {selection.score_steps} steps. Both are recorded policy by policy.
- **Which policies**: the last checkpoints with a success rate of at least {selection.acceptance}, taken every
  {training.checkpoint_every} updates of SAC: up to {selection.train_policies} of each of {selection.train_seeds}
  training seeds, up to {selection.test_policies} of one further seed, whose run gives test prompts only.
- **SAC**: {training.updates} updates an agent, of which {training.critic_updates} train the critics alone,
  {training.updates_per_step} updates an environment step, episodes of {training.episode_steps} steps on a new goal
  each, cloning weight {training.sac.cloning_weight}, trainer {training.trainer}.
- **Prompts** are deterministic episodes of stored policies, each on a goal of its own, cut off as soon as they hold
  60 steps, the first success and the two steps after it; an episode that fails is replaced by one on another goal,
  so prompts are successful by construction (as Make-An-Agent's are). Test prompts come from SAC runs that no training
  policy comes from, on goals that no training prompt has.
- **Limits**: checkpoints of one run are close to each other, all runs of a task start from the same clone, and all
  clones from one parent. The policies of a task differ less than policies of independent runs would.
- **Versions**: {versions}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
- **Licence**: that of this repository. No data of others is contained.
"""


def _row(task: str, zoo: dict[str, Any], episodes: dict[str, Any]) -> str:
    counts, prompts = zoo.get("counts", {}), episodes["counts"]
    success = zoo["success"]
    return (
        f"| {task} | {counts.get('train', 0)} / {counts.get('test', 0)} | {success['mean']:.3f}, {success['min']:.2f} "
        f"| {zoo['return_mean']:.0f} "
        f"| {prompts.get('train', 0)} / {prompts.get('validation', 0)} / {prompts.get('test', 0)} |"
    )


def stages_of(collection: MetaWorldCollection) -> list[HarvestTask]:
    """The last stage of each task; everything else hangs on these."""
    clones = CloneExperts(
        collection.cloning, collection.route, collection.seen_tasks, collection.unseen_tasks, collection.seed
    )
    agents, size = collection.agents(), collection.training.agents_at_once
    runs = []
    for start in range(0, len(agents), size):
        some = agents[start : start + size]
        runs.append(TrainSAC(clones, collection.training, tuple(a.task for a in some), tuple(a.seed for a in some)))
    return [
        HarvestTask(tuple(run for run in runs if task in run.tasks), collection.selection, task)
        for task in collection.seen_tasks + collection.unseen_tasks
    ]


def route_of(collection: MetaWorldCollection) -> dict[str, Any]:
    """What the stores, the data card and every result say about where the policies come from."""
    texts = {
        "clones": "SAC with a cloning term, from DAgger clones of metaworld's scripted experts grown from one parent",
        "scratch": "SAC from random weights",
    }
    return {"name": collection.route, "summary": texts[collection.route], "collection": collection.described()}


def write_stores(collection: MetaWorldCollection, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
    """Write NAME.policies.h5, NAME.trajectories.h5 and NAME.md from finished artifacts; each whole or not at all.

    The test policies of all tasks are stored too, as the sources of the test prompts: the expert ceiling needs them.

    Returns:
        The three files.
    """
    make_folder(folder)
    route, stages, selection = route_of(collection), stages_of(collection), collection.selection
    policies, trajectories = write_pair(
        stages, cache, folder, name, METAWORLD_LAYOUT, route, selection.weights, selection.score_goals
    )
    card = folder / f"{name}.md"
    write_atomically(card, data_card(name, collection, policies, trajectories).encode())
    return [policies, trajectories, card]

"""A collection of Meta-World experts: tasks, route to experts, the settings of every step, and the data card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import field_validator, model_validator

from hyprepro.collect.collection import Collection, Estimate, write_pair
from hyprepro.collect.metaworld.settings import Agent, CloneSettings, Route, Selection
from hyprepro.collect.sac.settings import SACTraining
from hyprepro.component import component, setting
from hyprepro.domains.metaworld.tasks import SEEN_TASKS, UNSEEN_TASKS, check_task
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage, make_folder, write_atomically
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT

if TYPE_CHECKING:
    from hyprepro.collect.metaworld.harvest import HarvestTask

_ROUTES = {
    "clones": "SAC with a cloning term, from DAgger clones of metaworld's scripted experts grown from one parent",
    "scratch": "SAC from random weights",
}


@component
class MetaWorldCollection(Collection):
    """A zoo of Meta-World experts and the prompts that their rollouts give."""

    seen_tasks: tuple[str, ...] = setting(
        SEEN_TASKS, "tasks whose policies are stored", source="Make-An-Agent", min_length=1
    )
    unseen_tasks: tuple[str, ...] = setting(UNSEEN_TASKS, "tasks that give test prompts only", source="Make-An-Agent")
    route: Route = setting("clones", "how SAC starts")
    seed: int = setting(0, "seed of the clones and base of all agents' seeds", ge=0)
    cloning: CloneSettings = setting(CloneSettings(), "how scripted experts are cloned")
    training: SACTraining = setting(SACTraining(), "how SAC goes on from there")
    selection: Selection = setting(Selection(), "which policies and episodes are kept")

    @field_validator("seen_tasks", "unseen_tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(check_task(task) for task in tasks)
        except UserError as error:
            near = f" The closest is {error.closest!r}." if error.closest else ""
            raise ValueError(f"{error.what}{near} There are {error.fix.removeprefix('choose of ')}") from None

    @model_validator(mode="after")
    def _keeps_policies(self) -> MetaWorldCollection:
        if self.training.critic_updates > self.training.updates:
            raise ValueError("no policy would be kept: SACTraining.critic_updates are more than SACTraining.updates")
        return self

    @model_validator(mode="after")
    def _tasks_stand_once(self) -> MetaWorldCollection:
        tasks = self.seen_tasks + self.unseen_tasks
        twice = next((task for task in tasks if tasks.count(task) > 1), None)
        if twice:
            raise ValueError(f"{twice} stands twice among seen_tasks and unseen_tasks; a store holds a task once")
        return self

    def agents(self) -> tuple[Agent, ...]:
        """Every SAC run; the seed after the training seeds is the test seed, and an unseen task has only that one."""
        seeds = self.selection.train_seeds
        seen = [Agent(task, seed) for task in self.seen_tasks for seed in range(seeds + 1)]
        return tuple(seen + [Agent(task, seeds) for task in self.unseen_tasks])

    def stages(self) -> Sequence[HarvestTask]:
        """One stage a task."""
        from hyprepro.collect.metaworld.clones import CloneExperts
        from hyprepro.collect.metaworld.harvest import HarvestTask
        from hyprepro.collect.metaworld.training import TrainSAC

        clones = CloneExperts(self.cloning, self.route, self.seen_tasks, self.unseen_tasks, self.seed)
        agents, size = self.agents(), self.training.agents_at_once
        runs = []
        for start in range(0, len(agents), size):
            some = agents[start : start + size]
            runs.append(TrainSAC(clones, self.training, tuple(a.task for a in some), tuple(a.seed for a in some)))
        return [
            HarvestTask(tuple(run for run in runs if task in run.tasks), self.selection, task)
            for task in self.seen_tasks + self.unseen_tasks
        ]

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By the stages' stated costs and by the sizes of what they keep."""
        from hyprepro.collect.metaworld.needs import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5 and NAME.md.

        The test policies of all tasks are stored too, as the sources of the test prompts: the expert ceiling needs
        them.
        """
        make_folder(folder)
        about = METAWORLD_LAYOUT, self._origin(), self.selection.weights, self.selection.score_goals
        policies, trajectories = write_pair(self.stages(), cache, folder, name, *about)
        card = folder / f"{name}.md"
        write_atomically(card, data_card(name, self, policies, trajectories).encode())
        return [policies, trajectories, card]

    def _origin(self) -> dict[str, Any]:
        """What the stores, the data card and every result say about where the policies come from."""
        return {"name": self.route, "summary": _ROUTES[self.route], "collection": self.described()}


def data_card(name: str, collection: MetaWorldCollection, policies: Path, trajectories: Path) -> str:
    """Markdown: contents and quality by task, route, schedule, versions, limits."""
    from hyprepro.stores.info import store_info

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

"""A collection of Meta-World experts: tasks, route to experts, the settings of every step, and the data card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
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
from hyprepro.stores.files import PART

if TYPE_CHECKING:
    from hyprepro.collect.metaworld.harvest import HarvestTask


@component
class MetaWorldCollection(Collection):
    """A zoo of Meta-World experts and the prompts that their rollouts give."""

    seen_tasks: tuple[str, ...] = setting(
        SEEN_TASKS, "tasks whose policies are stored", source="Make-An-Agent", min_length=1
    )
    unseen_tasks: tuple[str, ...] = setting(UNSEEN_TASKS, "tasks that give test prompts only", source="Make-An-Agent")
    route: Route = setting("clones", "how SAC starts")
    seed: int = setting(
        0,
        "seed of the clones, of all agents and of all goals; stores know its runs by 1000 times it",
        ge=0,
        le=2_000_000,
    )
    runs: tuple[int, ...] = setting(
        (),
        "which runs of each task are collected, by their numbers, training seeds first; empty: all. Parts of a "
        "collection are joined by hyprepro store merge",
    )
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
    def _runs_are_there(self) -> MetaWorldCollection:
        count = len(self.all_runs)
        if self.runs and not self.is_sliced:
            raise ValueError("runs of the route 'clones' start from common clones and are collected together")
        wrong = next((run for run in self.runs if not 0 <= run < count or self.runs.count(run) > 1), None)
        if wrong is not None:
            raise ValueError(f"runs names {wrong}; each of 0 to {count - 1} may stand there once")
        return self

    @model_validator(mode="after")
    def _route_fits_the_cloning_weight(self) -> MetaWorldCollection:
        cloned = self.training.sac.cloning_weight > 0
        if self.route == "scratch" and cloned:
            raise ValueError(
                "the route 'scratch' has no demonstrations: bind SACSettings.cloning_weight=0.0, or route='independent'"
            )
        if self.route == "independent" and not cloned:
            raise ValueError(
                "the route 'independent' needs SACSettings.cloning_weight above 0; or bind route='scratch'"
            )
        return self

    @model_validator(mode="after")
    def _tasks_stand_once(self) -> MetaWorldCollection:
        tasks = self.seen_tasks + self.unseen_tasks
        twice = next((task for task in tasks if tasks.count(task) > 1), None)
        if twice:
            raise ValueError(f"{twice} stands twice among seen_tasks and unseen_tasks; a store holds a task once")
        return self

    @property
    def is_sliced(self) -> bool:
        """Whether runs know nothing of each other, so that each can be trained and harvested alone."""
        return self.route != "clones"

    @property
    def all_runs(self) -> range:
        """The numbers of a seen task's runs: those that give training policies, then those for test prompts only."""
        return range(self.selection.train_seeds + self.selection.test_seeds)

    def agents(self) -> tuple[Agent, ...]:
        """Every SAC run, task by task; after the training seeds come the test seeds, and an unseen task has only those.

        Where runs know nothing of each other: run by run.
        """
        runs, train = self.all_runs, self.selection.train_seeds
        agents = [Agent(task, seed) for task in self.seen_tasks for seed in runs]
        agents += [Agent(task, seed) for task in self.unseen_tasks for seed in runs[train:]]
        if not self.is_sliced:
            return tuple(agents)
        return tuple(sorted((a for a in agents if a.seed in (self.runs or runs)), key=lambda a: a.seed))

    def stages(self) -> Sequence[HarvestTask]:
        """One stage a task, or one a task and run where runs know nothing of each other."""
        from hyprepro.collect.metaworld.clones import CloneExperts
        from hyprepro.collect.metaworld.harvest import HarvestTask
        from hyprepro.collect.metaworld.training import TrainSAC

        clones = CloneExperts(self.cloning, self.route, self.seen_tasks, self.unseen_tasks, self.seed)
        runs = [
            TrainSAC(clones, self.training, tuple(a.task for a in some), tuple(a.seed for a in some))
            for some in self._stacks()
        ]
        tasks, selection = self.seen_tasks + self.unseen_tasks, self.selection
        if not self.is_sliced:
            return [HarvestTask(tuple(run for run in runs if task in run.tasks), selection, task) for task in tasks]
        return [
            HarvestTask((run,), selection, task, agent.seed)
            for task in tasks
            for run in runs
            for agent in run.agents
            if agent.task == task
        ]

    def _stacks(self) -> Iterator[tuple[Agent, ...]]:
        """The agents that are trained together.

        Where runs know nothing of each other, those of one run: it is then the same whichever others are collected.
        """
        size = self.training.agents_at_once
        for _, some in groupby(self.agents(), key=lambda agent: agent.seed if self.is_sliced else 0):
            together = tuple(some)
            yield from (together[start : start + size] for start in range(0, len(together), size))

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By the stages' stated costs and by the sizes of what they keep."""
        from hyprepro.collect.metaworld.needs import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5 and NAME.md.

        The test policies of all tasks are stored too, as the sources of the test prompts: the expert ceiling needs
        them.

        Raises:
            UserError: No run of any task reached the acceptance.
        """
        from hyprepro.stores.card import unsolved_route

        make_folder(folder)
        stages, selection = self.stages(), self.selection
        origin = {**self.origin(), **unsolved_route(_unsolved(stages, cache, selection.acceptance))}
        about = METAWORLD_LAYOUT, origin, selection.weights, selection.score_goals
        policies, trajectories = write_pair(stages, cache, folder, name, *about)
        card = folder / f"{name}.md"
        write_atomically(card, data_card(name, self, policies, trajectories).encode())
        return [policies, trajectories, card]

    def origin(self) -> dict[str, Any]:
        """What the stores, the data card and every result say about where the policies come from.

        Of runs that did not get there only their stages know; `write` adds them.
        """
        whole, count = self.model_copy(update={"runs": ()}), len(self.all_runs)
        route = {"name": self.route, "summary": summary(self), "collection": whole.described()}
        if len(set(self.runs)) in (0, count):
            return route
        return {**route, PART: {"runs": sorted(self.runs), "of": count}}


def _unsolved(
    stages: Sequence[HarvestTask], cache: ArtifactCache, acceptance: float
) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """The scores of the runs of which no policy is kept, by task and stored seed.

    Raises:
        UserError: There are no others.
    """
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}
    is_any = False
    for stage in stages:
        harvest = stage.load(cache.path_of(stage))
        kept = {policy.seed for policy in harvest.policies}
        is_any |= bool(kept)
        for seed, step, success, _ in harvest.scored.tolist():
            if seed not in kept:
                curves.setdefault((stage.task, int(seed)), []).append((int(step), success))
    if not is_any:
        (task, seed), curve = next(iter(curves.items()))
        best = max(success for _, success in curve)
        raise UserError(
            f"No checkpoint of any run reaches a success rate of {acceptance}.",
            where=f"{task}, run {seed}: at best {best:.2f}",
            fix="train longer (SACTraining.updates), or lower Selection.acceptance",
        )
    return curves


def data_card(name: str, collection: MetaWorldCollection, policies: Path, trajectories: Path) -> str:
    """Markdown: contents and quality by task, route, schedule, versions, limits."""
    from hyprepro.stores.card import contents, unsolved_lines, versions_line
    from hyprepro.stores.info import store_info

    zoo, episodes = store_info(policies), store_info(trajectories)
    selection, training = collection.selection, collection.training
    return f"""# Data card: {name}

Made by `hyprepro collect {name}`; written by that command, not by hand.

{contents(zoo, episodes)}

- **Policies**: {zoo["route"]["summary"]}. MLPs 39 -> 128 -> 128 with mean and log-std heads of 4, ReLU,
  22,664 parameters, {selection.weights}; the deterministic action is tanh(mean). Weights act on raw observations.
- **Success** is the share of {selection.score_goals} fresh goals solved within {selection.score_steps} steps by the
  deterministic policy, measured on the stored (rounded) weights; **return** is the undiscounted sum of metaworld's
  dense reward (0 to 10 a step) over the same {selection.score_steps} steps. Both are recorded policy by policy.
- **Which policies**: {_which(selection)} with a success rate of at least {selection.acceptance}, taken every
  {training.checkpoint_every * selection.train_stride} updates of SAC: up to {selection.train_policies} of each of
  {selection.train_seeds} training seeds, up to {selection.test_policies} of {_further(selection)}
  test prompts only.{_siblings(selection)}
- **SAC**: {training.updates} updates an agent, of which {training.critic_updates} train the critics alone,
  {training.updates_per_step} updates an environment step, episodes of {training.episode_steps} steps on a new goal
  each, cloning weight {training.sac.cloning_weight}, trainer {training.trainer}.{_end(training)}
- **Prompts** are deterministic episodes of stored policies, each on a goal of its own, cut off as soon as they hold
  60 steps, the first success and the two steps after it; an episode that fails is replaced by one on another goal,
  so prompts are successful by construction (as Make-An-Agent's are). Test prompts come from SAC runs that no training
  policy comes from{", and as many from training runs" * bool(selection.prompt_policies)}, on goals that no training
  prompt has.
{unsolved_lines(zoo)}- **Limits**: {limits(collection)}
- **Versions**: {versions_line(zoo)}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
- **Licence**: that of this repository. No data of others is contained.
"""


def _further(selection: Selection) -> str:
    one = selection.test_seeds == 1
    return "one further seed, whose run gives" if one else f"each of {selection.test_seeds} further seeds, which give"


def _which(selection: Selection) -> str:
    return "the last checkpoints" if selection.rule == "last" else "of all stages of a run, evenly, checkpoints"


def _end(training: SACTraining) -> str:
    """When a run ends, where that is before its last update."""
    if training.solved is None:
        return ""
    whose = "A run" if training.agents_at_once == 1 else f"A stack of {training.agents_at_once} runs"
    each = "it has" if training.agents_at_once == 1 else "each of them has"
    return f"""
  {whose} ends {training.solved_updates} updates after {each} succeeded in {training.solved:.0%} of
  {training.solved_episodes} training episodes in a row, exploration noise and all, and at the latest with the last
  update."""


def _siblings(selection: Selection) -> str:
    if not selection.prompt_policies:
        return ""
    place = "before these" if selection.rule == "last" else "in between"
    return f"""
  Of each training seed up to {selection.prompt_policies} accepted checkpoints {place} are stored as test policies:
  nothing is trained on them, they give test prompts from training runs."""


def summary(collection: MetaWorldCollection) -> str:
    """The route in a line."""
    sac = "SAC with a cloning term" if collection.training.sac.cloning_weight else "SAC"
    if collection.route == "independent":
        asked = "metaworld's scripted experts, asked in the states visited"
        return f"{sac} ({asked}), every run from random weights of its own"
    if collection.route == "scratch":
        return f"{sac} without demonstrations, every run from random weights of its own"
    grown = "grown from one parent" if collection.cloning.parent_rounds else "each from random weights of its task"
    return f"{sac}, from DAgger clones of metaworld's scripted experts {grown}"


def limits(collection: MetaWorldCollection) -> str:
    """What the policies of the route are not."""
    near = "checkpoints of one run are close to each other"
    if collection.is_sliced:
        return f"""{near}. Runs share nothing but the normalisation of observations
  during training, which is measured on the scripted experts' states of all seen tasks and folded into the weights."""
    if not collection.cloning.parent_rounds:
        return f"""{near}, and all runs of a task start from the same clone. The policies
  of a task differ less than policies of independent runs would."""
    return f"""{near}, all runs of a task start from the same clone, and all
  clones from one parent. The policies of a task differ less than policies of independent runs would."""

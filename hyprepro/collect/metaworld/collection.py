"""A collection of Meta-World experts: tasks, route to experts, and the settings of every step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import field_validator, model_validator

from hyprepro.collect.collection import Collection, Estimate
from hyprepro.collect.metaworld.settings import Agent, CloneSettings, Route, Selection
from hyprepro.collect.sac.settings import SACTraining
from hyprepro.component import component, setting
from hyprepro.domains.metaworld.tasks import SEEN_TASKS, UNSEEN_TASKS, check_task
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage
from hyprepro.errors import UserError


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

    def stages(self) -> Sequence[Stage]:
        """One stage a task."""
        from hyprepro.collect.metaworld.collect import stages_of

        return stages_of(self)

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By the stages' stated costs and by the sizes of what they keep."""
        from hyprepro.collect.metaworld.needs import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5 and NAME.md."""
        from hyprepro.collect.metaworld.collect import write_stores

        return write_stores(self, cache, folder, name)

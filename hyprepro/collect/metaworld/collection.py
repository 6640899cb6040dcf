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

"""Meta-World: fifty manipulation tasks with an observable goal, told apart by prompts and scored by success."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hyprepro.component import component, setting
from hyprepro.domains.base import SUCCESS, Condition, Data, Domain, Metric, Query, Step, Use
from hyprepro.domains.metaworld.steppers import StepperName, stepper_in_use
from hyprepro.domains.metaworld.tasks import HORIZON, SLOTS, STRICT, TASKS, VALIDATION, Goal, fresh_goal
from hyprepro.domains.rendering import Physics
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from numpy.typing import NDArray

    from hyprepro.domains.metaworld.pool import Environment
    from hyprepro.domains.scenes import Scene, Symmetry


@component
class MetaWorld(Domain):
    """Meta-World, as Make-An-Agent evaluates it: metaworld's tasks with the goal in the observation.

    An episode lasts 500 steps and succeeds when metaworld's success flag is true at any of them.
    """

    label: ClassVar[str] = "metaworld"
    title: ClassVar[str] = "Meta-World"
    layout: ClassVar[PolicyLayout] = METAWORLD_LAYOUT
    horizon: ClassVar[int] = HORIZON
    metric: ClassVar[Metric] = SUCCESS
    condition: ClassVar[Condition] = "prompt"
    kinds: ClassVar[frozenset[str]] = frozenset({"fresh", "paper"})
    episodes_at_once: ClassVar[int] = SLOTS
    camera: ClassVar[str] = "corner3"
    episode_seconds: ClassVar[float] = 0.08  # of a good policy 0.05, a failed one 0.25
    symmetries: ClassVar[frozenset[Symmetry]] = frozenset({"shift", "turn", "mirror"})

    policies: str = setting("stores/metaworld.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/metaworld.trajectories.h5", "path of the trajectory store")
    stepper: StepperName = setting(
        "fast", "What steps the evaluations' environments: fast, or metaworld's own env.step; the numbers are the same."
    )

    def parameter(self, task: str) -> tuple[float, ...]:
        """None: a task is told by its prompts."""
        return ()

    def query(self, data: Data, task: str, count: int, split: str) -> Query:
        from hyprepro.stores.prompts import read_prompts

        among = data.prompt_ids(task, split)
        with data.open_trajectories() as store:
            prompts = read_prompts(store, task, split, count, among)
        if len(prompts) < count:
            raise UserError(
                f"The store has {len(prompts)} {split} prompts of {task}, and {count} are asked for.",
                where=data.trajectories.path,
                fix=f"-b Recipe.prompts_per_task={len(prompts)}",
            )
        return Query(task, (), prompts, count)

    def start(self, use: Use, base_seed: int, task: str, index: int) -> Goal:
        return fresh_goal(STRICT if use == "test" else VALIDATION, base_seed, task, index)

    def scene(self) -> Scene:
        from hyprepro.domains.metaworld.scene import MetaWorldScene

        return MetaWorldScene()

    def simulator(self, task: str, slots: int) -> Environments:
        return self._environments(task, slots, rewarded=False)

    def rewarded(self, task: str, slots: int) -> Environments:
        """With metaworld's dense rewards."""
        return self._environments(task, slots, rewarded=True)

    def _environments(self, task: str, slots: int, *, rewarded: bool) -> Environments:
        from hyprepro.domains.metaworld.pool import process_pool  # lazily: it loads the simulator

        return Environments(process_pool(self.stepper).take(task, slots), rewarded)

    def stepped_by(self, task: str) -> StepperName:
        return stepper_in_use(self.stepper, (task,))

    def environment(self, task: str) -> EnvSpec | None:
        """Any of metaworld's tasks, as `gymnasium.make("Meta-World/MT1", env_name=..., seed=1)` makes it.

        The seed is that of its fifty goals. metaworld registers this with a lambda, which no file can hold; the
        function behind it stands here instead.
        """
        from gymnasium.envs.registration import EnvSpec

        if task not in TASKS:
            return None
        return EnvSpec(
            id="Meta-World/MT1",
            entry_point="metaworld:make_mt_envs",
            kwargs={"name": f"{task}-v3", "seed": 1},
            disable_env_checker=True,  # it warns that goals are observed, which metaworld's space says are hidden
        )


class Environments:
    """Environments of one task, one a slot.

    Args:
        environments: The environments.
        rewarded: Whether somebody asks for their rewards, which cost much.
    """

    def __init__(self, environments: Sequence[Environment], rewarded: bool = False) -> None:
        self._environments = environments
        self._observations: NDArray[np.float64] = np.zeros((len(environments), 0))
        self._rows = list(self._observations)
        self._success = np.zeros(len(environments), dtype=bool)
        self._rewards = np.zeros(len(environments)) if rewarded else None

    @property
    def slots(self) -> int:
        """Number of environments."""
        return len(self._environments)

    def reset(self, slot: int, start: Goal) -> NDArray[np.float64]:
        """Begin an episode on a goal."""
        first = self._environments[slot].reset(start)
        if self._observations.shape[1] == 0:
            self._observations = np.zeros((self.slots, len(first)))
            self._rows = list(self._observations)
        return first

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step of the active slots."""
        if self._rewards is None:
            for slot in active:
                self._rows[slot][...], self._success[slot] = self._environments[slot].advance(actions[slot])
            return Step(self._observations, None, self._success)
        for slot in active:
            stepped = self._environments[slot].step(actions[slot])
            self._rows[slot][...], self._rewards[slot], self._success[slot] = stepped
        return Step(self._observations, self._rewards, self._success)

    def physics(self, slot: int) -> Physics:
        """The environment's."""
        return self._environments[slot].physics()

"""Meta-World tasks with an observable goal, reset to a goal that one number identifies.

Make-An-Agent's split: ten seen tasks (their policies are the training data) and eight unseen ones. An episode lasts
500 steps and succeeds when metaworld's success flag is true at any step. Observations are metaworld's 39 numbers in
metres: 18 of the current frame, 18 of the previous one, the goal; actions are 4 numbers in [-1, 1] (hand displacement
x, y, z; gripper).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.envs.starts import LARGEST_NUMBER_OF_STARTS, Start, put_start, take_start
from hyprepro.envs.steppers import StepperName, make_stepper
from hyprepro.errors import UserError, closest_match

SEEN_TASKS = (
    "button-press",
    "dial-turn",
    "door-open",
    "door-unlock",
    "drawer-open",
    "faucet-close",
    "handle-press",
    "plate-slide",
    "reach",
    "window-open",
)
"""The ten tasks whose policies train the generator (Make-An-Agent, data set card)."""

UNSEEN_TASKS = (
    "button-press-wall",
    "coffee-button",
    "door-lock",
    "drawer-close",
    "faucet-open",
    "handle-press-side",
    "reach-wall",
    "window-close",
)
"""The eight tasks that give prompts only (Make-An-Agent, data set card)."""

TABLE1_TASKS = (
    "window-open",
    "door-open",
    "drawer-open",
    "dial-turn",
    "plate-slide",
    "button-press",
    "handle-press",
    "faucet-close",
)
"""The eight seen tasks of the paper's Table 1, in its order; door-unlock and reach are trained on and left out."""

TABLE3_TASKS = (
    "drawer-close",
    "handle-press-side",
    "door-lock",
    "window-close",
    "reach-wall",
    "coffee-button",
    "button-press-wall",
    "faucet-open",
)
"""The eight unseen tasks in the order of the paper's Table 3."""

HORIZON = 500
"""Steps of an episode."""


@dataclass(frozen=True)
class Goal:
    """An initial condition of a task (object position, target), identified by how it is drawn and from which seed.

    Attributes:
        kind: "paper": the one goal that metaworld's own goal-observable environment freezes when built with this
            seed, as in Make-An-Agent's test code; "fresh": a goal drawn from the task's reset space with a generator of
            this seed.
        seed: The seed.
    """

    kind: Literal["paper", "fresh"]
    seed: int

    @property
    def label(self) -> str:
        """The name used in records, such as `paper-720` or `fresh-4000017`."""
        return f"{self.kind}-{self.seed}"


class _ScriptedPolicy(Protocol):
    def get_action(self, obs: NDArray[np.float64]) -> NDArray[np.float32]: ...


def check_task(task: str) -> str:
    """The task's name if it is one of the eighteen.

    Raises:
        UserError: It is not: Meta-World has it and we do not, or nobody has it; with the closest name.
    """
    tasks = SEEN_TASKS + UNSEEN_TASKS
    if task not in tasks:
        raise UserError(
            f"{task!r} is a task of Meta-World, but none of the {len(tasks)} that are supported here."
            if _is_metaworlds(task)
            else f"Unknown Meta-World task {task!r}.",
            closest=closest_match(task, tasks),
            fix=f"choose of {', '.join(tasks)}",
        )
    return task


def _is_metaworlds(task: str) -> bool:
    """Whether metaworld has a task of this name."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    return f"{task}-v3" in ALL_V3_ENVIRONMENTS


class MetaWorldEnv:
    """One metaworld environment, built once and reset to any goal of its task.

    The simulator, its reset and its success flag are metaworld's own; this class only chooses the goal. An episode
    depends on the goal and the actions alone, not on earlier episodes. A copy, or what is unpickled, is built anew and
    goes on from the same state.

    Args:
        task: The task.
        starts: Starts of episodes that environments of this task share; with it, a goal is reset the slow way once.
        stepper: What steps it, "fast" or "metaworld"; the numbers are the same.

    Raises:
        UserError: Unknown task.
    """

    def __init__(self, task: str, starts: dict[Goal, Start] | None = None, stepper: StepperName = "fast") -> None:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS

        self.task = check_task(task)
        env: Any = ALL_V3_ENVIRONMENTS[f"{task}-v3"]()
        env._partially_observable = False
        env._set_task_called = True
        env.__dict__.pop("sawyer_observation_space", None)  # cached for the hidden goal
        self._env = env
        self._wanted = stepper
        self._stepper = make_stepper(env, task, stepper)
        self._vectors: dict[Goal, NDArray[np.float64]] = {}
        self._starts = starts
        self._was_reset = False

    def reset(self, goal: Goal) -> NDArray[np.float64]:
        """Start an episode at `goal`; returns the first observation `[39]`."""
        if self._starts is None:
            return self._reset(goal)
        if self._was_reset and goal in self._starts:
            return put_start(self._env, self._starts[goal])
        observation = self._reset(goal)
        if len(self._starts) < LARGEST_NUMBER_OF_STARTS:
            self._starts[goal] = take_start(self._env, observation)
        return observation

    def _reset(self, goal: Goal) -> NDArray[np.float64]:
        env = self._env
        if goal not in self._vectors:
            self._vectors[goal] = self._draw(goal)
        env._freeze_rand_vec = True
        env._last_rand_vec = self._vectors[goal].copy()
        observation: NDArray[np.float64] = env.reset()[0]
        self._was_reset = True
        return observation

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool]:
        """One control step of 0.0125 s; returns observation `[39]`, dense reward (0 to 10) and success flag."""
        return self._stepper.step(action)

    def advance(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], bool]:
        """The same step without its reward, which costs much; returns observation `[39]` and success flag."""
        return self._stepper.advance(action)

    def __reduce__(self) -> tuple[Any, ...]:
        state = take_start(self._env, np.empty(0)) if self._was_reset else None
        return _rebuilt, (self.task, self._starts is not None, self._wanted, state)

    def _draw(self, goal: Goal) -> NDArray[np.float64]:
        """The random vector that metaworld's reset uses for this goal."""
        env = self._env
        env._freeze_rand_vec = False
        if goal.kind == "paper":
            # What ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[...](seed=s) does: the global generator, seeded, then one reset.
            state = np.random.get_state()  # noqa: NPY002 - metaworld draws from the global generator
            try:
                np.random.seed(goal.seed)  # noqa: NPY002 - as above
                env.seeded_rand_vec = False
                env.reset()
            finally:
                np.random.set_state(state)  # noqa: NPY002 - as above
        else:
            env.seeded_rand_vec = True
            env.seed(goal.seed)
            env.reset()
        return np.array(env._last_rand_vec, dtype=np.float64)


def _rebuilt(task: str, keeps_starts: bool, stepper: StepperName, state: Start | None) -> MetaWorldEnv:
    """A new environment in the state of another: metaworld's own copies lose the weld that moves the hand."""
    env = MetaWorldEnv(task, {} if keeps_starts else None, stepper)
    if state is not None:
        env.reset(Goal("fresh", 0))
        put_start(env._env, state)
    return env


def scripted_action(task: str, observation: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The action `[4]` in [-1, 1] of metaworld's scripted expert for a task."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "constant(s) may be too high": the clipping is what we want
        action = _scripted(task).get_action(np.asarray(observation, dtype=np.float64))
    return np.clip(action, -1.0, 1.0).astype(np.float32)


@cache
def _scripted(task: str) -> _ScriptedPolicy:
    from metaworld.policies import ENV_POLICY_MAP

    policies: dict[str, Any] = ENV_POLICY_MAP  # typed as a map of abstract classes
    policy: _ScriptedPolicy = policies[f"{check_task(task)}-v3"]()
    return policy

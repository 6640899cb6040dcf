"""Meta-World tasks with an observable goal, reset to a goal that one number identifies.

Make-An-Agent's split: ten seen tasks (their policies are the training data) and eight unseen ones. An episode lasts
500 steps and succeeds when metaworld's success flag is true at any step. Observations are metaworld's 39 numbers in
metres: 18 of the current frame, 18 of the previous one, the goal; actions are 4 numbers in [-1, 1] (hand displacement
x, y, z; gripper).

The start of an episode is taken once and put back bit for bit: 0.1 ms instead of the 7 to 15 ms of metaworld's reset.
That simulates 250 substeps to move the hand into place, twice. Its outcome depends on the goal alone, so it is kept:
MuJoCo's integration state, the positions in the model that a reset writes, the environment's numbers.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.steppers import StepperName, make_stepper
from hyprepro.domains.metaworld.tasks import Goal, check_task
from hyprepro.domains.rendering import Physics

_MODEL_FIELDS = ("body_pos", "site_pos")
"""What metaworld's resets write into the model: where fixtures stand and where goals are drawn."""

LARGEST_NUMBER_OF_STARTS = 2_000
"""Starts of one task that are kept; one takes about 10 kB."""

_PLAIN = (np.ndarray, np.generic, bool, int, float, str, tuple, list, dict, type(None))


@dataclass(frozen=True)
class Start:
    """A metaworld environment right after its reset.

    Attributes:
        observation: The first observation `[39]`.
        state: MuJoCo's integration state.
        model: The model's arrays by name.
        attributes: The environment's own attributes that are plain data. Views of the simulator's memory are left out:
            every reset makes the same ones.
    """

    observation: NDArray[np.float64]
    state: NDArray[np.float64]
    model: dict[str, NDArray[np.float64]]
    attributes: dict[str, Any]


def take_start(env: Any, observation: NDArray[np.float64]) -> Start:
    """The start of the metaworld environment `env`, whose reset has just returned `observation`."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(env.model, kind))
    mujoco.mj_getState(env.model, env.data, state, kind)
    attributes = {name: value for name, value in vars(env).items() if isinstance(value, _PLAIN) and not _is_live(value)}
    model = {name: getattr(env.model, name).copy() for name in _MODEL_FIELDS}
    return Start(observation.copy(), state, model, copy.deepcopy(attributes))


def put_start(env: Any, start: Start) -> NDArray[np.float64]:
    """Put `env`, of the same task and reset at least once, at `start`; returns the first observation `[39]`."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    for name, values in start.model.items():
        getattr(env.model, name)[:] = values
    vars(env).update(copy.deepcopy(start.attributes))
    mujoco.mj_setState(env.model, env.data, start.state, kind)
    mujoco.mj_forward(env.model, env.data)  # positions of bodies and sites, for whoever looks before the first step
    mujoco.mj_setState(env.model, env.data, start.state, kind)  # mj_forward has touched the solver's warm start
    return start.observation.copy()


def _is_live(value: Any) -> bool:
    """Whether an array is a view of the simulator's memory, as door-lock's `obj_init_pos` is: it must stay one."""
    while isinstance(value, np.ndarray) and isinstance(value.base, np.ndarray):
        value = value.base
    return isinstance(value, np.ndarray) and not value.flags.owndata


class _ScriptedPolicy(Protocol):
    def get_action(self, obs: NDArray[np.float64]) -> NDArray[np.float32]: ...


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
        observation = _reset_keeping_the_hand(env, _MOVES - 1)
        self._was_reset = True
        return observation

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool]:
        """One control step of 0.0125 s; returns observation `[39]`, dense reward (0 to 10) and success flag."""
        return self._stepper.step(action)

    def advance(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], bool]:
        """The same step without its reward, which costs much; returns observation `[39]` and success flag."""
        return self._stepper.advance(action)

    def physics(self) -> Physics:
        """What it shows."""
        return Physics(self._env.model, self._env.data)

    def __reduce__(self) -> tuple[Any, ...]:
        state = take_start(self._env, np.empty(0)) if self._was_reset else None
        return _rebuilt, (self.task, self._starts is not None, self._wanted, state)

    def _draw(self, goal: Goal) -> NDArray[np.float64]:
        """The random vector that metaworld's reset uses for this goal.

        The reset that draws it leaves the hand where it is: moving it is what takes time, and no draw looks at it.
        """
        env = self._env
        env._freeze_rand_vec = False
        if goal.kind == "paper":
            # What ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[...](seed=s) does: the global generator, seeded, then one reset.
            state = np.random.get_state()  # noqa: NPY002 - metaworld draws from the global generator
            try:
                np.random.seed(goal.seed)  # noqa: NPY002 - as above
                env.seeded_rand_vec = False
                _reset_keeping_the_hand(env, _MOVES)
            finally:
                np.random.set_state(state)  # noqa: NPY002 - as above
        else:
            env.seeded_rand_vec = True
            env.seed(goal.seed)
            _reset_keeping_the_hand(env, _MOVES)
        return np.array(env._last_rand_vec, dtype=np.float64)


_MOVES = 2
"""How often metaworld's reset moves the hand: in a first `reset_model`, all of whose simulation is then undone, and
in a second one."""


def _reset_keeping_the_hand(env: Any, moves: int) -> NDArray[np.float64]:
    """Metaworld's reset, in whose first `moves` the hand stays where it is, since moving it is what takes time."""
    import mujoco

    move, left = env._reset_hand, moves

    def reset_hand() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            move()
            return
        mujoco.mj_kinematics(env.model, env.data)  # a step would have: lever-pull takes the turns of what has no place
        move(0)

    env._reset_hand = reset_hand
    try:
        observation: NDArray[np.float64] = env.reset()[0]
    finally:
        del env._reset_hand  # the class's again
    return observation


def _rebuilt(task: str, keeps_starts: bool, stepper: StepperName, state: Start | None) -> MetaWorldEnv:
    """A new environment in the state of another: metaworld's own copies lose the weld that moves the hand."""
    env = MetaWorldEnv(task, {} if keeps_starts else None, stepper)
    if state is not None:
        env.reset(Goal("fresh", 0))
        put_start(env._env, state)
    return env


def scripted_action(task: str, observation: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The action `[4]` in [-1, 1] of metaworld's scripted expert for a task."""
    own = np.array(observation, dtype=np.float64)  # the experts of doors move the door in what they are given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "constant(s) may be too high": the clipping is what we want
        action = _scripted(task).get_action(own)
    return np.clip(action, -1.0, 1.0).astype(np.float32)


@cache
def _scripted(task: str) -> _ScriptedPolicy:
    from metaworld.policies import ENV_POLICY_MAP

    policies: dict[str, Any] = ENV_POLICY_MAP  # typed as a map of abstract classes
    policy: _ScriptedPolicy = policies[f"{check_task(task)}-v3"]()
    return policy

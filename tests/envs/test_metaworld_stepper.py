"""The fast stepper against metaworld's own `env.step`: every number of every step, and the state that it leaves."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from numpy.typing import NDArray

from hyprepro.envs.metaworld import SEEN_TASKS, UNSEEN_TASKS, Goal, MetaWorldEnv, scripted_action
from hyprepro.envs.metaworld_stepper import MetaWorldStepper
from hyprepro.envs.steppers import fast_refusal, stepper_in_use

pytestmark = pytest.mark.sim

TASKS = SEEN_TASKS + UNSEEN_TASKS
OTHER_TASKS = tuple(sorted(name.removesuffix("-v3") for name in ALL_V3_ENVIRONMENTS if name[:-3] not in TASKS))
_STATE = ("qpos", "qvel", "ctrl", "mocap_pos", "mocap_quat", "qacc_warmstart", "xpos", "site_xpos")


def same_state(first: Any, second: Any) -> bool:
    """Whether two of metaworld's environments are at the same point of an episode."""
    arrays = all(getattr(first.data, name).tobytes() == getattr(second.data, name).tobytes() for name in _STATE)
    frames = first._prev_obs.tobytes() == second._prev_obs.tobytes()
    last = np.array_equal(first._last_stable_obs, second._last_stable_obs)
    return arrays and frames and last and first.curr_path_length == second.curr_path_length


def acts(task: str, kind: str, rng: np.random.Generator) -> Any:
    """What acts: chance (also beyond the limits), metaworld's scripted expert, or that with noise in 64 bits."""
    if kind == "random":
        return lambda observation: rng.uniform(-1.3, 1.3, 4).astype(np.float32)
    if kind == "scripted":
        return lambda observation: scripted_action(task, observation)
    return lambda observation: scripted_action(task, observation) + 0.3 * rng.standard_normal(4)


@pytest.mark.parametrize("task", TASKS)
def test_every_number_of_every_step_is_metaworlds(task: str) -> None:
    fast, own = MetaWorldEnv(task), MetaWorldEnv(task, stepper="metaworld")
    rng = np.random.default_rng(7)
    for kind, goal in (("random", Goal("paper", 720)), ("scripted", Goal("fresh", 11)), ("noisy", Goal("paper", 920))):
        observation, act = own.reset(goal), acts(task, kind, rng)
        assert fast.reset(goal).tobytes() == observation.tobytes()
        for number in range(90):
            action = act(observation)
            observation, reward, success = own.step(action)
            if number % 3:
                got, flag = fast.advance(action)
            else:
                got, paid, flag = fast.step(action)
                assert paid == reward
            assert got.tobytes() == observation.tobytes()
            assert flag == success
            assert same_state(fast._env, own._env)


def test_every_task_is_solved_by_some_episode_above_or_here() -> None:
    """The success flags that are compared are not all False."""
    for task in ("coffee-button", "handle-press", "reach"):
        env = MetaWorldEnv(task)
        observation, solved = env.reset(Goal("fresh", 11)), False
        for _ in range(200):
            observation, success = env.advance(scripted_action(task, observation))
            solved |= success
        assert solved


@pytest.mark.parametrize("task", OTHER_TASKS[::4])
def test_the_other_tasks_of_metaworld_are_stepped_alike(task: str) -> None:
    pair = []
    for _ in range(2):
        env = ALL_V3_ENVIRONMENTS[f"{task}-v3"]()
        env._partially_observable, env._set_task_called, env._freeze_rand_vec = False, True, False
        env.__dict__.pop("sawyer_observation_space", None)
        env.seeded_rand_vec = True
        env.seed(3)
        env.reset()
        pair.append(env)
    own, other = pair
    stepper, rng = MetaWorldStepper(other, task), np.random.default_rng(0)
    for _ in range(40):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        observation, reward, _, _, info = own.step(action)
        got, paid, flag = stepper.step(action)
        assert got.tobytes() == observation.tobytes()
        assert (paid, flag) == (float(reward), bool(info["success"]))
        assert same_state(own, other)


def test_a_returned_observation_is_the_callers() -> None:
    env = MetaWorldEnv("reach")
    env.reset(Goal("fresh", 1))
    still = np.zeros(4, dtype=np.float32)
    first, _ = env.advance(still)
    kept = first.copy()
    first[:] = 9.0
    second, _ = env.advance(still)
    assert np.array_equal(second[18:36], kept[:18])
    assert second.max() < 9.0


@pytest.mark.parametrize("action", [[0.1, 0.2, -0.3, 1.0], np.array([1, 0, -1, 1]), np.full(4, 0.3, dtype=np.float16)])
def test_actions_of_other_kinds_are_metaworlds_to_take(action: Any) -> None:
    fast, own = MetaWorldEnv("reach"), MetaWorldEnv("reach", stepper="metaworld")
    for env in (fast, own):
        env.reset(Goal("fresh", 1))
    assert fast.advance(action)[0].tobytes() == own.advance(action)[0].tobytes()
    assert same_state(fast._env, own._env)


def test_errors_are_metaworlds() -> None:
    fast, own = MetaWorldEnv("reach"), MetaWorldEnv("reach", stepper="metaworld")
    for env in (fast, own):
        env.reset(Goal("fresh", 1))
        env._env.curr_path_length = 499
        env.advance(np.ones(4, dtype=np.float32))
        with pytest.raises(ValueError, match="reset the env manually"):
            env.advance(np.ones(4, dtype=np.float32))
        with pytest.raises(AssertionError, match="size 4"):
            env.advance(np.ones(3, dtype=np.float32))
        env._env._set_task_called = False
        with pytest.raises(RuntimeError, match="set_task"):
            env.advance(np.ones(4, dtype=np.float32))
    assert np.array_equal(fast._env.data.mocap_pos, own._env.data.mocap_pos)


def test_an_unstable_simulation_is_metaworlds_to_answer() -> None:
    for stepper in ("fast", "metaworld"):
        env = MetaWorldEnv("door-lock", stepper=stepper)
        env.reset(Goal("fresh", 1))
        last, _ = env.advance(np.ones(4, dtype=np.float32))
        env._env._did_see_sim_exception = True
        observation, reward, success = env.step(np.ones(4, dtype=np.float32))
        assert observation.tobytes() == last.tobytes()
        assert (reward, success) == (0.0, False)
        goal = env._env.data.site("goal_lock").xpos
        assert np.array_equal(goal, env._env._target_pos)  # the site's move, which mj_forward undoes in a stable step


@pytest.fixture
def changed_reach(monkeypatch: pytest.MonkeyPatch) -> type:
    """metaworld's reach as another release might have it: success a little farther from the goal."""
    kind = ALL_V3_ENVIRONMENTS["reach-v3"]

    class Reach(kind):
        def evaluate_state(self, obs: NDArray[np.float64], action: NDArray[np.float32]) -> tuple[float, dict[str, Any]]:
            reward, info = super().evaluate_state(obs, action)
            return reward, {**info, "success": 1.0}

    monkeypatch.setitem(ALL_V3_ENVIRONMENTS, "reach-v3", Reach)
    return Reach


def test_another_metaworld_is_stepped_by_its_own_step_and_said_so(changed_reach: type) -> None:
    with pytest.warns(RuntimeWarning, match=r"evaluate_state: not the code .* reach uses metaworld's own step"):
        env = MetaWorldEnv("reach")
    env.reset(Goal("fresh", 1))
    assert env.advance(np.zeros(4, dtype=np.float32))[1]  # the changed success
    assert stepper_in_use() == "metaworld"
    assert stepper_in_use(tasks=("door-open",)) == "fast"
    assert "\n" not in fast_refusal(changed_reach, "reach")


def test_the_stepper_in_use_is_the_one_asked_for() -> None:
    assert stepper_in_use() == "fast"
    assert stepper_in_use("metaworld") == "metaworld"


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("stepper", ["fast", "metaworld"])
def test_a_copy_goes_on_from_where_the_original_is(duplicate: Any, stepper: Any) -> None:
    env = MetaWorldEnv("door-lock", {}, stepper)
    assert duplicate(env).reset(Goal("fresh", 2)).tobytes() == env.reset(Goal("fresh", 2)).tobytes()
    observation = env.reset(Goal("fresh", 2))
    for _ in range(30):
        observation, _ = env.advance(scripted_action("door-lock", observation))
    twin = duplicate(env)
    for _ in range(40):
        action = scripted_action("door-lock", observation)
        observation, reward, success = env.step(action)
        got, paid, flag = twin.step(action)
        assert got.tobytes() == observation.tobytes()
        assert (paid, flag) == (reward, success)
    assert twin.reset(Goal("fresh", 3)).tobytes() == env.reset(Goal("fresh", 3)).tobytes()

"""The fast stepper against metaworld's own `env.step`: every number of every step, and the state that it leaves."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from numpy.typing import NDArray

from hyprepro.domains.metaworld import steppers
from hyprepro.domains.metaworld.env import MetaWorldEnv, scripted_action
from hyprepro.domains.metaworld.steppers import OwnStepper, fast_refusal, stepper_in_use
from hyprepro.domains.metaworld.tasks import OTHER_TASKS, Goal
from tests.domains.metaworld.agreement import TASKS, Difference, Episode, compare, main, state

pytestmark = pytest.mark.sim

SHARE = (
    Episode("stored", Goal("paper", 720), "sometimes"),
    Episode("scripted", Goal("fresh", 11), "always"),
    Episode("noisy", Goal("paper", 920), "sometimes"),
    Episode("random", Goal("fresh", 12), "never"),
)
"""A small share of `nox -s stepper`."""


@pytest.mark.parametrize("task", TASKS)
def test_every_number_of_every_step_is_metaworlds(task: str) -> None:
    compare(task, SHARE, steps=60)


@pytest.mark.parametrize("task", OTHER_TASKS[::4])
def test_the_other_tasks_of_metaworld_are_stepped_alike(task: str) -> None:
    compare(task, SHARE[2:], steps=40)


class _Off(OwnStepper):
    """Differs in the last digit of one reward."""

    steps = 0

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool]:
        self.steps += 1
        observation, reward, success = super().step(action)
        return observation, float(np.nextafter(reward, np.inf)) if self.steps == 7 else reward, success


def test_a_difference_is_named_by_task_goal_step_and_field() -> None:
    with pytest.raises(Difference, match=r"reach fresh-11 \(scripted actions\) step 7: reward is .*, metaworld's"):
        compare("reach", SHARE[1:2], steps=20, make=lambda env, task: _Off(env))


def test_the_check_ends_with_how_many_steps_were_equal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["door-lock", "--steps", "500"]) == 0
    printed = capsys.readouterr().out
    assert "door-lock: 500 steps equal" in printed
    assert "1 tasks, 500 steps: every number is metaworld's" in printed


def test_every_task_is_solved_by_some_episode_above_or_here() -> None:
    """The success flags that are compared are not all False."""
    for task in ("coffee-button", "handle-press", "reach"):
        env = MetaWorldEnv(task)
        observation, solved = env.reset(Goal("fresh", 11)), False
        for _ in range(200):
            observation, success = env.advance(scripted_action(task, observation))
            solved |= success
        assert solved


@pytest.mark.parametrize(("task", "limit"), [("reach", 0.05), ("plate-slide", 0.07), ("faucet-open", 0.07)])
def test_success_at_the_very_limit_is_metaworlds(task: str, limit: float) -> None:
    """Where rounding decides. The target stands that far from what is measured, give or take the last digits."""
    still, flags = np.zeros(4, dtype=np.float32), []
    fast, own = MetaWorldEnv(task, {}), MetaWorldEnv(task, {}, stepper="metaworld")
    fast.reset(Goal("fresh", 1))
    observation, _ = fast.advance(still)
    there = observation[4:7] + np.array([-0.04, 0.0, 0.03]) if task == "faucet-open" else observation[4:7]
    there = fast._env.tcp_center if task == "reach" else there
    away = np.array([0.6, -0.48, 0.64])
    for digits in range(-12, 13):
        target, answers = there + away * limit * (1.0 + digits * 2.0**-52), []
        for env in (fast, own):
            env.reset(Goal("fresh", 1))
            env._env._target_pos = target.copy()
            answers.append(env.advance(still)[1])
        assert answers[0] == answers[1]
        flags.append(answers[0])
    assert set(flags) == {True, False}


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
    assert state(fast._env) == state(own._env)


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
    monkeypatch.setattr(steppers, "_warned", False)
    return Reach


def test_another_metaworld_is_stepped_by_its_own_step_and_said_so(
    changed_reach: type, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(RuntimeWarning, match=r"evaluate_state: not the code .* reach uses metaworld's own step"):
        env = MetaWorldEnv("reach")
    env.reset(Goal("fresh", 1))
    assert env.advance(np.zeros(4, dtype=np.float32))[1]  # the changed success
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MetaWorldEnv("reach")  # said once a process
    assert main(["reach", "--steps", "500"]) == 1
    assert "reach uses metaworld's own step" in capsys.readouterr().out
    assert stepper_in_use() == "metaworld"
    assert stepper_in_use(tasks=("door-open",)) == "fast"
    assert "\n" not in fast_refusal(changed_reach, "reach")


def test_the_stepper_in_use_is_the_one_asked_for() -> None:
    assert stepper_in_use(tasks=TASKS + OTHER_TASKS) == "fast"
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

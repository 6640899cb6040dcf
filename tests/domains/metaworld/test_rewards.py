"""The shorter ways to what a reward asks for: bit for bit what the longer ones give, and for all that they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.utils import reward_utils

from hyprepro.domains.metaworld.rewards import evaluation, norm, tolerance

pytestmark = pytest.mark.sim


@pytest.mark.parametrize("sigmoid", ["long_tail", "gaussian"])
@pytest.mark.parametrize("kind", [float, np.float64])
def test_tolerance_of_a_number_is_metaworlds(sigmoid: str, kind: type) -> None:
    rng = np.random.default_rng(1)
    for x, upper, margin in rng.exponential((0.2, 0.03, 0.3), (3000, 3)).tolist():
        got = tolerance(kind(x), (0, upper), kind(margin), sigmoid)
        wanted = reward_utils.tolerance(kind(x), bounds=(0, upper), margin=kind(margin), sigmoid=sigmoid)
        assert got == wanted
        assert type(got) is type(wanted)


@pytest.mark.parametrize(
    "arguments",
    [
        {"x": 0.3, "margin": 0.0},
        {"x": 0.0, "margin": 0.0},
        {"x": -0.2, "bounds": (-0.1, 0.4), "margin": 0.5},
        {"x": 0.3, "margin": 1e-200, "sigmoid": "long_tail"},
        {"x": float("nan"), "margin": 0.5},
        {"x": 0.3, "margin": float("nan"), "sigmoid": "long_tail"},
        {"x": 0.3, "margin": 0.5, "sigmoid": "tanh_squared"},
        {"x": 0.3, "margin": 0.5, "value_at_margin": 0.2},
        {"x": np.array([0.0, 0.3, 0.6]), "margin": 0.5},
        {"x": np.float32(0.3), "margin": 0.5},
        {"x": 1, "margin": 2},
    ],
)
def test_tolerance_of_anything_else_is_metaworlds_too(arguments: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        got, wanted = tolerance(**arguments), reward_utils.tolerance(**arguments)
    assert np.array(got).tobytes() == np.array(wanted).tobytes()
    assert type(got) is type(wanted)


@pytest.mark.parametrize("arguments", [{"margin": -0.1}, {"bounds": (1.0, 0.0)}, {"margin": 0.5, "sigmoid": "none"}])
def test_tolerance_refuses_what_metaworlds_refuses(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"non-negative|Lower bound|Unknown sigmoid"):
        tolerance(2.0, **arguments)


@pytest.mark.parametrize(
    "x",
    [
        np.array([0.1, -0.7, 0.3]),
        np.arange(6.0)[::2],
        np.array([0.1, 0.2], dtype=np.float32),
        np.ones((2, 3)),
        np.float64(-0.3),
        np.array([3, 4]),
        0.25,
    ],
)
def test_a_norm_is_numpys(x: Any) -> None:
    assert norm(x) == np.linalg.norm(x)
    assert type(norm(x)) is type(np.linalg.norm(x))
    assert np.array_equal(norm(np.eye(2), axis=0), [1.0, 1.0])


def test_a_reward_reads_and_writes_the_environments_own_attributes() -> None:
    env: Any = ALL_V3_ENVIRONMENTS["door-open-v3"](reward_function_version="v1")
    env._partially_observable, env._set_task_called, env._freeze_rand_vec = False, True, False
    env.reset()
    observation, action = env.step(np.zeros(4, dtype=np.float32))[0], np.ones(4, dtype=np.float32)
    wanted, info = env.evaluate_state(observation, action)
    env.reachCompleted = "not yet asked"  # which the first version of the rewards notes
    assert evaluation(env, None)(observation, action) == (wanted, info)
    assert env.reachCompleted in (False, True)
    reward = evaluation(env, None)
    env.reward_function_version = "v2"
    assert reward(observation, action)[0] == env.evaluate_state(observation, action)[0] < 10.0
    env._target_pos = observation[4:7].copy()
    assert reward(observation, action)[0] == 10.0

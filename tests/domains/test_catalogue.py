from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from hyprepro.domains.catalogue import task_spec
from hyprepro.domains.metaworld.tasks import TASKS


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_specification_that_a_file_can_hold(task: str) -> None:
    spec = task_spec(task, (39, 4))
    assert spec is not None
    assert spec.kwargs["name"] in ALL_V3_ENVIRONMENTS
    assert EnvSpec.from_json(spec.to_json()) == spec


@pytest.mark.sim
def test_it_makes_what_metaworlds_own_name_makes() -> None:
    spec = task_spec("door-lock", (39, 4))
    assert spec is not None
    ours = gymnasium.make(EnvSpec.from_json(spec.to_json()))
    theirs = gymnasium.make("Meta-World/MT1", env_name="door-lock-v3", seed=1, disable_env_checker=True)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    action = np.array([0.1, 0.2, -0.3, 0.5], np.float32)
    for env in (ours, theirs):
        env.reset(seed=3)
    for mine, other in zip(ours.step(action)[:4], theirs.step(action)[:4], strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.sim
def test_a_velocity_is_a_cheetah() -> None:
    spec = task_spec("velocity-1.200", (17, 6))
    assert spec is not None
    env = gymnasium.make(EnvSpec.from_json(spec.to_json()))
    assert env.reset(seed=0)[1]["velocity"] == 1.2


@pytest.mark.parametrize(
    ("task", "sizes"),
    [("my-task", (39, 4)), ("reach", (17, 6)), ("velocity-1.200", (39, 4)), ("velocity-9.000", (17, 6))],
)
def test_no_environment_is_made_up(task: str, sizes: tuple[int, int]) -> None:
    assert task_spec(task, sizes) is None

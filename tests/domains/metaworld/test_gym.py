from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from hyprepro.domains.metaworld.gym import MetaWorldGym
from hyprepro.domains.metaworld.tasks import Goal

pytestmark = pytest.mark.sim


def environment() -> MetaWorldGym:
    return MetaWorldGym("reach", lambda episode: Goal("fresh", episode), 20, lambda raw: raw.astype(np.float32))


def test_gymnasium_finds_nothing_wrong() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of spaces without bounds
        check_env(environment(), skip_render_check=True)


def test_a_seed_begins_with_the_first_goal_again_and_no_seed_with_the_next_one() -> None:
    env = environment()
    first, second = env.reset()[0], env.reset()[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(env.reset(seed=7)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)

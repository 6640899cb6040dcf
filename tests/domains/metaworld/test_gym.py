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


def test_a_seed_begins_at_the_goal_of_its_number_and_no_seed_at_the_next_one() -> None:
    env = environment()
    first, second = env.reset()[0], env.reset()[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(env.reset(seed=0)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)
    np.testing.assert_array_equal(env.reset(seed=1)[0], second)

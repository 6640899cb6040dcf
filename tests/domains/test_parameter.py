"""Domains of numbers: names, checks, training subsets; simulators side by side, and episodes that end early."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from hyprepro.domains.base import Start
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.cheetah_vel.tasks import TEST_INDICES
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.errors import UserError
from hyprepro.policies.controllers import PolicyControllers
from tests.domains.falls import HORIZON, LAYOUT, FallDomain, Falls

DOMAIN = FallDomain()


def test_a_name_states_every_number_and_back() -> None:
    assert DOMAIN.sweep == ("fall-3.000--0.500", "fall-5.000-0.000", "fall-99.000-0.250")
    assert tuple(map(DOMAIN.parameter, DOMAIN.sweep)) == DOMAIN.grid
    assert tuple(map(DOMAIN.task_name, DOMAIN.grid)) == DOMAIN.sweep
    assert (DOMAIN.tested, DOMAIN.training) == (DOMAIN.sweep[1:2], DOMAIN.sweep[::2])
    for grid in (CheetahVel(), CheetahVel(first=0.0)):
        assert all(grid.task_name(grid.parameter(task)) == task for task in grid.sweep)
    assert CheetahVel().sweep[0] == "velocity-0.075"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("fall-3.000", "by 2 numbers, not 1"),
        ("fall-3.000-0.500-0.500", "by 2 numbers, not 3"),
        ("fall-3.000-2.000", "outside -1 to 1"),
        ("fall-0.500-0.500", "outside 1 to 99"),
        ("fall-3.0-0.5", "names no fall"),
        ("velocity-3.000-0.500", "names no fall"),
        ("fall-nan-0.500", "names no fall"),
        ("xfall-3.000-0.500", "names no fall"),
        ("", "names no fall"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, complaint: str) -> None:
    assert not DOMAIN.has(name)
    with pytest.raises(UserError, match=complaint):
        DOMAIN.parameter(name)


@pytest.mark.parametrize("name", ["velocity--0.500", "velocity-3.100", "velocity-1.2", "reach", "velocity-nan", ""])
def test_a_name_that_is_no_velocity_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        CheetahVel().parameter(name)


def test_subsets_of_the_training_tasks_spread_and_nest_without_tests() -> None:
    domain = CheetahVel()
    places = {task: place for place, task in enumerate(domain.sweep)}
    subsets = {n: [places[task] for task in domain.training_subset(n)] for n in (10, 20, 25, 35)}
    for count, subset in subsets.items():
        assert len(set(subset)) == count
        assert not set(subset) & set(TEST_INDICES)
        assert (subset[0], subset[-1]) == (0, 39)
    assert set(subsets[10]) < set(subsets[20]) < set(subsets[25]) < set(subsets[35])
    assert max(np.diff(subsets[10])) <= 5
    assert max(np.diff(subsets[20])) <= 4
    for count in (1, 36):
        with pytest.raises(UserError, match="2 to 35"):
            domain.training_subset(count)


def test_a_grid_with_a_number_outside_its_range_is_refused() -> None:
    class Wide(FallDomain):
        values: ClassVar[tuple[tuple[float, ...], ...]] = ((3.0, 0.0), (200.0, 0.0))

    class Twice(FallDomain):
        values: ClassVar[tuple[tuple[float, ...], ...]] = ((3.0, 0.0), (3.0, 0.0))

    with pytest.raises(UserError, match="200 lies outside 1 to 99"):
        Wide().check()
    with pytest.raises(UserError, match="twice"):
        Twice().check()
    DOMAIN.check()


def controllers(n: int) -> PolicyControllers:
    return PolicyControllers(LAYOUT, np.random.default_rng(0).normal(0, 0.3, (n, LAYOUT.size)))


@pytest.mark.parametrize("task", DOMAIN.sweep)
def test_an_episode_ends_where_the_environment_ends_it(task: str) -> None:
    policies = controllers(3)
    episodes = [Episode(row, Start("fresh", seed)) for row in range(3) for seed in range(4)]
    found = run_episodes(DOMAIN, task, policies, episodes)
    for (row, start), outcome in zip(episodes, found, strict=True):
        env, session = Falls(*DOMAIN.parameter(task)), policies.session(1)
        session.assign(0, row)
        observation, total, ended = env.reset(seed=start.seed)[0], 0.0, False
        while not ended and env.time < HORIZON:
            action = session.act(observation.astype(np.float32)[None])[0]
            observation, reward, ended, *_ = env.step(-3.0 + (action + 1.0) * 4.0)
            total += reward
        assert outcome.total == pytest.approx(total, abs=1e-4)
    assert len({outcome.total for outcome in found}) > 3


def test_simulators_side_by_side_are_each_of_their_own_task() -> None:
    together = DOMAIN.simulators(DOMAIN.sweep)
    for slot in range(3):
        assert together.reset(slot, Start("fresh", slot))[0] == slot
    ended = np.zeros(3, dtype=int)
    for time in range(1, 6):
        step = together.step(np.full((3, 1), 0.5, dtype=np.float32), [0, 1, 2])
        np.testing.assert_allclose(step.rewards, [0.0, 0.5, 0.75])
        np.testing.assert_array_equal(step.observations[:, 1], time)
        ended += step.ended
    assert ended.tolist() == [3, 1, 0]
    assert step.success is None

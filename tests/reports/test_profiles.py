from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyprepro.reports.statistics import (
    TAUS,
    Bootstrap,
    Outcomes,
    improvement,
    performance_profile,
    probability_of_improvement,
    shares_above,
)

FloatArray = NDArray[np.float64]


def runs(rates: FloatArray, policies: int = 20, seed: int = 0) -> dict[str, Outcomes]:
    """Tasks in which run s succeeds at rate `rates[s]`."""
    rng = np.random.default_rng(seed)
    return {str(t): Outcomes((rng.random((len(rates), policies, 1)) < rates[:, None, None]) * 1.0) for t in range(3)}


def by_pairs(one: FloatArray, other: FloatArray) -> float:
    """The definition, pair by pair: scores `[S, T]`, `[R, T]`."""
    points = [
        [1.0 if x > y else 0.5 if x == y else 0.0 for x in one[:, task] for y in other[:, task]]
        for task in range(one.shape[1])
    ]
    return float(np.mean([np.mean(task) for task in points]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_the_probability_of_improvement_counts_pairs_of_runs(seed: int, s: int, r: int, tasks: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 4, (s, tasks)) / 4, rng.integers(0, 4, (r, tasks)) / 4
    found = improvement(one[None], other[None])[0]
    assert found == pytest.approx(by_pairs(one, other))
    assert found + improvement(other[None], one[None])[0] == pytest.approx(1)


def test_rounding_errors_leave_a_tie_a_tie() -> None:
    assert improvement(np.full((1, 1, 1), 0.1 + 0.2), np.full((1, 1, 1), 0.3))[0] == 0.5


def test_equal_methods_tie_on_every_resample() -> None:
    tasks = runs(np.array([0.3, 0.7]))
    same = probability_of_improvement(tasks, tasks, Bootstrap(50))
    never_fails = {name: Outcomes(np.ones((1, 20, 1))) for name in tasks}
    assert same.value == 0.5
    sure = probability_of_improvement(never_fails, never_fails, Bootstrap(50))
    assert (sure.value, sure.ci95) == (0.5, (0.5, 0.5))


def test_a_clearly_better_method_improves_almost_surely_and_a_slightly_better_one_not() -> None:
    bootstrap = Bootstrap(300)
    low, high = runs(np.array([0.3, 0.35, 0.4])), runs(np.array([0.8, 0.85, 0.9]), seed=1)
    clear = probability_of_improvement(high, low, bootstrap)
    assert clear.value == 1.0
    assert clear.ci95[0] > 0.9
    unclear = probability_of_improvement(
        runs(np.array([0.5, 0.5, 0.5]), seed=2), runs(np.array([0.5]), seed=3), bootstrap
    )
    assert unclear.ci95[0] < 0.5 < unclear.ci95[1]


def test_the_interval_knows_that_prompts_were_drawn() -> None:
    """One run each: runs alone would leave no interval at all."""
    one, other = runs(np.array([0.6]), policies=10), runs(np.array([0.5]), policies=10, seed=1)
    low, high = probability_of_improvement(one, other, Bootstrap(200)).ci95
    assert high - low > 0.2


def test_a_share_is_of_runs_and_tasks_strictly_above() -> None:
    scores = np.array([[[0.0, 0.5], [1.0, 0.5]]])
    np.testing.assert_allclose(
        shares_above(scores, np.array([0.0, 0.4, 0.5, 0.9, 1.0]))[0], [0.75, 0.75, 0.25, 0.25, 0]
    )


def test_a_profile_falls_from_left_to_right_inside_its_band() -> None:
    profile = performance_profile(runs(np.array([0.3, 0.6, 0.9]), policies=40), Bootstrap(200))
    share = np.array(profile.share)
    assert profile.taus == TAUS
    assert share[0] > 0.9
    assert share[-1] == 0
    assert (np.diff(share) <= 0).all()
    assert (np.array(profile.low) <= np.array(profile.high)).all()
    assert np.mean((np.array(profile.low) <= share) & (share <= np.array(profile.high))) > 0.9


def test_the_area_under_a_profile_is_the_mean() -> None:
    tasks = runs(np.array([0.2, 0.5, 0.8]), policies=50)
    profile = performance_profile(tasks, Bootstrap(10))
    mean = np.mean([task.success.mean() for task in tasks.values()])
    assert np.mean(profile.share[:-1]) == pytest.approx(mean)  # the scores lie on the grid

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyprepro.reports.statistics import (
    IQM,
    MEAN,
    Bootstrap,
    Outcomes,
    difference,
    estimate,
    interquartile_mean,
    same_design,
    top,
    top_k,
)

FloatArray = NDArray[np.float64]


def draw(rng: np.random.Generator, rate: float, seeds: int = 1, policies: int = 100, goals: int = 1) -> Outcomes:
    return Outcomes((rng.random((seeds, policies, goals)) < rate).astype(float))


def trim_mean(values: FloatArray) -> float:
    """scipy.stats.trim_mean(values, 0.25, axis=None), which rliable's IQM is."""
    flat = np.sort(values.ravel())
    cut = int(0.25 * flat.size)
    return float(flat[cut : flat.size - cut].mean())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_interquartile_mean_is_rliables(values: list[float]) -> None:
    scores = np.array(values)
    assert interquartile_mean(scores.reshape(1, 1, -1))[0] == pytest.approx(trim_mean(scores))


def test_the_interquartile_mean_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")  # comes with gymnasium's extras, not with the core
    scores = np.random.default_rng(0).random((3, 8))
    expected = stats.trim_mean(scores, proportiontocut=0.25, axis=None)
    assert interquartile_mean(scores[None])[0] == pytest.approx(expected)


def test_the_interquartile_mean_leaves_out_a_task_that_failed_altogether() -> None:
    tasks = {str(task): Outcomes(np.full((1, 10, 1), float(task > 0))) for task in range(8)}
    bootstrap = Bootstrap(10)
    assert estimate(IQM, tasks, bootstrap).value == 1.0
    assert estimate(MEAN, tasks, bootstrap).value == 0.875


def test_the_mean_over_tasks_weighs_tasks_equally() -> None:
    tasks = {"a": Outcomes(np.ones((1, 90, 1))), "b": Outcomes(np.zeros((1, 10, 1)))}
    assert estimate(MEAN, tasks, Bootstrap(10)).value == 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_top_k_is_the_mean_of_the_first_k_after_sorting(seed: int, k: int) -> None:
    values = np.random.default_rng(seed).integers(0, 3, 9) / 2
    found = top_k(np.ones((1, 9)), values, values, k)[0]
    assert found == pytest.approx(np.sort(values)[::-1][:k].mean())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_ties_in_top_k_are_shared_as_over_random_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank, value = rng.integers(0, 2, 8).astype(float), rng.random(8)
    orders = []
    for _ in range(600):
        order = rng.permutation(8)
        orders.append(value[order[np.argsort(-rank[order], kind="stable")][:3]].mean())
    assert top_k(np.ones((1, 8)), rank, value, 3)[0] == pytest.approx(np.mean(orders), abs=0.08)


def test_top_k_counts_a_policy_as_often_as_it_was_drawn() -> None:
    counts = np.array([[3.0, 0.0, 1.0], [0.0, 4.0, 0.0]])
    value = np.array([1.0, 0.5, 0.0])
    np.testing.assert_allclose(top_k(counts, value, value, 4), [0.75, 0.5])


def test_the_papers_top_k_sorts_each_goal_by_itself_and_so_is_optimistic() -> None:
    success = np.zeros((1, 10, 2))
    success[0, :5, 0] = 1  # five policies solve one goal, the other five the other
    success[0, 5:, 1] = 1
    tasks = {"a": Outcomes(success, validation=success[:, :, 0])}
    assert estimate(MEAN, tasks, Bootstrap(10)).value == 0.5
    assert estimate(top(5, is_validated=False), tasks, Bootstrap(10)).value == 1.0


def test_the_strict_top_k_is_picked_on_validation_goals_and_scored_on_others() -> None:
    success = np.zeros((1, 10, 1))
    success[0, :2] = 1
    lucky = {"a": Outcomes(success, validation=np.repeat([[0.0, 1.0]], 5, axis=1))}
    assert estimate(top(5, is_validated=True), lucky, Bootstrap(10)).value == 0.0
    wise = {"a": Outcomes(success, validation=success[:, :, 0])}
    assert estimate(top(5, is_validated=True), wise, Bootstrap(10)).value == pytest.approx(0.4)


def test_top_k_needs_k_policies_and_validation() -> None:
    tasks = {"a": Outcomes(np.ones((1, 4, 1)))}
    with pytest.raises(ValueError, match="4 policies"):
        estimate(top(5, is_validated=False), tasks, Bootstrap(10))
    with pytest.raises(ValueError, match="no validation"):
        estimate(top(3, is_validated=True), tasks, Bootstrap(10))


def test_intervals_cover_the_true_rate_about_as_often_as_they_say() -> None:
    rng, covered = np.random.default_rng(1), 0
    for trial in range(200):
        low, high = estimate(MEAN, {"a": draw(rng, 0.7)}, Bootstrap(300, seed=trial)).ci95
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_prompts_shared_by_all_seeds_do_not_count_as_independent() -> None:
    """Five seeds that do exactly the same are worth one: a bootstrap over all 500 policies would claim otherwise."""
    one = draw(np.random.default_rng(2), 0.5, seeds=1)
    five = Outcomes(np.repeat(one.success, 5, axis=0))
    bootstrap = Bootstrap(500)
    assert estimate(MEAN, {"a": one}, bootstrap).ci95 == estimate(MEAN, {"a": five}, bootstrap).ci95


def test_seeds_that_differ_widen_the_interval_of_an_average_over_many_tasks() -> None:
    """One generator serves all tasks, so a bad seed is bad on all of them: more tasks do not average it away."""
    rng = np.random.default_rng(3)
    rates = (0.2, 0.5, 0.8)
    tasks = {
        str(task): Outcomes(np.concatenate([draw(rng, rate, policies=200).success for rate in rates]))
        for task in range(10)
    }
    alike = {name: draw(rng, 0.5, seeds=3, policies=200) for name in tasks}
    wide, narrow = (np.diff(estimate(MEAN, some, Bootstrap(500)).ci95)[0] for some in (tasks, alike))
    assert wide > 0.3
    assert narrow < 0.05


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    rng = np.random.default_rng(4)
    hard = rng.random((1, 200, 1)) < 0.5  # prompts that neither method solves
    one = {"a": Outcomes((~hard).astype(float))}
    other = {"a": Outcomes((~hard & (rng.random((1, 200, 1)) < 0.9)).astype(float))}
    bootstrap = Bootstrap(1000)
    first, second = estimate(MEAN, one, bootstrap), estimate(MEAN, other, bootstrap)
    gain = difference(first, second)
    assert gain.value == pytest.approx(first.value - second.value)
    assert gain.ci95[0] > 0
    assert np.diff(gain.ci95) < 0.7 * np.diff(first.ci95)


def test_a_method_without_seeds_can_be_paired_with_one_that_has_them() -> None:
    rng = np.random.default_rng(5)
    seeded, single = {"a": draw(rng, 0.9, seeds=3)}, {"a": draw(rng, 0.5)}
    bootstrap = Bootstrap(200)
    gain = difference(estimate(MEAN, seeded, bootstrap), estimate(MEAN, single, bootstrap))
    assert gain.ci95[0] < gain.value < gain.ci95[1]
    assert same_design(list(seeded.values()), list(single.values()))
    assert not same_design(list(seeded.values()), [draw(rng, 0.5, policies=7)])


def test_estimates_are_deterministic_and_independent_of_other_methods_and_tasks() -> None:
    rng = np.random.default_rng(6)
    a, b = draw(rng, 0.6, seeds=2), draw(rng, 0.4, seeds=2)
    alone = estimate(MEAN, {"a": a}, Bootstrap(100)).ci95
    shared = Bootstrap(100)
    estimate(MEAN, {"b": b}, shared)
    estimate(IQM, {"b": b, "a": a}, shared)
    assert estimate(MEAN, {"a": a}, shared).ci95 == alone
    assert estimate(MEAN, {"a": a}, Bootstrap(100, seed=1)).ci95 != alone

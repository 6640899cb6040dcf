"""Intervals of learning curves, and whether they overlap."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.learning import compared, difference, interval


def test_the_interval_is_students() -> None:
    mean, low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - 2.4841377, 2.0 + 2.4841377))
    assert interval(np.array([4.0])) == (4.0, 4.0, 4.0)


def test_the_difference_has_welchs_interval() -> None:
    mean, low, high = difference(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.5, 4.0]))
    assert (mean, low, high) == pytest.approx((0.5, -4.083, 5.083), abs=1e-3)
    assert difference(np.ones(3), np.zeros(3)) == (1.0, 1.0, 1.0)


def test_what_is_learnt_more_slowly_differs_over_all_tests() -> None:
    noise = np.linspace(-1.0, 1.0, 5)[:, None, None]
    risen = np.array([0.0, 10.0, 20.0])[None, :, None] + noise
    slower = np.array([0.0, 5.0, 20.0])[None, :, None] + noise
    found = compared({"stacked": slower, "stable-baselines3": risen}, np.arange(3))["difference"]
    assert found["mean"] == pytest.approx(-2.5)
    assert found["low"] < -2.5 < found["high"] < 0


def test_curves_that_part_do_not_overlap() -> None:
    noise = np.array([0.0, 0.1, -0.1])[:, None, None]
    same, above = np.zeros((3, 2, 1)) + noise, np.zeros((3, 2, 1)) + noise
    above[:, 1] += 5.0
    updates = np.array([0, 10])
    found = compared({"stacked": same, "stable-baselines3": above}, updates)
    assert found["overlap"] == [True, False]
    assert found["overlaps"] is False
    assert found["stacked"]["mean"] == pytest.approx([0.0, 0.0])
    assert found["stable-baselines3"]["seeds"] == [[0.0, 5.0], [0.1, 5.1], [-0.1, 4.9]]
    assert compared({"stacked": same, "stable-baselines3": same}, updates)["overlaps"] is True


def test_the_picture_has_the_same_bytes_every_time() -> None:
    from benchmarks.learning_figure import pictures

    curve = np.random.default_rng(0).normal(size=(3, 4, 2))
    found = compared({"stacked": curve, "stable-baselines3": curve + 0.1}, np.arange(4))
    first, second = pictures({"reach": found}), pictures({"reach": found})
    assert first == second
    assert set(first) == {"learning.png", "learning.svg"}

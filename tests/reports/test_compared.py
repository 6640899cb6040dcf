from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyprepro.reports.compared import FIELDS, compared, square_and_add
from hyprepro.reports.reading import key_of


def row(method: str, value: float | None, ci95: list[float] | None = None, **more: Any) -> dict[str, Any]:
    common = {"method": method, "task": None, "split": "seen", "protocol": "paper", "metric": "return"}
    given = {"value": value, "ci95": ci95 or (None if value is None else [value - 1, value + 1])}
    return {**common, "statistic": "mean", "variant": "ours", "n_train": None, **given, **more}


def test_rows_are_matched_by_what_they_are_not_by_where_they_stand() -> None:
    a = {"rows": [row("expert", 1.0), row("gen-hyprl", 2.0)]}
    b = {"rows": [row("gen-hyprl", 2.5, variant="paper"), row("care", 0.0), row("expert", 1.0, variant="paper")]}
    found = compared(a, b, {})
    assert [(pair.named["method"], pair.delta) for pair in found] == [("gen-hyprl", 0.5), ("care", None)]


def test_equal_values_with_other_intervals_differ() -> None:
    (pair,) = compared({"rows": [row("expert", 1.0)]}, {"rows": [row("expert", 1.0, [0.0, 9.0])]}, {})
    assert pair.delta == 0.0


def test_a_value_that_could_not_be_computed_has_no_difference() -> None:
    (pair,) = compared({"rows": [row("expert", None)]}, {"rows": [row("expert", 1.0)]}, {})
    assert (pair.delta, pair.ci95, pair.interval) == (None, None, "")
    assert pair.to_json()["b"] == 1.0
    assert pair.to_json()["a"] is None


def test_a_paired_difference_goes_before_an_independent_one() -> None:
    a, b = {"rows": [row("expert", 1.0)]}, {"rows": [row("expert", 1.5)]}
    paired = {key_of(a["rows"][0], FIELDS): {"value": 0.5, "ci95": [0.4, 0.6]}}
    (apart,), (pair,) = compared(a, b, {}), compared(a, b, paired)
    assert (apart.interval, pair.interval) == ("independent", "paired")
    assert pair.ci95 == (0.4, 0.6)
    assert apart.ci95 == pytest.approx((0.5 - 2**0.5, 0.5 + 2**0.5))


def test_square_and_add_covers_as_often_as_it_says() -> None:
    """Of two normal means with exact 95% intervals, in nineteen of twenty draws (checked on a fixed seed)."""
    rng = np.random.default_rng(0)
    draws = rng.normal([0.0, 3.0], [1.0, 2.0], (4000, 2))
    hits = 0
    for one, other in draws:
        a = {"value": one, "ci95": [one - 1.96, one + 1.96]}
        b = {"value": other, "ci95": [other - 3.92, other + 3.92]}
        low, high = square_and_add(a, b)
        hits += low <= 3.0 <= high
    assert 0.94 < hits / len(draws) < 0.96


def test_an_interval_of_no_width_adds_nothing() -> None:
    a, b = {"value": 1.0, "ci95": [1.0, 1.0]}, {"value": 0.9, "ci95": [0.8, 0.95]}
    assert square_and_add(a, b) == pytest.approx((-0.2, -0.05))

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evaluation import measure, measure_evaluation
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import METAWORLD_LAYOUT


@pytest.mark.sim
def test_an_evaluation_costs_little_more_than_its_simulation() -> None:
    params = np.random.default_rng(0).normal(0, 0.08, (2, METAWORLD_LAYOUT.size))
    goals = [Goal("fresh", 4_000_000), Goal("fresh", 4_000_001)]
    speed = measure("reach", PolicyControllers(METAWORLD_LAYOUT, params), goals, rounds=1, slots=2)
    assert 2 <= speed.steps <= 1000
    assert 0 < speed.resets < 1
    assert speed.bound_share > 0.5  # 0.87 on a quiet machine
    assert speed.ratio > 1  # 2.9 on a quiet machine


@pytest.mark.sim
def test_the_printed_object_agrees_with_itself() -> None:
    found = measure_evaluation(["reach"], episodes=1, rounds=1)
    assert found["ratio"] == found["least_ratio"] == pytest.approx(found["ours"] / found["peer"], rel=1e-3)
    assert found["bound_share"] == found["least_bound_share"]
    assert found["bound_share"] == pytest.approx(found["ours"] / found["bound"], rel=1e-3)
    assert found["loop_ratio"] == pytest.approx(found["ours"] / found["loop"], rel=1e-3)

"""How gradients become one: cases worked out by hand, the duals of scipy, and what must hold for any gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import minimize

from hyprepro.methods.multitask.gradients import CAGrad, Gradient, PCGrad, SummedGradient, negative, worst_case

Gradients = NDArray[np.float64]
SHAPES = st.tuples(st.integers(2, 6), st.integers(1, 8))
ANY = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-10, 10, width=32)))


def step(method: Gradient, gradients: Gradients, seed: int = 0) -> NDArray[np.float64]:
    weights = method.weights(gradients @ gradients.T, np.random.default_rng(seed))
    return weights @ gradients


def test_pcgrad_of_two_opposed_tasks_is_the_projection_by_hand() -> None:
    one, other = np.array([1.0, 0.0]), np.array([-1.0, 1.0])
    first = one - (one @ other) / (other @ other) * other  # (1/2, 1/2)
    second = other - (other @ one) / (one @ one) * one  # (0, 1)
    np.testing.assert_allclose(step(PCGrad(), np.stack([one, other])), (first + second) / 2)


def test_pcgrad_meets_tasks_in_random_order() -> None:
    gradients = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.2], [-1.0, -0.5, 1.0]])
    found = {tuple(step(PCGrad(), gradients, seed).round(9)) for seed in range(20)}
    assert len(found) > 1
    np.testing.assert_array_equal(step(PCGrad(), gradients, 3), step(PCGrad(), gradients, 3))


@given(ANY)
@settings(deadline=None, max_examples=25)
def test_pcgrad_leaves_tasks_alone_that_agree(gradients: Gradients) -> None:
    agreeing = np.abs(gradients)
    np.testing.assert_allclose(step(PCGrad(), agreeing), agreeing.mean(0), atol=1e-9)


@given(arrays(np.float64, (2, 5), elements=st.floats(-10, 10, width=32)))
@settings(deadline=None, max_examples=25)
def test_pcgrad_of_two_opposes_neither(gradients: Gradients) -> None:
    lengths = np.square(gradients).sum(1)
    if lengths.min() > 1e-6:
        assert (gradients @ step(PCGrad(), gradients)).min() >= -1e-6 * lengths.max()


@given(ANY)
@settings(deadline=None, max_examples=25)
def test_cagrad_is_the_mean_without_a_radius(gradients: Gradients) -> None:
    np.testing.assert_allclose(step(CAGrad(radius=0.0), gradients), gradients.mean(0), atol=1e-9)
    np.testing.assert_allclose(step(SummedGradient(), gradients), gradients.mean(0), atol=1e-9)


def test_cagrad_of_two_tasks_by_hand() -> None:
    """Equal lengths: the dual is at w = 1/2, where g_w = g_0, so the step is (1 + c) g_0."""
    gradients = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(step(CAGrad(radius=0.5), gradients), [0.75, 0.75], atol=1e-4)
    lopsided = np.array([[3.0, 0.0], [-1.0, 0.0]])  # on a line: the worst task is the second, and gains most by c |g_0|
    np.testing.assert_allclose(step(CAGrad(radius=0.5), lopsided), [0.5, 0.0], atol=1e-3)


@given(ANY, st.floats(0.05, 0.99))
@settings(deadline=None, max_examples=25)
def test_cagrad_stays_near_the_mean_and_helps_the_worst_task(gradients: Gradients, radius: float) -> None:
    mean = gradients.mean(0)
    size = float(np.linalg.norm(mean))
    scale = float(np.square(gradients).sum(1).max())
    if size**2 <= 1e-3 * scale:
        return
    found = step(CAGrad(radius=radius), gradients)
    dual = worst_case(gradients @ gradients.T, radius * size) @ gradients
    if np.linalg.norm(dual) < 0.1 * scale**0.5:  # tasks that cannot all gain: which way is nearly best is not told
        return
    assert np.linalg.norm(found - mean) <= (1 + 1e-5) * radius * size
    assert (gradients @ found).min() >= (gradients @ mean).min() - 1e-3 * scale


@pytest.mark.parametrize("radius", [1e-6, 3e-5, 1e-3])
def test_cagrad_with_a_small_radius_is_nearly_the_mean(radius: float) -> None:
    """Tasks that agree too: what is asked of the dual then grows without bound."""
    for gradients in (np.array([[1.0, 0.0], [1.0, 0.1]]), np.eye(3), np.array([[1.0, 0.0], [-0.5, 0.5]])):
        mean = gradients.mean(0)
        found = step(CAGrad(radius=radius), gradients)
        assert np.linalg.norm(found - mean) <= 1.01 * radius * np.linalg.norm(mean)


@pytest.mark.parametrize("seed", range(5))
def test_the_dual_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(6, 20)) * np.exp(rng.normal(size=(6, 1)))
    products, mean = gradients @ gradients.T, np.full(6, 1 / 6)
    reach = 0.9 * float(np.sqrt(mean @ products @ mean))

    def value(w: NDArray[np.float64]) -> float:
        return float(w @ products @ mean + reach * np.sqrt(w @ products @ w))

    simplex = {"type": "eq", "fun": lambda w: 1 - w.sum()}
    reference = minimize(value, mean, bounds=[(0, 1)] * 6, constraints=simplex, options={"ftol": 1e-12})
    found = worst_case(products, reach)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert value(found) <= reference.fun + 1e-5 * np.trace(products) / 6


def test_opposed_pairs_stand_in_the_order_of_combinations() -> None:
    gradients = np.array([[1.0, 0.0], [-1.0, 0.1], [0.5, 0.5]])
    assert negative(gradients @ gradients.T).tolist() == [True, False, True]

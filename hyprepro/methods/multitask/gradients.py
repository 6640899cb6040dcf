"""Slot of how the tasks' gradients of shared parameters become one: their sum, PCGrad, CAGrad.

All that these methods ask of gradients g_1 ... g_A are their products g_i . g_j, and all that they yield are weights:
the step goes along sum_i w_i g_i, which the learner takes A times, so that equal weights give the plain sum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.component import Component, component, setting

Matrix = NDArray[np.float64]

_SMALLEST = 1e-12
"""Of squared lengths that are divided by, against the largest."""
_ROUNDS = 30
_GAP = 1e-6
"""When the dual counts as solved: its value is this near the least one, where gradients have length 1 on average."""
_SUM = 100.0
"""Weight of the row that asks for a sum of 1, against the others."""


class Gradient(Component, ABC):
    """How gradients are mixed.

    Subclasses declare:
        title: The method's name in the field.
        mixes: Whether each task's gradient must be known; if not, the sum of the losses is descended.
    """

    slot: ClassVar[str] = "gradient"
    title: ClassVar[str] = ""
    mixes: ClassVar[bool] = True

    @abstractmethod
    def weights(self, products: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        """The weight of each task's gradient `[A]`, for `products` `[A, A]`, entry (i, j) being g_i . g_j."""


@component
class SummedGradient(Gradient):
    """The mean of the tasks' gradients: multi-task learning as it is."""

    mixes: ClassVar[bool] = False

    def weights(self, products: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        """1 / A each."""
        return np.full(len(products), 1 / len(products))


@component
class PCGrad(Gradient):
    """Each task's gradient loses what conflicts with the others' (Yu et al. 2020, algorithm 1); then their mean.

    For all other tasks j in random order: where g_i . g_j < 0, g_i becomes g_i - (g_i . g_j / |g_j|^2) g_j.
    """

    title: ClassVar[str] = "pcgrad"

    def weights(self, products: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        count = len(products)
        rows = np.arange(count)
        mixed = np.eye(count)  # of each projected gradient its parts of the given ones
        lengths = np.maximum(np.diag(products), _SMALLEST * max(float(np.max(products)), _SMALLEST))
        for others in _orders(count, rng):
            slopes = np.einsum("ik,ki->i", mixed, products[:, others])
            mixed[rows, others] -= np.minimum(slopes, 0.0) / lengths[others]
        found: NDArray[np.float64] = mixed.mean(axis=0)
        return found


def _orders(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of the others for each task, `[count - 1, count]`: step by step, whom each task meets."""
    ranks = rng.random((count, count))
    np.fill_diagonal(ranks, np.inf)
    return ranks.argsort(axis=1)[:, :-1].T


@component
class CAGrad(Gradient):
    """The step near the mean gradient that is best for the worst task (Liu et al. 2021, algorithm 1).

    d = argmax min_i g_i . d over |d - g_0| <= c |g_0|, by its dual: d = g_0 + (c |g_0| / |g_w|) g_w with the w of the
    simplex that minimises g_w . g_0 + c |g_0| |g_w|, g_w being sum_i w_i g_i and g_0 the mean. The code divides d by
    1 + c^2, a constant that Adam does not see, and takes 20 steps towards w; ours goes on until w is found.
    """

    title: ClassVar[str] = "cagrad"

    radius: float = setting(
        0.9, "c, how far from the mean gradient; 0: the mean", source="CAGrad's code, MT10", ge=0, lt=1
    )

    def weights(self, products: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        count = len(products)
        mean = np.full(count, 1 / count)
        size = max(float(mean @ products @ mean), 0.0) ** 0.5
        if not size or not self.radius:
            return mean
        dual = worst_case(products, self.radius * size)
        length = max(float(dual @ products @ dual), _SMALLEST * size**2) ** 0.5
        found: NDArray[np.float64] = mean + self.radius * size / length * dual
        return found


def worst_case(products: Matrix, reach: float) -> NDArray[np.float64]:
    """The w `[A]` of the simplex that minimises g_w . g_0 + reach |g_w| (CAGrad's dual).

    |g_w| is at most (|g_w|^2 / t + t) / 2, and is it for t = |g_w|: so the w that minimises this for the last w's
    t is better than the last, and is a problem of least squares with w >= 0. Sum 1 is asked for by a row of its own.

    Args:
        products: g_i . g_j `[A, A]`.
        reach: c |g_0|, positive.
    """
    from scipy.optimize import nnls

    count = len(products)
    scale = float(np.trace(products)) / count
    inner, reach = products / scale, reach / scale**0.5
    mean = np.full(count, 1 / count)
    values, vectors = np.linalg.eigh(inner)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    linear, weights = inner @ mean, mean
    for _ in range(_ROUNDS):
        along = inner @ weights
        length = max(float(weights @ along), _SMALLEST) ** 0.5
        slope = linear + reach / length * along
        if slope @ weights - slope.min() <= _GAP:
            break
        asked = _SUM * max(1.0, length / reach)  # a small reach must not outweigh it
        rows = np.vstack([root, np.full(count, asked)])
        weights, _ = nnls(rows, np.append(-length / reach * (root @ mean), asked))
        weights = weights / weights.sum()
    return weights


def negative(products: Matrix) -> NDArray[np.bool_]:
    """Which pairs of tasks conflict: whether g_i . g_j < 0, for i < j in the order of `itertools.combinations`."""
    return products[np.triu_indices(len(products), 1)] < 0

"""One and the same ReLU policy for all prompts of a task: what a method deploys that is told the task otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Layers = Sequence[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]]
"""Weights `[in, out]` and biases `[out]`, a ReLU after each layer but the last, whose outputs go through tanh."""


class LayeredControllers:
    """`n` controllers that all act alike.

    Args:
        layers: The policy, on raw observations.
        n: How many prompts it stands for.
    """

    def __init__(self, layers: Layers, n: int) -> None:
        self._layers = [(np.ascontiguousarray(w, np.float32), np.asarray(b, np.float32)) for w, b in layers]
        self._n = n

    @property
    def n(self) -> int:
        """Number of prompts."""
        return self._n

    def representatives(self) -> NDArray[np.int64]:
        """The first stands for all."""
        return np.zeros(self._n, dtype=np.int64)

    def session(self, slots: int) -> LayeredControllers:
        """Itself: there is nothing to remember."""
        return self

    def assign(self, slot: int, row: int) -> None:
        """Nothing to do."""

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[slots, act]`; each slot's products are computed for themselves."""
        x = observations[:, None]
        for number, (weight, bias) in enumerate(self._layers):
            x = np.matmul(x if number == 0 else np.maximum(x, 0, out=x), weight)
            x += bias
        found: NDArray[np.float32] = np.tanh(x)[:, 0]
        return found

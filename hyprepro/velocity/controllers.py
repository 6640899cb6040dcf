"""Controllers of Cheetah-Vel: what a row of Table 4 deploys and what its evaluation runs.

A batch of policy weights is one kind (`VelocityPolicies`); an agent with memory (a Decision Transformer) is another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.evaluation.controllers import PolicyControllers
from hyprepro.policies.layout import PolicyLayout

if TYPE_CHECKING:
    from torch import Tensor


class VelocitySession(Protocol):
    """Several episodes at once, which begin together and are equally long."""

    def reset(self, rows: NDArray[np.int64]) -> None:
        """`k` episodes begin, one of each of the controllers `rows` `[k]`; whatever was remembered is forgotten."""

    def act(self, observations: NDArray[np.float64]) -> NDArray[np.float32]:
        """Actions `[k, 6]` in [-1, 1] for `[k, 17]`.

        An episode's action may depend on that episode only, never on what the others of the session hold.
        """

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """The rewards `[k]` of the step that was just taken, for agents that condition on them."""


class VelocityControllers(Protocol):
    """`n` controllers for one target velocity: a generator's n draws, or one agent."""

    @property
    def n(self) -> int:
        """Number of controllers."""

    def start(self) -> VelocitySession:
        """A new session."""


class VelocityPolicies:
    """Controllers that are policies: the deterministic action tanh(mean) of flat parameter vectors.

    Args:
        layout: The layout of every policy.
        params: Flat parameters `[n, P]`, an array or a tensor; kept as float32.
    """

    def __init__(self, layout: PolicyLayout, params: Tensor | NDArray[np.floating[Any]]) -> None:
        self._policies = PolicyControllers(layout, params)

    @property
    def n(self) -> int:
        """Number of policies."""
        return self._policies.n

    @property
    def params(self) -> NDArray[np.float32]:
        """The parameters `[n, P]`."""
        return self._policies.params

    def start(self) -> VelocitySession:
        """A session without memory; one stacked forward pass a step serves all episodes."""
        return _PolicySession(self._policies)


class _PolicySession:
    def __init__(self, policies: PolicyControllers) -> None:
        self._policies = policies
        self._session = policies.session(0)

    def reset(self, rows: NDArray[np.int64]) -> None:
        self._session = self._policies.session(len(rows))
        for slot, row in enumerate(rows):
            self._session.assign(slot, int(row))

    def act(self, observations: NDArray[np.float64]) -> NDArray[np.float32]:
        return self._session.act(observations.astype(np.float32))

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """Nothing is remembered."""

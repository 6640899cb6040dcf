"""Controllers: what a method deploys and what an evaluation runs.

Evaluation knows methods through this interface only. A batch of policy weights is one kind (`PolicyControllers`); an
agent with memory (a Decision Transformer) is another, whose session keeps one memory a slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.policies.layout import PolicyLayout
from hyprepro.policies.stacked import StackedPolicies

if TYPE_CHECKING:
    from hyprepro.artifacts import Stage
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.prompts import Prompts


class Session(Protocol):
    """Several episodes at once, one in each of a fixed number of slots."""

    def assign(self, slot: int, row: int) -> None:
        """A new episode of controller `row` begins in `slot`; whatever was remembered there is forgotten."""

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[slots, act]` in [-1, 1] for `[slots, obs]`; rows of slots without an episode are ignored.

        A slot's action may depend on its own episode only, never on what the other slots hold.
        """


class Controllers(Protocol):
    """`n` controllers, one a prompt."""

    @property
    def n(self) -> int:
        """Number of controllers."""

    def representatives(self) -> NDArray[np.int64]:
        """For each controller the index of the first that acts identically `[n]`; `arange(n)` if nothing is known."""

    def session(self, slots: int) -> Session:
        """Begin to run episodes in `slots` slots."""


class Deployable(Protocol):
    """The part of a method that an evaluation uses; see `hyprepro.methods.base.Method`."""

    label: ClassVar[str]
    seeded: ClassVar[bool]

    def training(self, data: StoreFiles, seed: int) -> Stage | None:
        """The last training stage, or None."""

    def deploy(self, trained: Any, data: StoreFiles, prompts: Prompts, seed: int) -> Controllers:
        """One controller for each prompt."""


class PolicyControllers:
    """Controllers that are policies: the deterministic action tanh(mean) of flat parameter vectors.

    Args:
        layout: The layout of every policy.
        params: Flat parameters `[n, P]`.
    """

    def __init__(self, layout: PolicyLayout, params: Tensor | NDArray[np.floating[Any]]) -> None:
        self.layout = layout
        self.params = torch.as_tensor(params, dtype=torch.float32).detach().cpu().contiguous()
        if self.params.ndim != 2 or self.params.shape[1] != layout.size:
            raise ValueError(f"params must be [n, {layout.size}], got {tuple(self.params.shape)}")

    @property
    def n(self) -> int:
        """Number of policies."""
        return int(self.params.shape[0])

    def representatives(self) -> NDArray[np.int64]:
        """For each policy the index of the first bit-identical one `[n]`."""
        return StackedPolicies(self.layout, self.params).representatives()

    def session(self, slots: int) -> Session:
        """A session without memory; one stacked forward pass a step serves all slots."""
        return _PolicySession(self.layout, self.params, slots)


class _PolicySession:
    def __init__(self, layout: PolicyLayout, params: Tensor, slots: int) -> None:
        self._layout = layout
        self._params = params
        self._rows = torch.zeros(slots, dtype=torch.int64)
        self._stack: StackedPolicies | None = None

    def assign(self, slot: int, row: int) -> None:
        self._rows[slot] = row
        self._stack = None

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            if self._stack is None:
                # Gathering the weights costs as much as six forward passes: done once an episode, not once a step.
                self._stack = StackedPolicies(self._layout, self._params[self._rows])
            means = self._stack.means(torch.from_numpy(observations).unsqueeze(1))
        actions: NDArray[np.float32] = means.squeeze(1).numpy()
        return actions

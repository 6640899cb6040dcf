"""Controllers: what a method deploys and what an evaluation runs.

Evaluation knows methods through this interface only. A batch of policy weights is one kind (`PolicyControllers`); an
agent with memory (a Decision Transformer) is another, whose session keeps one memory a slot.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.policies.layout import Activation, PolicyLayout, Squash

if TYPE_CHECKING:
    from torch import Tensor


class Session(Protocol):
    """Several episodes at once, one in each of a fixed number of slots."""

    def assign(self, slot: int, row: int) -> None:
        """A new episode of controller `row` begins in `slot`; whatever was remembered there is forgotten."""

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[slots, act]` in [-1, 1] for `[slots, obs]`; rows of slots without an episode are ignored.

        A slot's action may depend on its own episode only, never on what the other slots hold.
        """

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """The rewards `[slots]` of the step that was just taken, where the domain's metric asks for rewards."""


class Controllers(Protocol):
    """`n` controllers of one task: one a prompt, a generator's draws, or one agent."""

    @property
    def n(self) -> int:
        """Number of controllers."""

    def representatives(self) -> NDArray[np.int64]:
        """For each controller the index of the first that acts identically `[n]`; `arange(n)` if nothing is known."""

    def session(self, slots: int) -> Session:
        """Begin to run episodes in `slots` slots."""


class PolicyControllers:
    """Controllers that are policies: the deterministic action of flat parameter vectors: the squashed mean.

    Args:
        layout: The layout of every policy.
        params: Flat parameters `[n, P]`, an array or a tensor; kept as float32.
        notes: What a reader of results must know of how they were made.
    """

    def __init__(
        self, layout: PolicyLayout, params: Tensor | NDArray[np.floating[Any]], notes: tuple[str, ...] = ()
    ) -> None:
        array = params if isinstance(params, np.ndarray) else params.detach().cpu().numpy()
        self.layout, self.notes = layout, notes
        self.params: NDArray[np.float32] = np.ascontiguousarray(array, dtype=np.float32)
        if self.params.ndim != 2 or self.params.shape[1] != layout.size:
            raise ValueError(f"params must be [n, {layout.size}], got {self.params.shape}")

    @property
    def n(self) -> int:
        """Number of policies."""
        return len(self.params)

    def representatives(self) -> NDArray[np.int64]:
        """For each policy the index of the first bit-identical one `[n]`."""
        first: dict[bytes, int] = {}
        return np.array([first.setdefault(row.tobytes(), i) for i, row in enumerate(self.params)], dtype=np.int64)

    def session(self, slots: int) -> Session:
        """A session without memory; one stacked forward pass a step serves all slots."""
        return _PolicySession(self.layout, self.params, slots)


class _PolicySession:
    """The policies of all slots as stacked arrays.

    In NumPy, not torch: for a handful of policies and one observation each, calls cost more than arithmetic, torch's
    most of all. Each slot's products are computed for themselves, so an action does not depend on other slots.
    """

    def __init__(self, layout: PolicyLayout, params: NDArray[np.float32], slots: int) -> None:
        self._parts = layout.split(params)
        self._stack = {
            name: np.zeros((slots, *part.shape[1:]), dtype=np.float32)
            for name, part in self._parts.items()
            if not name.startswith("log_std")
        }
        rooms = [np.zeros((slots, size, 1), dtype=np.float32) for size in (*layout.widths, layout.action_size)]
        functions = [_ACTIVATIONS[name] for name in layout.nonlinearities]
        self._layers = [
            (self._stack[f"{name}.weight"], self._stack[f"{name}.bias"].reshape(-1), room, room.reshape(-1), function)
            for name, room, function in zip(layout.linears, rooms, functions, strict=True)
        ]
        self._actions = rooms[-1][:, :, 0]

    def assign(self, slot: int, row: int) -> None:
        for name, stacked in self._stack.items():
            stacked[slot] = self._parts[name][row]

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        x = observations[:, :, None]
        for weight, bias, room, flat, function in self._layers:
            np.matmul(weight, x, out=room)
            np.add(flat, bias, out=flat)  # one dimension: more of them cost more than the numbers
            function(flat)
            x = room
        return self._actions.copy()

    def observe(self, rewards: NDArray[np.float64]) -> None:
        pass


_ZERO = np.zeros((), dtype=np.float32)  # a number of Python's is converted at every call


def _relu(x: NDArray[np.float32]) -> None:
    np.maximum(x, _ZERO, out=x)


def _elu(x: NDArray[np.float32]) -> None:
    np.copyto(x, np.expm1(np.minimum(x, 0)), where=x <= 0)


def _tanh(x: NDArray[np.float32]) -> None:
    np.tanh(x, out=x)


def _clip(x: NDArray[np.float32]) -> None:
    np.clip(x, -1, 1, out=x)


_ACTIVATIONS: dict[Activation | Squash, Callable[[NDArray[np.float32]], None]] = {
    "relu": _relu,
    "elu": _elu,
    "tanh": _tanh,
    "clip": _clip,
}


class OwnControllers:
    """Controllers of which no two are known to act alike: each has a memory, or weights, of its own.

    Args:
        n: Number of controllers.
        begin: Begins to run episodes in so many slots.
    """

    def __init__(self, n: int, begin: Callable[[int], Session]) -> None:
        self._n, self._begin = n, begin

    @property
    def n(self) -> int:
        """Number of controllers."""
        return self._n

    def representatives(self) -> NDArray[np.int64]:
        """Each stands for itself."""
        return np.arange(self._n)

    def session(self, slots: int) -> Session:
        """A session of so many slots."""
        return self._begin(slots)


Layers = Sequence[tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]]
"""Weights `[in, out]` and biases `[out]`, a ReLU after each layer but the last, whose outputs go through tanh."""


class AlikeControllers(ABC):
    """`n` controllers that all act alike: what a method deploys that is told the task otherwise than by prompts.

    Args:
        n: How many prompts it stands for.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    @property
    def n(self) -> int:
        """Number of prompts."""
        return self._n

    def representatives(self) -> NDArray[np.int64]:
        """The first stands for all."""
        return np.zeros(self._n, dtype=np.int64)

    def session(self, slots: int) -> Session:
        """Itself: there is nothing to remember."""
        return self

    def assign(self, slot: int, row: int) -> None:  # noqa: B027 (there is nothing to do)
        """Nothing to do."""

    @abstractmethod
    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Session`."""

    def observe(self, rewards: NDArray[np.float64]) -> None:  # noqa: B027 (nor here)
        """Nothing is remembered."""


class LayeredControllers(AlikeControllers):
    """Controllers that act as plain layers.

    Args:
        layers: The policy, on raw observations.
        n: How many prompts it stands for.
    """

    def __init__(self, layers: Layers, n: int) -> None:
        super().__init__(n)
        self._layers = [(np.ascontiguousarray(w, np.float32), np.asarray(b, np.float32)) for w, b in layers]

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[slots, act]`; each slot's products are computed for themselves."""
        x = observations[:, None]
        for number, (weight, bias) in enumerate(self._layers):
            x = np.matmul(x if number == 0 else np.maximum(x, 0, out=x), weight)
            x += bias
        found: NDArray[np.float32] = np.tanh(x)[:, 0]
        return found

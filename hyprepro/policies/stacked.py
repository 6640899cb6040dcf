"""Many policies as stacked tensors: one batched matrix product acts for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.policies.layout import Activation, PolicyLayout

_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "elu": torch.nn.functional.elu,
    "tanh": torch.tanh,
}


class StackedPolicies:
    """`n` deterministic policies of one layout.

    Args:
        layout: The layout of every policy.
        params: Flat parameters `[n, P]`, float32.

    The action is tanh(mean): the mode of the squashed Gaussian that SAC trained. The log-std head is carried, not used.
    """

    def __init__(self, layout: PolicyLayout, params: Tensor | NDArray[np.floating[Any]]) -> None:
        self.layout = layout
        self.params = torch.as_tensor(params, dtype=torch.float32)
        if self.params.ndim != 2:
            raise ValueError(f"params must be [n, P], got {tuple(self.params.shape)}")
        parts = layout.split(self.params)
        self._first, self._second = (_FUNCTIONS[name] for name in layout.activations)
        # Transposed once, contiguous: activations are row vectors [n, b, width].
        self._weights = [parts[f"{name}.weight"].mT.contiguous() for name in ("linear1", "linear2", "mean")]
        self._biases = [parts[f"{name}.bias"].unsqueeze(1) for name in ("linear1", "linear2", "mean")]

    @property
    def n(self) -> int:
        """Number of policies."""
        return int(self.params.shape[0])

    def reset(self, rows: NDArray[np.integer[Any]]) -> None:
        """Begin new episodes for some policies; these policies have no memory."""

    def act(self, rows: NDArray[np.integer[Any]], observations: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Actions `[k, action]` in [-1, 1] of the policies `rows` `[k]` for one observation `[k, obs]` each."""
        index = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        x = torch.as_tensor(np.asarray(observations), dtype=torch.float32).unsqueeze(1)
        with torch.inference_mode():
            w1, w2, w3 = (w.index_select(0, index) for w in self._weights)
            b1, b2, b3 = (b.index_select(0, index) for b in self._biases)
            x = self._first(torch.baddbmm(b1, x, w1))
            x = self._second(torch.baddbmm(b2, x, w2))
            return torch.tanh(torch.baddbmm(b3, x, w3)).squeeze(1).numpy()

    def means(self, observations: Tensor) -> Tensor:
        """Actions `[n, b, action]` of every policy on its own batch `[n, b, obs]` or on a common one `[b, obs]`."""
        x = observations if observations.ndim == 3 else observations.unsqueeze(0).expand(self.n, -1, -1)
        (w1, w2, w3), (b1, b2, b3) = self._weights, self._biases
        x = self._first(torch.baddbmm(b1, x, w1))
        x = self._second(torch.baddbmm(b2, x, w2))
        return torch.tanh(torch.baddbmm(b3, x, w3))

    def representatives(self) -> NDArray[np.int64]:
        """For each policy the index of the first bit-identical one `[n]`: equal policies need one rollout per goal."""
        first: dict[bytes, int] = {}
        digests = (hashlib.sha256(row.tobytes()).digest() for row in self.params.numpy())
        return np.array([first.setdefault(digest, i) for i, digest in enumerate(digests)], dtype=np.int64)

"""Many policies as stacked tensors: one batched matrix product acts for all of them, and one fit trains them all.

A fit is Adam on a few policies at once, each on its own prompt's pairs alone, with hand-written gradients. Prompt
cloning starts one from random weights, prompt adaptation from generated ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.policies.layout import Activation, PolicyLayout, Squash

FUNCTIONS: dict[Activation | Squash, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "elu": torch.nn.functional.elu,
    "tanh": torch.tanh,
    "clip": torch.nn.functional.hardtanh,
}
"""What follows a layer, differentiable."""


class StackedPolicies:
    """`n` deterministic policies of one layout.

    Args:
        layout: The layout of every policy.
        params: Flat parameters `[n, P]`, float32.

    The action is the squashed mean, of SAC's policies tanh(mean), their mode. The log-std head is carried, not used.
    """

    def __init__(self, layout: PolicyLayout, params: Tensor | NDArray[np.floating[Any]]) -> None:
        self.layout = layout
        self.params = torch.as_tensor(params, dtype=torch.float32)
        if self.params.ndim != 2:
            raise ValueError(f"params must be [n, P], got {tuple(self.params.shape)}")
        parts = layout.split(self.params)
        # Transposed once, contiguous: activations are row vectors [n, b, width].
        self._layers = [
            (parts[f"{name}.weight"].mT.contiguous(), parts[f"{name}.bias"].unsqueeze(1), FUNCTIONS[function])
            for name, function in zip(layout.linears, layout.nonlinearities, strict=True)
        ]

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
            for weight, bias, function in self._layers:
                x = function(torch.baddbmm(bias.index_select(0, index), x, weight.index_select(0, index)))
            return x.squeeze(1).numpy()

    def means(self, observations: Tensor) -> Tensor:
        """Actions `[n, b, action]` of every policy on its own batch `[n, b, obs]` or on a common one `[b, obs]`."""
        x = observations if observations.ndim == 3 else observations.unsqueeze(0).expand(self.n, -1, -1)
        for weight, bias, function in self._layers:
            x = function(torch.baddbmm(bias, x, weight))
        return x

    def representatives(self) -> NDArray[np.int64]:
        """For each policy the index of the first bit-identical one `[n]`: equal policies need one rollout per goal."""
        first: dict[bytes, int] = {}
        digests = (hashlib.sha256(row.tobytes()).digest() for row in self.params.numpy())
        return np.array([first.setdefault(digest, i) for i, digest in enumerate(digests)], dtype=np.int64)


_FORWARD: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "elu": torch.nn.functional.elu_,
    "tanh": torch.tanh_,
    "clip": torch.nn.functional.hardtanh_,
}
_BACKWARD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda slope, result: torch.ops.aten.threshold_backward(slope, result, 0),
    "elu": lambda slope, result: torch.ops.aten.elu_backward(slope, 1, 1, 1, True, result),
    "tanh": torch.ops.aten.tanh_backward,
    "clip": lambda slope, result: slope * (result.abs() < 1),
}
"""The slope of an activation's input from that of its result, and the result."""


class StackedFit:
    """Full-batch Adam on the mean squared difference between squashed means and actions, summed over the policies.

    Products and sums are those that autograd would make, in its order; what it would allocate, copy and set to zero for
    every weight of its own is one tensor for all.

    Args:
        layout: The policies' layout.
        weights: Where to start: stacked weights `[n, ...]` by the layout's names; they are copied.
        actions: What the policies are fitted to `[n, b, act]`.
        learning_rate: Adam's step size.
        weight_decay: Adam's decoupled weight decay.
        pull: Weight of the squared distance to the weights at the start, summed over all weights of a network.

    Attributes:
        weights: As they are after the steps so far; views, which change.
    """

    def __init__(
        self,
        layout: PolicyLayout,
        weights: dict[str, Tensor],
        actions: Tensor,
        learning_rate: float,
        weight_decay: float,
        pull: float,
    ) -> None:
        self._layers = list(zip(layout.linears, layout.nonlinearities, strict=True))
        self._actions, self._pull = actions, pull
        self._flat = torch.cat([value.reshape(-1) for value in weights.values()])
        self._start, self._moved = self._flat.clone(), torch.empty_like(self._flat)
        self._flat.grad = torch.empty_like(self._flat)
        self._optimiser = torch.optim.AdamW([self._flat], lr=learning_rate, weight_decay=weight_decay, fused=True)
        self.weights, self._gradients = (_views(weights, flat) for flat in (self._flat, self._flat.grad))

    @torch.no_grad()
    def step(self, observations: Tensor, actions: Tensor | None = None) -> None:
        """One step on observations `[n, b, obs]`, to actions in the place of the fit's own if some are given."""
        results = [observations]
        for name, activation in self._layers:
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            results.append(_FORWARD[activation](torch.baddbmm(bias.unsqueeze(1), results[-1], weight.mT)))
        self._differentiate(results, self._actions if actions is None else actions)
        if self._pull:
            assert self._flat.grad is not None
            torch.sub(self._flat, self._start, out=self._moved)
            self._flat.grad += self._moved.mul_(2 * self._pull)
        self._optimiser.step()

    def _differentiate(self, results: list[Tensor], actions: Tensor) -> None:
        """Write the gradients of the mean squared difference, from every layer's result, the observations first."""
        slope = (results[-1] - actions).mul_(2 / actions[0].numel())
        for depth, (name, activation) in reversed(list(enumerate(self._layers))):
            inputs = results[depth]
            slope = _BACKWARD[activation](slope, results[depth + 1])
            gradient = self._gradients[f"{name}.weight"]
            if name == "mean":  # of few rows: it is multiplied as autograd does it, for the same last bits
                gradient.copy_(torch.bmm(inputs.mT, slope).mT)
            else:
                torch.bmm(slope.mT, inputs, out=gradient)
            torch.sum(slope, 1, out=self._gradients[f"{name}.bias"])
            if depth:
                slope = torch.bmm(slope, self.weights[f"{name}.weight"])


def _views(like: dict[str, Tensor], flat: Tensor) -> dict[str, Tensor]:
    """The parts of a flat tensor in which stacked weights lie one after the other."""
    parts = torch.split(flat, [value.numel() for value in like.values()])
    return {name: part.view(value.shape) for (name, value), part in zip(like.items(), parts, strict=True)}


PROMPTS_AT_ONCE, STEPS_AT_ONCE = 16, 10
"""So many prompts' fits take so many steps before the next ones do: their weights then stay in the processor's cache.
The noise of a step is drawn for all prompts, so it is kept for so many steps."""


Weights = dict[str, Tensor]
"""Stacked weights `[n, ...]` by the layout's names, without the log-std head, which no action depends on."""


def forward(layout: PolicyLayout, weights: Weights, x: Tensor) -> Tensor:
    """The squashed mean `[n, b, act]` of stacked policies for observations `[n, b, obs]`, differentiable."""
    for name, activation in zip(layout.linears, layout.nonlinearities, strict=True):
        x = torch.baddbmm(weights[f"{name}.bias"].unsqueeze(1), x, weights[f"{name}.weight"].mT)
        x = FUNCTIONS[activation](x)
    return x


def standardised(weights: Weights, mean: Tensor, deviation: Tensor) -> Weights:
    """Weights that act on (x - mean) / deviation as the given ones act on x; mean and deviation `[n, 1, obs]`."""
    raw = weights["linear1.weight"]
    bias = weights["linear1.bias"] + (raw @ mean.mT)[:, :, 0]
    return weights | {"linear1.weight": raw * deviation, "linear1.bias": bias}


def unstandardised(weights: Weights, mean: Tensor, deviation: Tensor) -> Weights:
    """The inverse of `standardised`: weights that act on observations as they are."""
    raw = weights["linear1.weight"] / deviation
    bias = weights["linear1.bias"] - (raw @ mean.mT)[:, :, 0]
    return weights | {"linear1.weight": raw, "linear1.bias": bias}


Changing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Pairs of observations `[n, b, obs]` and actions `[n, b, act]` in, as many others out."""


def fit(
    layout: PolicyLayout,
    weights: Weights,
    observations: Tensor,
    actions: Tensor,
    *,
    steps: int,
    learning_rate: float,
    input_noise: float,
    draws: torch.Generator,
    weight_decay: float = 0.0,
    pull: float = 0.0,
    changing: Changing | None = None,
) -> Weights:
    """Full-batch Adam on the mean squared difference between the squashed mean and the actions.

    Args:
        layout: The policies' layout.
        weights: Where to start, one network a prompt.
        observations: `[n, b, obs]`, in the coordinates that the weights act on.
        actions: `[n, b, act]` in [-1, 1].
        steps: Steps of Adam.
        learning_rate: Its step size.
        input_noise: Deviation of the noise on observations, drawn anew each step.
        draws: Where the noise comes from (CPU).
        weight_decay: Adam's decoupled weight decay.
        pull: Weight of the squared distance to the weights at the start, summed over all weights of a network.
        changing: Gives other pairs of observations and actions in the place of these, anew each step.
    """
    rows = [slice(first, first + PROMPTS_AT_ONCE) for first in range(0, len(observations), PROMPTS_AT_ONCE)]
    parts = []
    for some in rows:
        begun = {name: value[some] for name, value in weights.items()}
        parts.append(StackedFit(layout, begun, actions[some], learning_rate, weight_decay, pull))
    for first in range(0, steps, STEPS_AT_ONCE):
        count = min(STEPS_AT_ONCE, steps - first)
        pairs = [(observations, actions) if changing is None else changing(observations, actions) for _ in range(count)]
        noisy = [(_noisy(seen, input_noise, draws), wanted) for seen, wanted in pairs]
        for some, part in zip(rows, parts, strict=True):
            for seen, wanted in noisy:
                part.step(seen[some], wanted[some])
    return {name: torch.cat([part.weights[name] for part in parts]) for name in weights}


def _noisy(observations: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
    return observations + deviation * torch.randn(observations.shape, generator=draws) if deviation else observations

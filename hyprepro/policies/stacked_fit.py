"""Adam on a few stacked policies at once, with hand-written gradients: what `hyprepro.policies.fitting` repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyprepro.policies.layout import PolicyLayout

LAYERS = ("linear1", "linear2", "mean")
HEAD = 2
_FORWARD: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "elu": torch.nn.functional.elu_,
    "tanh": torch.tanh_,
}
_BACKWARD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda slope, result: torch.ops.aten.threshold_backward(slope, result, 0),
    "elu": lambda slope, result: torch.ops.aten.elu_backward(slope, 1, 1, 1, True, result),
    "tanh": torch.ops.aten.tanh_backward,
}
"""The slope of an activation's input from that of its result, and the result."""


class StackedFit:
    """Full-batch Adam on the mean squared difference between tanh(mean) and actions, summed over the policies.

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
        self._activations, self._actions, self._pull = (*layout.activations, "tanh"), actions, pull
        self._flat = torch.cat([value.reshape(-1) for value in weights.values()])
        self._start, self._moved = self._flat.clone(), torch.empty_like(self._flat)
        self._flat.grad = torch.empty_like(self._flat)
        self._optimiser = torch.optim.AdamW([self._flat], lr=learning_rate, weight_decay=weight_decay, fused=True)
        self.weights, self._gradients = (_views(weights, flat) for flat in (self._flat, self._flat.grad))

    @torch.no_grad()
    def step(self, observations: Tensor) -> None:
        """One step on observations `[n, b, obs]`."""
        results = [observations]
        for name, activation in zip(LAYERS, self._activations, strict=True):
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            results.append(_FORWARD[activation](torch.baddbmm(bias.unsqueeze(1), results[-1], weight.mT)))
        self._differentiate(results)
        if self._pull:
            assert self._flat.grad is not None
            torch.sub(self._flat, self._start, out=self._moved)
            self._flat.grad += self._moved.mul_(2 * self._pull)
        self._optimiser.step()

    def _differentiate(self, results: list[Tensor]) -> None:
        """Write the gradients of the mean squared difference, from every layer's result, the observations first."""
        slope = (results[-1] - self._actions).mul_(2 / self._actions[0].numel())
        for depth in (HEAD, 1, 0):
            name, inputs = LAYERS[depth], results[depth]
            slope = _BACKWARD[self._activations[depth]](slope, results[depth + 1])
            gradient = self._gradients[f"{name}.weight"]
            if depth == HEAD:  # of few rows: it is multiplied as autograd does it, for the same last bits
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

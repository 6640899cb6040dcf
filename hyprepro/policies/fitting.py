"""Fitting policies to prompts: one network a prompt, trained as stacked tensors on that prompt's own pairs alone.

Prompt cloning starts such a fit from random weights, prompt adaptation from generated ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyprepro.policies.stacked_fit import StackedFit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.prompts import Prompts

PROMPTS_AT_ONCE, STEPS_AT_ONCE = 16, 10
"""So many prompts' fits take so many steps before the next ones do: their weights then stay in the processor's cache.
The noise of a step is drawn for all prompts, so it is kept for so many steps."""
FRAME = 18
"""Numbers of one frame: an observation is the current frame, the previous one and the goal."""
Weights = dict[str, Tensor]
"""Stacked weights `[n, ...]` by the layout's names, without the log-std head, which no action depends on."""
_FUNCTIONS = {"relu": torch.relu, "elu": torch.nn.functional.elu, "tanh": torch.tanh}


def block_pairs(prompts: Prompts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The states s_3k `[n, 20, 39]` and the actions a_3k `[n, 20, 4]`."""
    return np.ascontiguousarray(prompts.states), np.ascontiguousarray(prompts.actions[:, :, 0])


def interpolated_pairs(prompts: Prompts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The states s_0, s_1, ..., s_57 `[n, 58, 39]` and their actions `[n, 58, 4]`.

    A state holds the previous frame, so s_3k+3 gives the frame of step 3k + 2 exactly; only that of step 3k + 1 is the
    midpoint of its neighbours.
    """
    states, actions = prompts.states, prompts.actions
    n, blocks = states.shape[:2]
    frames = np.empty((n, 3 * blocks - 2, FRAME), dtype=np.float32)
    frames[:, 0::3] = states[:, :, :FRAME]
    frames[:, 2::3] = states[:, 1:, FRAME : 2 * FRAME]
    frames[:, 1::3] = (frames[:, 0:-1:3] + frames[:, 2::3]) / 2
    full = np.repeat(states, 3, axis=1)[:, : 3 * blocks - 2]
    full[:, :, :FRAME] = frames
    full[:, 1:, FRAME : 2 * FRAME] = frames[:, :-1]
    return full, actions.reshape(n, 3 * blocks, -1)[:, : 3 * blocks - 2].copy()


def forward(layout: PolicyLayout, weights: Weights, x: Tensor) -> Tensor:
    """tanh(mean) `[n, b, act]` of stacked policies for observations `[n, b, obs]`, differentiable."""
    for name, activation in zip(("linear1", "linear2", "mean"), (*layout.activations, "tanh"), strict=True):
        x = torch.baddbmm(weights[f"{name}.bias"].unsqueeze(1), x, weights[f"{name}.weight"].mT)
        x = _FUNCTIONS[activation](x)
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
) -> Weights:
    """Full-batch Adam on the mean squared difference between tanh(mean) and the actions.

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
    """
    rows = [slice(first, first + PROMPTS_AT_ONCE) for first in range(0, len(observations), PROMPTS_AT_ONCE)]
    parts = []
    for some in rows:
        begun = {name: value[some] for name, value in weights.items()}
        parts.append(StackedFit(layout, begun, actions[some], learning_rate, weight_decay, pull))
    for first in range(0, steps, STEPS_AT_ONCE):
        count = min(STEPS_AT_ONCE, steps - first)
        noisy = [_noisy(observations, input_noise, draws) for _ in range(count)]
        for some, part in zip(rows, parts, strict=True):
            for each in noisy:
                part.step(each[some])
    return {name: torch.cat([part.weights[name] for part in parts]) for name in weights}


def _noisy(observations: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
    return observations + deviation * torch.randn(observations.shape, generator=draws) if deviation else observations

"""Actors and critics of many agents as stacked tensors, and the folding of an input normalisation into weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.policies.layout import PolicyLayout

Parameters = dict[str, Tensor]
"""Stacked parameters by name: weights `[A, in, out]` (transposed for row-vector products), biases `[A, 1, out]`."""

LOG_STD_RANGE = (-20.0, 2.0)
"""Clamp of the log standard deviation, as in stable-baselines3 and Make-An-Agent."""


def mlp_parameters(sizes: dict[str, tuple[int, int]], agents: int, generator: torch.Generator) -> Parameters:
    """`torch.nn.Linear`'s default initialisation for `agents` independent networks.

    Args:
        sizes: (inputs, outputs) by layer name.
        agents: A, the number of networks stacked.
        generator: The source of randomness.
    """
    parameters: Parameters = {}
    for name, (inputs, outputs) in sizes.items():
        bound = 1.0 / math.sqrt(inputs)
        for part, shape in ((f"{name}.weight", (agents, inputs, outputs)), (f"{name}.bias", (agents, 1, outputs))):
            parameters[part] = (torch.rand(shape, generator=generator) * 2.0 - 1.0) * bound
    return parameters


def actor_sizes(layout: PolicyLayout) -> dict[str, tuple[int, int]]:
    """Layer sizes of the actor of a layout."""
    hidden, actions = layout.hidden, layout.action_size
    return {
        "linear1": (layout.observation_size, hidden),
        "linear2": (hidden, hidden),
        "mean": (hidden, actions),
        "log_std": (hidden, actions),
    }


def critic_sizes(layout: PolicyLayout) -> dict[str, tuple[int, int]]:
    """Layer sizes of one critic Q(s, a) with the actor's width."""
    inputs = layout.observation_size + layout.action_size
    return {"linear1": (inputs, layout.hidden), "linear2": (layout.hidden, layout.hidden), "value": (layout.hidden, 1)}


def _linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    return torch.baddbmm(parameters[f"{name}.bias"], x, parameters[f"{name}.weight"])


def actor_features(parameters: Parameters, x: Tensor) -> Tensor:
    """Second hidden layer `[A, B, hidden]` of ReLU actors for observations `[A, B, obs]`."""
    return torch.relu(_linear(parameters, "linear2", torch.relu(_linear(parameters, "linear1", x))))


def actor_forward(parameters: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and clamped log standard deviation before the tanh, each `[A, B, action]`."""
    features = actor_features(parameters, x)
    return _linear(parameters, "mean", features), _linear(parameters, "log_std", features).clamp(*LOG_STD_RANGE)


def critic_forward(parameters: Parameters, x: Tensor) -> Tensor:
    """Values `[C, B]` of stacked critics for inputs (s, a) `[C, B, obs + action]`."""
    hidden = torch.relu(_linear(parameters, "linear2", torch.relu(_linear(parameters, "linear1", x))))
    return _linear(parameters, "value", hidden).squeeze(-1)


@dataclass(frozen=True)
class Normaliser:
    """A fixed affine change of coordinates of observations, `(o - mean) / scale`, both `[obs]` float64.

    Experts learn in these coordinates, since metaworld's observations are metres with deviations of a few
    centimetres. It is folded into the first layer when a policy is stored, so that a stored policy acts on raw
    observations and has the plain layout.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, observations: NDArray[np.floating], smallest_scale: float) -> Normaliser:
        """Mean and standard deviation over rows `[n, obs]`; scales below `smallest_scale` are raised to it."""
        rows = np.asarray(observations, dtype=np.float64)
        return cls(rows.mean(0), np.maximum(rows.std(0), smallest_scale))

    def apply(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Normalised observations, float32."""
        return ((observations - self.mean) / self.scale).astype(np.float32)


def to_flat(parameters: Parameters, layout: PolicyLayout, normaliser: Normaliser) -> NDArray[np.float32]:
    """Flat parameters `[A, P]` that act on raw observations: W' = W / scale, b' = b - W (mean / scale)."""
    parts = {name: tensor.detach().cpu().numpy().astype(np.float64) for name, tensor in parameters.items()}
    weight = parts["linear1.weight"] / normaliser.scale[None, :, None]
    parts["linear1.bias"] = parts["linear1.bias"] - np.einsum("o,aoh->ah", normaliser.mean, weight)[:, None, :]
    parts["linear1.weight"] = weight
    for name in list(parts):
        parts[name] = parts[name].swapaxes(1, 2) if name.endswith("weight") else parts[name][:, 0, :]
    return layout.join(parts)


def from_flat(flat: NDArray[np.floating], layout: PolicyLayout, normaliser: Normaliser) -> Parameters:
    """The inverse of `to_flat`: stacked parameters in normalised coordinates from flat ones `[A, P]`."""
    parts = {name: np.asarray(part, dtype=np.float64) for name, part in layout.split(np.asarray(flat)).items()}
    raw = parts["linear1.weight"]
    parts["linear1.bias"] = parts["linear1.bias"] + np.einsum("o,aho->ah", normaliser.mean, raw)
    parts["linear1.weight"] = raw * normaliser.scale
    stacked = {
        name: part.swapaxes(1, 2) if name.endswith("weight") else part[:, None, :] for name, part in parts.items()
    }
    return {name: torch.tensor(part, dtype=torch.float32) for name, part in stacked.items()}

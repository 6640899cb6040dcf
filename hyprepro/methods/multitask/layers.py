"""What several architectures share: stacked layers, a head a task, and actor and critics around a trunk."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.collect.sac.networks import LOG_STD_RANGE
from hyprepro.gen_hyprl.blocks import mlp


class Actor(nn.Module, ABC):
    """Observations `[A, B, obs]` and what tells the tasks `[A, E]` -> mean and clamped log deviation, before tanh."""

    @abstractmethod
    def forward(self, observations: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Each `[A, B, action]`."""


class Critic(nn.Module, ABC):
    """Twin critics."""

    @abstractmethod
    def forward(self, observations: Tensor, actions: Tensor, told: Tensor) -> Tensor:
        """Values `[A, 2, B]` for observations and actions `[A, B, ...]` and what tells the tasks `[A, E]`."""


class Trunk(nn.Module, ABC):
    """Inputs `[A, B, in]` and what tells the tasks `[A, E]` -> outputs `[A, B, out]`."""

    @abstractmethod
    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        """See the class."""


class TrunkActor(Actor):
    """An `Actor` whose outputs are a trunk's."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, observations: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.trunk(observations, told).chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE)


class TrunkCritic(Critic):
    """A `Critic` of two trunks that share nothing."""

    def __init__(self, trunks: Sequence[Trunk]) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(trunks)

    def forward(self, observations: Tensor, actions: Tensor, told: Tensor) -> Tensor:
        inputs = torch.cat([observations, actions], dim=-1)
        return torch.stack([cast(Tensor, trunk(inputs, told)).squeeze(-1) for trunk in self.trunks], dim=1)


class Perceptron(nn.Sequential):
    """Linear layers through `sizes`, a ReLU after each, after the last too if `last`: `[..., in]` -> `[..., out]`.

    Inputs go through as rows, and ReLUs write over what the products have just written: of three-dimensional ones that
    would be a view, whose slope is copied twice on its way back.
    """

    def __init__(self, sizes: Sequence[int], last: bool = False) -> None:
        super().__init__(*mlp(sizes, "relu", last=last))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        rows = x.flatten(0, -2) if x.dim() > 1 else x
        for layer in self:
            rows = rows.relu_() if isinstance(layer, nn.ReLU) else layer(rows)
        return rows.view(*x.shape[:-1], rows.shape[-1])


class StackedLinear(nn.Module):
    """k linear layers of the same sizes: `[k, N, in]` -> `[k, N, out]`; they start as `torch.nn.Linear` does.

    Attributes:
        weight: `[k, in, out]`.
        bias: `[k, 1, out]`.
    """

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()

        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(count, *shape) - 1) / math.sqrt(inputs))

        self.weight, self.bias = uniform(inputs, outputs), uniform(1, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.baddbmm(self.bias, x, self.weight)

    def mixed(self, weights: Tensor, x: Tensor) -> Tensor:
        """For each task the layer whose parameters are the sum over the k, weighted by its row of `[A, k]`.

        Args:
            weights: `[A, k]`.
            x: `[A, B, in]`; the result is `[A, B, out]`.
        """
        weight, bias = (torch.mm(weights, each.flatten(1)).view(-1, *each.shape[1:]) for each in self.parameters())
        return torch.baddbmm(bias, x, weight)


def copies(inputs: Tensor, count: int) -> Tensor:
    """Inputs `[A, B, in]` for each of so many stacked layers, `[count, A * B, in]`, without copying them."""
    return inputs.reshape(1, -1, inputs.shape[-1]).expand(count, -1, -1)


def beside(features: Tensor, told: Tensor) -> Tensor:
    """Each task's numbers `[A, E]` beside all its features `[A, B, F]`: `[A, B, F + E]`."""
    return torch.cat([features, told[:, None].expand(-1, features.shape[1], -1)], dim=-1)

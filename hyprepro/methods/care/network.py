"""CARE's networks: a mixture of encoders, attended to by a context (Sodhani et al. 2021).

The context is made of the task's description; attention over the encoders is the softmax of an MLP on the context,
whose gradient stops there (their code means to stop it, and by a misspelt key does not). What actor and critics see is
the weighted mean of the encoders' features, beside the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.collect.sac.networks import LOG_STD_RANGE
from hyprepro.methods.multitask.layers import Actor, Critic, Perceptron, StackedLinear, beside, copies


class Experts(nn.Module):
    """k two-layer ReLU encoders, stacked: observations `[A, B, obs]` -> features `[k, A, B, F]`."""

    def __init__(self, experts: int, inputs: int, hidden: int, features: int) -> None:
        super().__init__()
        self.first, self.second = StackedLinear(experts, inputs, hidden), StackedLinear(experts, hidden, features)

    def forward(self, observations: Tensor) -> Tensor:
        """Features of every encoder."""
        count = len(self.first.weight)
        found: Tensor = self.second(torch.relu(self.first(copies(observations, count))))
        return found.view(count, *observations.shape[:2], -1)


class Encoder(nn.Module):
    """The encoders and the context encoder.

    Args:
        observation_size: Length of an observation.
        embedding_size: Length of a description's vector (E).
        experts: k.
        hidden: Width of an encoder's hidden layer.
        features: F.
        context: Widths after the description's vector; the last is the context's.
    """

    def __init__(
        self,
        observation_size: int,
        embedding_size: int,
        experts: int,
        hidden: int,
        features: int,
        context: Sequence[int],
    ) -> None:
        super().__init__()
        self.experts = Experts(experts, observation_size, hidden, features)
        self.context = Perceptron((embedding_size, *context))

    def forward(self, observations: Tensor, embeddings: Tensor, attention: nn.Module) -> Tensor:
        """What the heads see `[A, B, F + C]`, from observations `[A, B, obs]` and one description a task `[A, E]`."""
        context = self.context(embeddings)
        weights = torch.softmax(attention(context.detach()), dim=-1)
        mixed = torch.einsum("kabf,ak->abf", self.experts(observations), weights)
        return beside(mixed, context)


class CareActor(Actor):
    """Observations and descriptions -> mean and clamped log deviation before the tanh, each `[A, B, action]`.

    Args:
        encoder: Its own, or a stand-in for the critics' whose parameters are given at each call.
        gate: Widths of the attention's MLP.
        head: Widths of the head's MLP.
    """

    def __init__(self, encoder: Encoder, gate: Sequence[int], head: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = Perceptron(gate)
        self.head = Perceptron(head)

    def forward(self, observations: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        mean, log_std = self.head(self.encoder(observations, embeddings, self.attention)).chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    @torch.no_grad()
    def layers(self, embedding: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The deterministic policy of one task as plain ReLU layers: weights `[in, out]` and biases `[out]`.

        For a given description the mixture is one wide network: the encoders side by side, their weights in its second
        layer; that one and the context are linear in the head's first layer.
        """
        experts, context = self.encoder.experts, self.encoder.context(embedding)
        weights = torch.softmax(self.attention(context), dim=-1)
        second = (weights[:, None, None] * experts.second.weight).flatten(0, 1)
        shift = torch.cat([(weights[:, None] * experts.second.bias[:, 0]).sum(0), context])
        linear = [module for module in self.head if isinstance(module, nn.Linear)]
        first = linear[0].weight.T
        found = [(experts.first.weight.transpose(0, 1).flatten(1), experts.first.bias.flatten())]
        found += [(second @ first[: second.shape[1]], shift @ first + linear[0].bias)]
        found += [(module.weight.T, module.bias) for module in linear[1:]]
        actions = found[-1][1].shape[0] // 2
        found[-1] = (found[-1][0][:, :actions], found[-1][1][:actions])
        return [(weight.detach(), bias.detach()) for weight, bias in found]


class CareCritic(Critic):
    """Twin critics on one encoder: observations, actions and descriptions -> values `[A, 2, B]`."""

    def __init__(self, encoder: Encoder, gate: Sequence[int], head: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = Perceptron(gate)
        self.heads = nn.ModuleList([Perceptron(head) for _ in range(2)])

    def forward(self, observations: Tensor, actions: Tensor, embeddings: Tensor) -> Tensor:
        """See the class; actions `[A, B, action]`."""
        seen = torch.cat([self.encoder(observations, embeddings, self.attention), actions], dim=-1)
        return torch.stack([cast(Tensor, head(seen)).squeeze(-1) for head in self.heads], dim=1)

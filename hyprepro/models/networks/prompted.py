"""Prompt-DT's transformer with the scaling of its inputs: windows and prompts of raw episodes in, actions out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.models.networks.decision_transformer import Agent, DecisionTransformer, Segment

SMALLEST_DEVIATION = 1e-6


class PromptedTransformer(nn.Module):
    """A Decision Transformer behind standardised states and scaled returns.

    Args:
        network: Built for prompts.
        state_size: S.
        return_scale: Returns are divided by this.
        target_return: The return that agents ask for.
        prompt_steps: Steps of a prompt.
    """

    def __init__(
        self,
        network: DecisionTransformer,
        state_size: int,
        return_scale: float,
        target_return: float,
        prompt_steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.return_scale = return_scale
        self.target_return = target_return
        self.prompt_steps = prompt_steps
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(state_size))
        self.register_buffer("deviation", torch.ones(state_size))

    def fit(self, states: Tensor) -> None:
        """Standardise as the rows of `states` `[N, S]` ask for."""
        self.mean.copy_(states.mean(0))
        self.deviation.copy_(states.std(0) + SMALLEST_DEVIATION)

    def segment(self, states: Tensor, actions: Tensor, to_go: Tensor, steps: Tensor) -> Segment:
        """Steps for the network: states `[B, K, S]`, actions `[B, K, A]`, returns-to-go and step numbers `[B, K]`."""
        return self.scaled(states), actions, to_go[..., None] / self.return_scale, steps, None

    def scaled(self, states: Tensor) -> Tensor:
        """Standardised states."""
        return (states - self.mean) / self.deviation

    def forward(self, window: Segment, prompt: Segment) -> Tensor:
        """Predicted actions `[B, K, A]` of windows, with one prompt each."""
        return cast(Tensor, self.network(*window, prompt=prompt))

    def agent(self, prompt: Segment, memory: int | None = None) -> Agent:
        """An agent of parallel episodes, with one prompt each, that asks for the target return (memory: as `Agent`)."""
        return Agent(self.network, self.target_return / self.return_scale, prompt, memory)

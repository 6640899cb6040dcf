"""The prompted Decision Transformer with what it needs at test time; see `hyprepro.models.prompted_transformer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyprepro.models.networks.decision_transformer import DecisionTransformer, Segment
from hyprepro.stores.prompts import ACTIONS_PER_BLOCK, BLOCKS, Prompts


@dataclass(frozen=True)
class Window:
    """Steps of episodes, in the store's units.

    Attributes:
        states: `[B, K, S]`.
        actions: `[B, K, A]`.
        to_go: Returns-to-go in units of the task's mean training return `[B, K, 1]`.
        steps: Numbers of the steps in their episodes `[B, K]`.
    """

    states: Tensor
    actions: Tensor
    to_go: Tensor
    steps: Tensor


class PromptedNetwork(nn.Module):
    """A Decision Transformer, the scaling of its observations, and the returns-to-go that it is asked for.

    Args:
        network: The transformer, built with prompts.
        longest: Steps of the longest training episode; later steps of a test episode count as its last.
    """

    shift: Tensor
    scale: Tensor
    wanted: Tensor
    """Return-to-go asked for at each step `[longest]`: see `fit`."""

    def __init__(self, network: DecisionTransformer, longest: int) -> None:
        super().__init__()
        self.network = network
        self.longest = longest
        size = network.embed.state.in_features
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("wanted", torch.ones(longest))

    def fit(self, states: Tensor, smallest_scale: float, wanted: Tensor) -> None:
        """Take the scaling from training states `[N, S]`, and the returns-to-go to ask for `[longest]`."""
        self.shift.copy_(states.mean(0))
        self.scale.copy_(states.std(0).clamp_min(smallest_scale))
        self.wanted.copy_(wanted)

    def forward(self, window: Window, prompt: Window) -> Tensor:
        """Predicted actions `[B, K, A]` in (-1, 1)."""
        return cast(Tensor, self.network(*self._segment(window)[:4], prompt=self._segment(prompt)))

    def _segment(self, window: Window) -> Segment:
        return (window.states - self.shift) / self.scale, window.actions, window.to_go, window.steps, None


def prompt_windows(prompts: Prompts, count: int) -> Window:
    """`count` of each prompt's 20 states with the action taken there, evenly spread `[n, count, ...]`.

    A prompt holds no rewards, so its returns-to-go are 0.
    """
    blocks = np.linspace(0, BLOCKS - 1, count).round().astype(np.int64)

    def stacked(array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[:, blocks]))

    steps = torch.from_numpy(ACTIONS_PER_BLOCK * blocks).expand(len(prompts), -1)
    return Window(
        stacked(prompts.states), stacked(prompts.actions[:, :, 0]), torch.zeros(len(prompts), count, 1), steps
    )

"""An encoder whose layers the task scales and shifts, and an MLP on what it yields."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.gen_hyprl.blocks import mlp
from hyprepro.methods.multitask.layers import Trunk, beside


class FiLMTrunk(Trunk):
    """See `FiLM`.

    Args:
        encoder: Widths of the encoder, from the inputs to its features.
        context: What tells a task, and what it becomes.
        context_hidden: Hidden widths from that to scales and shifts.
        head: Widths of the MLP after its inputs.
    """

    def __init__(
        self, encoder: Sequence[int], context: tuple[int, int], context_hidden: Sequence[int], head: Sequence[int]
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(*sizes) for sizes in pairwise(encoder)])
        self.context = nn.Linear(*context, bias=False)
        self.modulation = mlp((context[1], *context_hidden, 2 * len(self.layers)), "relu")
        self.head = mlp((encoder[-1] + context[1], *head), "relu")

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        context = torch.relu(self.context(told))
        scales, shifts = self.modulation(context)[:, :, None, None].chunk(2, dim=1)
        scales = scales + 1
        x, last = inputs, len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(x) if number == last else layer(x).relu_()
            x = torch.addcmul(shifts[:, number], x, scales[:, number])
        return cast(Tensor, self.head(beside(x, context)))

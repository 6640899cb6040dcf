"""An encoder whose layers the task scales and shifts, and an MLP on what it yields."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from hyprepro.methods.multitask.layers import Perceptron, Trunk, beside


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
        self.modulation = Perceptron((context[1], *context_hidden, 2 * len(self.layers)))
        self.head = Perceptron((encoder[-1] + context[1], *head))

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        context = torch.relu(self.context(told))
        scales, shifts = self.modulation(context)[:, :, None, None].chunk(2, dim=1)
        films = zip(self.layers, (scales + 1).unbind(1), shifts.unbind(1), strict=True)
        x, last = inputs, len(self.layers) - 1
        for number, (layer, scale, shift) in enumerate(films):
            rows = layer(x.flatten(0, 1))  # see Perceptron
            rows = rows if number == last else rows.relu_()
            x = torch.addcmul(shift, rows.view(*x.shape[:2], -1), scale)
        return cast(Tensor, self.head(beside(x, context)))

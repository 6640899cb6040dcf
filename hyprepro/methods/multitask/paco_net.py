"""An MLP whose parameters are, for each task, a mixture of a few sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hyprepro.methods.multitask.layers import StackedLinear, Trunk


class PaCoTrunk(Trunk):
    """See `PaCo`.

    The parameters of a task are put together first, so that a product is as wide as one network and not as K. Weights
    begin uniform with variance 1 / K: the mixture of sets at random is as large as a set.

    Args:
        sets: K.
        tasks: Length of a label.
        widths: From the inputs to the outputs.
        alike: Whether the sets begin alike.
    """

    def __init__(self, sets: int, tasks: int, widths: Sequence[int], alike: bool) -> None:
        super().__init__()
        self.weights = nn.Linear(tasks, sets, bias=False)
        nn.init.uniform_(self.weights.weight, -math.sqrt(3 / sets), math.sqrt(3 / sets))
        self.layers = nn.ModuleList([StackedLinear(sets, *sizes) for sizes in pairwise(widths)])
        if alike:
            with torch.no_grad():
                for tensor in self.layers.parameters():
                    tensor.copy_(tensor[:1].expand_as(tensor).clone())

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        weights, x = self.weights(told), inputs
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, StackedLinear)
            x = layer.mixed(weights, x if number == 0 else x.relu_())
        return x

"""One MLP for all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from hyprepro.methods.multitask.layers import Perceptron, Trunk, beside


class PlainTrunk(Trunk):
    """An MLP on the inputs with what tells the task beside them."""

    def __init__(self, inputs: int, told: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.layers = Perceptron((inputs + told, *hidden, outputs))

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        """See `Trunk`."""
        return cast(Tensor, self.layers(beside(inputs, told)))

"""One MLP for all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from hyprepro.gen_hyprl.blocks import mlp
from hyprepro.methods.multitask.layers import Trunk, beside


class PlainTrunk(Trunk):
    """An MLP on the inputs with what tells the task beside them."""

    def __init__(self, inputs: int, told: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.layers = mlp((inputs + told, *hidden, outputs), "relu")

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        return cast(Tensor, self.layers(beside(inputs, told)))

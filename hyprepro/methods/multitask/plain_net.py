"""One MLP for all tasks, whole or with an output layer a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from hyprepro.gen_hyprl.blocks import mlp
from hyprepro.methods.multitask.layers import StackedLinear, Trunk, beside


class PlainTrunk(Trunk):
    """An MLP on the inputs with what tells the task beside them."""

    def __init__(self, inputs: int, told: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.layers = mlp((inputs + told, *hidden, outputs), "relu")

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        return cast(Tensor, self.layers(beside(inputs, told)))


class MultiHeadTrunk(Trunk):
    """The label is seen by the shared layers too, as in Meta-World+'s code."""

    def __init__(self, inputs: int, tasks: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.shared = mlp((inputs + tasks, *hidden), "relu", last=True)
        self.heads = StackedLinear(tasks, hidden[-1], outputs)

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        return self.heads.mixed(told, self.shared(beside(inputs, told)))

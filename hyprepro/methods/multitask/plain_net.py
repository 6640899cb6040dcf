"""One MLP for all tasks, whole or with an output layer a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from hyprepro.methods.multitask.layers import Perceptron, StackedLinear, Trunk, beside


class PlainTrunk(Trunk):
    """An MLP on the inputs with what tells the task beside them."""

    def __init__(self, inputs: int, told: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.layers = Perceptron((inputs + told, *hidden, outputs))

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        return cast(Tensor, self.layers(beside(inputs, told)))


class MultiHeadTrunk(Trunk):
    """The label is seen by the shared layers too, as in Meta-World+'s code."""

    def __init__(self, inputs: int, tasks: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.shared = Perceptron((inputs + tasks, *hidden), last=True)
        self.heads = StackedLinear(tasks, hidden[-1], outputs)

    def forward(self, inputs: Tensor, told: Tensor) -> Tensor:
        return self.heads.mixed(told, self.shared(beside(inputs, told)))

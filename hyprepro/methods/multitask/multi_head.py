"""Multi-head SAC: the tasks share all layers but the last, of which each has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.multi_head_net import MultiHeadTrunk


@component
class MultiHead(TrunkArchitecture):
    """An MLP on (observation, label) with an output layer a task (MTMH-SAC, as in Meta-World+'s code)."""

    title: ClassVar[str] = "mh-sac"
    own: ClassVar[tuple[str, ...]] = ("heads",)
    needs_label: ClassVar[bool] = True

    hidden: tuple[Width, ...] = setting(
        (256, 256), "widths of the layers that all tasks share (Meta-World+'s code: three of 400)", min_length=1
    )

    @property
    def units(self) -> int:
        return sum(self.hidden)

    def trunk(self, inputs: int, told: int, outputs: int) -> MultiHeadTrunk:
        from hyprepro.methods.multitask.multi_head_net import MultiHeadTrunk

        return MultiHeadTrunk(inputs, told, self.hidden, outputs)

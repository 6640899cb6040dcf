"""Multi-task SAC as it is: one network sees the task's label beside the observation; or with an output layer a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.plain_net import MultiHeadTrunk, PlainTrunk


@component
class PlainNetwork(TrunkArchitecture):
    """An MLP on (observation, what tells the task) (MT-SAC; Yu et al. 2019)."""

    title: ClassVar[str] = "mt-sac"

    hidden: tuple[Width, ...] = setting((256, 256), "hidden widths (Meta-World+'s code: three of 400)")

    def named(self, gradient: str) -> str:
        """A gradient's own name: with it the network is a baseline of its own.

        Published code has PCGrad on an output layer a task (Meta-World+), or PCGrad and CAGrad on a network that is not
        told the task at all (MTRL, CAGrad's own).
        """
        return gradient or self.title

    @property
    def units(self) -> int:
        return sum(self.hidden)

    def trunk(self, inputs: int, told: int, outputs: int) -> PlainTrunk:
        from hyprepro.methods.multitask.plain_net import PlainTrunk

        return PlainTrunk(inputs, told, self.hidden, outputs)


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
        from hyprepro.methods.multitask.plain_net import MultiHeadTrunk

        return MultiHeadTrunk(inputs, told, self.hidden, outputs)

"""Multi-task SAC as it is: one network for all tasks, which sees the task's label beside the observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.plain_net import PlainTrunk


@component
class PlainNetwork(TrunkArchitecture):
    """An MLP on (observation, what tells the task) (MT-SAC; Yu et al. 2019)."""

    title: ClassVar[str] = "mt-sac"

    hidden: tuple[Width, ...] = setting((256, 256), "hidden widths (Meta-World+'s code: three of 400)")

    def named(self, gradient: str) -> str:
        """A gradient's own name: it is published on this network."""
        return gradient or self.title

    @property
    def units(self) -> int:
        return sum(self.hidden)

    def trunk(self, inputs: int, told: int, outputs: int) -> PlainTrunk:
        from hyprepro.methods.multitask.plain_net import PlainTrunk

        return PlainTrunk(inputs, told, self.hidden, outputs)

"""Soft-Modularization: a second network routes each observation of a task through modules (Yang et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.soft_modularization_net import SoftTrunk


_CODE = "Soft-Modularization's code, for ten tasks"


@component
class SoftModularization(TrunkArchitecture):
    """L layers of n modules; how much of each module's output enters each of the next layer depends on (s, task).

    As the code has it where the paper is silent: the routing sees f(s) z(task) through two more layers; every layer's
    routing depends on that of all layers before it; the activation follows the weighted sum; one more routing sums the
    last modules; the last layers begin near zero, so that all routes begin alike.
    """

    title: ClassVar[str] = "soft-modularization"

    layers: int = setting(2, "layers of modules (L); routing needs two (fifty tasks: 4)", source=_CODE, ge=2, le=64)
    modules: int = setting(2, "modules a layer (n); one has nothing to choose (fifty tasks: 4)", source=_CODE, ge=2)
    module_width: Width = setting(128, "width of a module (published: 256)")
    encoder: tuple[Width, ...] = setting(
        (256, 256), "widths of the encoder of inputs; the task's has the last (published: two of 400)", min_length=1
    )
    routing_hidden: tuple[Width, ...] = setting(
        (128, 128), "widths of the routing's own layers (published: two of 256)", min_length=1
    )

    @property
    def units(self) -> int:
        return sum(self.encoder) + sum(self.routing_hidden) + self.layers * self.modules * self.module_width

    def trunk(self, inputs: int, told: int, outputs: int) -> SoftTrunk:
        from hyprepro.methods.multitask.soft_modularization_net import SoftTrunk

        shape = (self.layers, self.modules, self.module_width)
        return SoftTrunk(shape, (inputs, *self.encoder), told, self.routing_hidden, outputs)

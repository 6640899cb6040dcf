"""FiLM: the task scales and shifts every layer of an encoder (Perez et al. 2018; as CARE's paper compares it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.film_net import FiLMTrunk


_CODE = "CARE's code"


@component
class FiLM(TrunkArchitecture):
    """h_l = gamma_l(task) relu(W_l h_(l-1) + b_l) + beta_l(task), two numbers a task and layer; then an MLP.

    The code says: gamma is what the network yields. We chose 1 + that, as FiLM's authors do, so that features begin at
    their size. What the task became stands beside the encoder's features, as in Meta-World+'s code.
    """

    title: ClassVar[str] = "film"

    encoder_hidden: tuple[Width, ...] = setting((50, 50), "hidden widths of the encoder", source=_CODE)
    features: Width = setting(50, "numbers that the encoder yields", source=_CODE)
    context: Width = setting(50, "numbers that what tells the task becomes", source=_CODE)
    context_hidden: tuple[Width, ...] = setting(
        (50, 50), "hidden widths from these to scales and shifts", source="Meta-World+'s code"
    )
    hidden: tuple[Width, ...] = setting((256, 256), "hidden widths of actor and critics (published: three of 400)")

    @property
    def units(self) -> int:
        return sum(self.encoder_hidden) + self.features + sum(self.hidden)

    def trunk(self, inputs: int, told: int, outputs: int) -> FiLMTrunk:
        from hyprepro.methods.multitask.film_net import FiLMTrunk

        encoder = (inputs, *self.encoder_hidden, self.features)
        return FiLMTrunk(encoder, (told, self.context), self.context_hidden, (*self.hidden, outputs))

"""PaCo: every task's parameters are its own mixture of a few sets of parameters (Sun et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.paco_net import PaCoTrunk


_CODE = "PaCo's code, for ten tasks"


@component
class PaCo(TrunkArchitecture):
    """theta_tau = Phi w_tau: K sets Phi that all tasks share, K weights w_tau a task (PaCo, eq. 3), in every layer.

    The code says: the weights are one for actor and critics, and a task whose loss explodes is masked and its weights
    are set anew as a mixture of other tasks'. We chose weights of the actor's and of each critic's own, as
    Meta-World+'s code does (which adds a bias that all tasks share), and neither mask nor reset: they answer losses
    above 3,000. A task's weights begin uniform with a variance of 1/K, as there; in PaCo's code with one of 1.
    """

    title: ClassVar[str] = "paco"
    own: ClassVar[tuple[str, ...]] = ("weights",)
    needs_label: ClassVar[bool] = True

    sets: Width = setting(5, "sets of parameters (K)", source=_CODE)
    hidden: tuple[Width, ...] = setting((256, 256), "hidden widths (Meta-World+'s code: three of 400)")
    alike: bool = setting(False, "the sets begin alike (PaCo's code) instead of each at random (Meta-World+'s code)")

    @property
    def units(self) -> int:
        return sum(self.hidden)

    def trunk(self, inputs: int, told: int, outputs: int) -> PaCoTrunk:
        from hyprepro.methods.multitask.paco_net import PaCoTrunk

        return PaCoTrunk(self.sets, told, (inputs, *self.hidden, outputs), self.alike)

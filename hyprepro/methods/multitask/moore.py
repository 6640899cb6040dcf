"""MOORE: experts whose features are made orthogonal, mixed by weights of the task's own (Hendawy et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.errors import UserError
from hyprepro.methods.multitask.architecture import TrunkArchitecture

if TYPE_CHECKING:
    from hyprepro.methods.multitask.moore_net import MOORETrunk


_CODE = "MOORE's code, for ten tasks"


@component
class MOORE(TrunkArchitecture):
    """V = GramSchmidt(h_1(x), ..., h_k(x)); tanh(V w_tau); an output layer a task.

    The critics' experts see observation and action. The k features of an input are orthonormal, so no expert says what
    another says already.
    """

    title: ClassVar[str] = "moore"
    own: ClassVar[tuple[str, ...]] = ("heads", "weights")
    needs_label: ClassVar[bool] = True

    experts: Width = setting(4, "experts (k); at most as many as the numbers that each yields", source=_CODE)
    hidden: tuple[Width, ...] = setting(
        (256, 256), "widths of an expert; the last are its features (published: three of 400)", min_length=1
    )

    def check(self) -> None:
        """More experts than features cannot be orthogonal (`UserError`)."""
        if self.experts > self.hidden[-1]:
            raise UserError(
                f"{self.experts} experts of {self.hidden[-1]} features each cannot be orthogonal to one another.",
                where="MOORE.experts and MOORE.hidden",
                fix=f"-b MOORE.experts={self.hidden[-1]}, or wider features: the last of MOORE.hidden",
            )

    @property
    def units(self) -> int:
        return self.experts * sum(self.hidden)

    def trunk(self, inputs: int, told: int, outputs: int) -> MOORETrunk:
        """See `TrunkArchitecture` (`UserError` as for `check`)."""
        from hyprepro.methods.multitask.moore_net import MOORETrunk

        self.check()
        return MOORETrunk(self.experts, told, (inputs, *self.hidden), outputs)

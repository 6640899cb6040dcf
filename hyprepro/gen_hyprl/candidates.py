"""Candidates: several policies fitted to one prompt, of which a judge chooses (`hyprepro.gen_hyprl.judges`).

One demonstration at one goal does not say what to do at another. Candidates differ in what they take for granted: where
they start (what the generator says for this prompt, for others, their mean), and which changes of the scene leave the
right behaviour the same (`Fitted.shift`, `.turn`, `.mirror`). Some of it helps on some tasks and hurts on others, so
none is a setting of the fit: they are offered side by side.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import PromptAdaptation

if TYPE_CHECKING:
    from hyprepro.domains.base import Domain
    from hyprepro.domains.scenes import Symmetry

Begin = Literal["generated", "agreeing", "mean", "random"]


class CandidateSource(Component):
    """One or several candidates for each prompt."""

    slot: ClassVar[str] = "candidates"

    fit: PromptAdaptation = setting(PromptAdaptation(), "the fit")

    @property
    @abstractmethod
    def needs_library(self) -> bool:
        """Whether `Start.library` is looked at."""

    @property
    def needs_candidates(self) -> bool:
        """Whether `Start.candidates` is looked at."""
        return False

    @property
    def is_changed(self) -> bool:
        """Whether these are fitted to changed scenes, and not to the prompt's own alone."""
        return False

    @abstractmethod
    def require(self, domain: Domain) -> None:
        """Fail before any work where the domain does not have what these candidates need (`UserError`)."""


class FittedSource(CandidateSource):
    """Base of the candidates that are fits to the prompt.

    A fit with symmetries sees other pairs of state and action at each step: the whole scene shifted, turned or
    mirrored by chance, each pair for itself.
    """

    shift: float = setting(0.0, "how far the scene is shifted at most, in the domain's units (metres)", ge=0)
    turn: float = setting(0.0, "how far it is turned about the robot's hand at most (rad)", ge=0)
    mirror: float = setting(0.0, "share of the pairs that are mirrored left and right", ge=0, le=1)

    @property
    def symmetries(self) -> tuple[tuple[Symmetry, float], ...]:
        """Those that are on, each with its amount."""
        every: tuple[tuple[Symmetry, float], ...] = (
            ("shift", self.shift),
            ("turn", self.turn),
            ("mirror", self.mirror),
        )
        return tuple((name, amount) for name, amount in every if amount)

    @property
    def is_changed(self) -> bool:
        return bool(self.symmetries)

    def require(self, domain: Domain) -> None:
        """The domain must know these symmetries."""
        for name, amount in self.symmetries:
            if name not in domain.symmetries:
                known = ", ".join(sorted(domain.symmetries)) or "none"
                raise UserError(
                    f"A scene of {domain.title} cannot be changed by {name!r}; the symmetries that it states: {known}.",
                    where=f"{type(self).__name__}.{name} = {amount:g}",
                    fix=f"-b {type(self).__name__}.{name}=0, or leave it out of ChosenAdaptation.candidates",
                )


@component
class Fitted(FittedSource):
    """One fit from one start.

    Starts: "generated", the policy generated for the prompt; "agreeing", of the policies generated for training prompts
    the one that acts most like the prompt; "mean", the mean of these; "random", weights that nothing was trained for.
    """

    start: Begin = setting("generated", "where the fit starts from: generated, agreeing, mean or random")

    @property
    def needs_library(self) -> bool:
        return self.start in ("agreeing", "mean")


@component
class Draws(FittedSource):
    """A fit from each of the generator's L draws, before they are aggregated."""

    @property
    def needs_library(self) -> bool:
        return False

    @property
    def needs_candidates(self) -> bool:
        return True


@component
class Distilled(CandidateSource):
    """Several fits in one policy: it starts at their mean weights, and is cloned on their mean action in each state."""

    of: tuple[Fitted, ...] = setting(
        (Fitted(), Fitted(start="agreeing"), Fitted(start="mean")), "the fits", min_length=2
    )
    fit: PromptAdaptation = setting(PromptAdaptation(pull=0.0), "the cloning")

    @property
    def needs_library(self) -> bool:
        return any(each.needs_library for each in self.of)

    @property
    def is_changed(self) -> bool:
        return any(each.is_changed for each in self.of)

    def require(self, domain: Domain) -> None:
        for each in self.of:
            each.require(domain)

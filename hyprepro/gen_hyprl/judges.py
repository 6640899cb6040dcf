"""Judges: which of several fits to a prompt is deployed, without an environment step.

The objective that a fit lowers is no judge of it: every fit acts as the prompt does where the prompt was, and what
counts is what it does elsewhere. A judge asks something else: what the fit says of steps that it was not shown
(`HeldOutError`), what others say (`Agreement`), where it ends in a learnt model of the world (`WorldModel`), whether
the prompt shows all that it must know (`ShownEnd`). How much
there is to win at all says the row of the best candidate for each prompt, had one known it (`hyprepro run judges_a`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import Adaptation, Start
from hyprepro.gen_hyprl.candidates import CandidateSource, Fitted
from hyprepro.gen_hyprl.world import Dynamics, EnsembleDynamics, TrainDynamics

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.domains.base import Data, Domain
    from hyprepro.gen_hyprl.judges_net import Case
    from hyprepro.stores.prompts import Prompts


class Judge(Component):
    """Says of every candidate how much speaks against it."""

    slot: ClassVar[str] = "judge"

    @abstractmethod
    def scores(self, case: Case) -> Tensor:
        """Scores `[n, K]` of a case's candidates, the lower the better; NaN for all of a prompt it cannot judge.

        Why it cannot is told to `case.say`.
        """

    def require(self, domain: Domain) -> None:  # most ask for nothing
        """Fail before any work where the domain does not have what the judge needs (`UserError`)."""

    def training(self, data: Data) -> TrainDynamics | None:
        """The stage that learns what the judge knows, from the training tasks' episodes; None: nothing."""
        return None


@component
class Objective(Judge):
    """What the fit lowers anyway: the error on the prompt and the pull to where it started."""

    def scores(self, case: Case) -> Tensor:
        from hyprepro.gen_hyprl.judges_net import objectives

        return objectives(case)


@component
class HeldOutError(Judge):
    """The error on steps that were held out: all candidates are fitted once more, to the rest of the prompt."""

    share: float = setting(0.25, "share of the prompt's steps that is held out", gt=0, lt=1)
    part: Literal["last", "first"] = setting("last", "which steps: the last, or the first")
    fewest: int = setting(4, "steps that must be left on both sides", ge=1)

    def scores(self, case: Case) -> Tensor:
        from hyprepro.gen_hyprl.judges_net import held_out_errors

        return held_out_errors(self, case)


@component
class Agreement(Judge):
    """How far a candidate's actions are from the mean of the others', in the prompt's and its post-success states.

    With `moved` above zero also in states of other instances of the task, where fits that agree on the prompt part.
    """

    moved: float = setting(0.05, "how far objects and goal are moved at most, in the domain's units; 0: not", ge=0)

    def require(self, domain: Domain) -> None:
        """Moving asks for a domain that says what can be moved."""
        if self.moved and "shift" not in domain.symmetries:
            raise UserError(
                f"{domain.title} does not say what of an observation can be moved.",
                where="Agreement.moved",
                fix="-b Agreement.moved=0",
            )

    def scores(self, case: Case) -> Tensor:
        from hyprepro.gen_hyprl.judges_net import disagreements

        return disagreements(self, case)


@component
class WorldModel(Judge):
    """How near a candidate comes to the prompt's post-success states in a model of the world.

    Every candidate is imagined from the prompt's first state, and from the same with objects and goal moved, where it
    must end moved by as much. The distance is that of the nearest imagined state, over the coordinates of robot and
    objects, each divided by its spread in training; where the members of the model disagree on the way there, that is
    added. A prompt whose own steps the model does not foretell is not judged.
    """

    dynamics: Dynamics = setting(EnsembleDynamics(), "the model and how it is trained")
    horizon: int = setting(150, "steps that are imagined", ge=1, le=10_000)
    instances: int = setting(4, "instances of the task that are imagined, the prompt's own first", ge=1, le=100)
    moved: float = setting(0.05, "how far objects and goal of the others are moved at most (the domain's units)", ge=0)
    doubt: float = setting(1.0, "weight of the members' disagreement", ge=0)
    tolerance: float = setting(
        1.0, "error on the prompt's own steps, as a share of the changes' variance, up to which it is trusted", gt=0
    )

    def require(self, domain: Domain) -> None:
        """The domain must say what an observation is."""
        if "shift" not in domain.symmetries:
            domain.scene()

    def training(self, data: Data) -> TrainDynamics:
        return TrainDynamics(self.dynamics, data)

    def scores(self, case: Case) -> Tensor:
        from hyprepro.gen_hyprl.judges_net import imagined_distances

        return imagined_distances(self, case)


@component
class ShownEnd(Judge):
    """By whether the prompt shows how the task ends: if so a fit to changed scenes is preferred, else a plain one.

    A prompt is an episode's first steps, and its post-success states may lie beyond. A fit to changed scenes learns
    what the prompt shows wherever the scene is, and forgets what the start knew of the steps after it; where these are
    needed, a plain fit near its start is better. Among the fits of the preferred kind another judge decides.
    """

    within: float = setting(
        0.06, "how near a prompt's state comes to a post-success one at least, in every coordinate (m)", gt=0
    )
    judge: Judge = setting(Objective(), "what decides among fits of one kind")

    def require(self, domain: Domain) -> None:
        """The domain must say where things are."""
        if "shift" not in domain.symmetries:
            domain.scene()
        self.judge.require(domain)

    def training(self, data: Data) -> TrainDynamics | None:
        """That of the other judge."""
        return self.judge.training(data)

    def scores(self, case: Case) -> Tensor:
        from hyprepro.gen_hyprl.judges_net import by_shown_end

        return by_shown_end(self, case)


@component
class Combined(Judge):
    """Several judges together; of those that cannot judge a prompt the others decide."""

    judges: tuple[Judge, ...] = setting((HeldOutError(), Agreement()), "the judges", min_length=1)
    weights: tuple[float, ...] = setting((), "their weights; none: all equal")
    by: Literal["ranks", "z"] = setting("ranks", "what is added: ranks among the candidates, or standardised scores")

    def check(self) -> None:
        """As many weights as judges (`UserError` if not)."""
        if self.weights and len(self.weights) != len(self.judges):
            raise UserError(
                f"{len(self.judges)} judges have {len(self.weights)} weights.",
                where="Combined.weights, Combined.judges",
                fix="give each judge a weight, or none: Combined.weights = ()",
            )

    def require(self, domain: Domain) -> None:
        for judge in self.judges:
            judge.require(domain)

    def training(self, data: Data) -> TrainDynamics | None:
        """That of the one which learns.

        Raises:
            UserError: Two of them learn different things.
        """
        stages = list(dict.fromkeys(stage for judge in self.judges if (stage := judge.training(data)) is not None))
        if len(stages) > 1:
            raise UserError(
                "Two judges learn models of the world with different settings.",
                where="Combined.judges",
                fix="give them the same WorldModel.dynamics",
            )
        return stages[0] if stages else None

    def scores(self, case: Case) -> Tensor:
        from hyprepro.gen_hyprl.judges_net import combined

        return combined(self, case)


@component
class ChosenAdaptation(Adaptation):
    """Several candidates, fitted to the prompt in different ways; each prompt keeps the one that the judge prefers.

    Where the judge cannot judge a prompt, `otherwise` does, and the result's notes say so.
    """

    candidates: tuple[CandidateSource, ...] = setting(
        (Fitted(), Fitted(start="agreeing"), Fitted(start="mean")), "what is chosen from", min_length=1
    )
    judge: Judge = setting(Objective(), "what chooses")
    otherwise: Judge = setting(Objective(), "what chooses where the judge cannot")

    @property
    def needs_candidates(self) -> bool:
        """Where some candidate needs them."""
        return any(each.needs_candidates for each in self.candidates)

    @property
    def needs_library(self) -> bool:
        """Where some candidate needs it."""
        return any(each.needs_library for each in self.candidates)

    def require(self, domain: Domain) -> None:
        for source in self.candidates:
            source.require(domain)
        for judge in (self.judge, self.otherwise):
            judge.require(domain)

    def training(self, data: Data) -> TrainDynamics | None:
        return self.judge.training(data)

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The chosen policies `[n, P]`."""
        from hyprepro.gen_hyprl.judges_net import chosen

        return chosen(self, start, prompts, draws)

"""Warped demonstrations: a fit to the prompt as it would look in other instances of its task, without an environment.

A prompt is the first steps of one episode, with objects and goal at one place; cloned as it stands it does not say what
to do elsewhere, nor how the task ends. But it holds more than its pairs of state and action. Its post-success states
say where hand and objects end, so the way from its last step to there can be filled in. And a demonstration is told in
places: where an object stands elsewhere, the hand goes there instead, and then does the same. What action moves the
hand so is known from all training tasks, which share the robot (`hyprepro.gen_hyprl.inverse`).

Source: MimicGen (Mandlekar et al., "MimicGen: A Data Generation System for Scalable Robot Learning using Human
    Demonstrations", CoRL 2023) moves the parts of a demonstration with the objects that they are about, runs the result
    in the simulator and keeps what succeeds. Here nothing is run and nothing is sorted out: actions come from the
    inverse model, and policies are fitted to them.
Chosen on tasks withheld from training: `hyprepro run withheld_a`, `withheld_b`, `withheld_c`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyprepro.component import Width, component, setting
from hyprepro.gen_hyprl.adaptation import Adaptation, PromptAdaptation, Start
from hyprepro.gen_hyprl.candidates import Begin
from hyprepro.gen_hyprl.inverse import InverseModel, TrainInverse, TurnedInverse

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.domains.base import Data, Domain
    from hyprepro.stores.prompts import Prompts


@component
class WarpedAdaptation(Adaptation):
    """A fit to pairs of state and action of warped demonstrations, drawn anew at each step.

    *Completed*: from the step that is nearest to the first post-success state on, hand and objects move there on a
    curve that begins as the demonstration was moving; what the prompt shows after that step is left out.
    *Warped*: objects and goal are moved by chance, together or each for itself. The hand's way is moved as much as the
    share of it that is covered until it first moves an object, from then on with the object, and object and hand
    more and more with the goal. What never moves in the demonstration is scattered: it is of no account.
    *Beside the way*: the hand is beside its place, and the action leads it back.

    Actions are the demonstration's, changed by what the inverse model says of the change.
    """

    fit: PromptAdaptation = setting(
        PromptAdaptation(steps=500, learning_rate=3e-3, pull=1e-3), "the fit to these pairs"
    )
    start: Begin = setting("generated", "where the fit starts from: generated, agreeing, mean or random")
    inverse: InverseModel = setting(TurnedInverse(), "the inverse model and how it is trained")
    pairs: Width = setting(64, "pairs a step and prompt")
    completed: bool = setting(True, "fill in the way to the first post-success state")
    within: float = setting(
        0.02, "how near a step must come to that state, in every coordinate, to show the end itself (m)", gt=0
    )
    moved: float = setting(0.1, "how far objects and goal are moved at most along each axis (m)", ge=0)
    still: float = setting(0.25, "share of the pairs in which they stay where they were", ge=0, le=1)
    apart: float = setting(0.5, "share in which the goal moves otherwise than the objects", ge=0, le=1)
    beside: float = setting(0.01, "deviation of the hand from its way, along each axis (m)", ge=0)
    shift: float = setting(0.1, "how far the whole scene is shifted at most along each axis (m)", ge=0)

    @property
    def told(self) -> str:
        parts = [
            "completed to its post-success states" if self.completed else "",
            "moved with its objects and goal" if self.moved else "",
        ]
        warped = " and ".join(part for part in parts if part)
        demonstration = f"the prompt's demonstration{', ' + warped if warped else ''}"
        return f"fitted to {demonstration}, by an inverse model of the hand from the training tasks' episodes"

    @property
    def needs_library(self) -> bool:
        """Where the fit starts from it."""
        return self.start in ("agreeing", "mean")

    def require(self, domain: Domain) -> None:
        """The domain must say where things are."""
        if "shift" not in domain.symmetries:  # a plan asks, and a scene takes torch
            domain.scene()

    def training(self, data: Data) -> TrainInverse:
        """The inverse model."""
        return TrainInverse(self.inverse, data)

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The fitted policies `[n, P]`."""
        from hyprepro.gen_hyprl.warping_net import fitted_to_warped

        return fitted_to_warped(self, start, prompts, draws)

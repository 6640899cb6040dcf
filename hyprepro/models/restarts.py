"""The same fit from several starts: what the generator says for the prompt, and what it says for training prompts.

We chose: restarts, since a policy generated for an unseen task may act opposite to the prompt, while a policy that the
    generator knows from a sibling task does nearly what is asked. Which start is best is told by the objective that the
    fit lowers anyway, so nothing is added to what the method may look at but its own training prompts. Chosen on tasks
    withheld from training (`hyprepro run withheld_a`, `withheld_b`, `withheld_c`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hyprepro.models.adaptation import Adaptation, PromptAdaptation, Start
from hyprepro.recipe import component, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.stores.prompts import Prompts


@component
class RestartedAdaptation(Adaptation):
    """`PromptAdaptation` from several starts; each prompt keeps the fitted policy with the lowest objective.

    Starts: "generated", the policy generated for the prompt; "agreeing", of the policies generated for training prompts
    the one that acts most like the prompt; "mean", the mean of these.
    """

    adaptation: PromptAdaptation = setting(PromptAdaptation(), "the fit and its objective")
    starts: tuple[Literal["generated", "agreeing", "mean"], ...] = setting(
        ("generated", "agreeing", "mean"), "where it starts from", min_length=1
    )

    @property
    def needs_library(self) -> bool:
        """Unless it starts from the generated policy alone."""
        return set(self.starts) != {"generated"}

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The best fitted policies `[n, P]`; all fits see the same noise."""
        from hyprepro.models.networks.restarts import best_of_starts

        return best_of_starts(self, start, prompts, draws)

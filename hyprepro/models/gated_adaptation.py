"""The gate before an adaptation: a generated policy that already acts as its prompt does is deployed as it is.

We chose: a gate, since fitting 58 pairs of state and action costs more than it gives where the generator knows the
    task (the rows `gen-hyprl` and `no gate` of `hyprepro run ablation`). The tolerance lies between the disagreement on
    validation prompts of seen tasks and that on validation prompts of tasks withheld from training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyprepro.models.adaptation import Adaptation, Start
from hyprepro.models.restarts import RestartedAdaptation
from hyprepro.recipe import component, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.stores.prompts import Prompts


@component
class GatedAdaptation(Adaptation):
    """Adapts the policies that disagree with their prompts, and leaves the others as they are."""

    adaptation: Adaptation = setting(RestartedAdaptation(), "what is done with the policies that disagree")
    tolerance: float = setting(
        0.06, "Mean squared difference to the prompt's actions up to which a policy stays as it was generated.", ge=0
    )

    @property
    def needs_candidates(self) -> bool:
        """Where what is gated needs them."""
        return self.adaptation.needs_candidates

    @property
    def needs_library(self) -> bool:
        """Where what is gated needs it."""
        return self.adaptation.needs_library

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The policies `[n, P]`, adapted where they disagree."""
        import torch

        needy = torch.nonzero(disagreement(start, prompts) > self.tolerance)[:, 0]
        params = start.params.clone()
        if len(needy):
            params[needy] = self.adaptation.adapt(start.subset(needy), prompts.subset(needy.tolist()), draws)
        return params


def disagreement(start: Start, prompts: Prompts) -> Tensor:
    """Mean squared difference `[n]` between the actions of generated policies and of their prompts."""
    import torch

    from hyprepro.policies.fitting import forward, interpolated_pairs

    observations, actions = interpolated_pairs(prompts)
    with torch.no_grad():
        acted = forward(start.layout, start.layout.split(start.params), torch.from_numpy(observations))
        return (acted - torch.from_numpy(actions).clamp(-1.0, 1.0)).square().mean(dim=(1, 2))

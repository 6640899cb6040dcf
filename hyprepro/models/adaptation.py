"""Adaptation: what is done with a generated policy and the prompt before it is deployed. No environment is touched.

Paper says: nothing of the kind; a decoded policy is deployed as it is (variants "paper" and "released").
We chose: gradient steps on the prompt (`PromptAdaptation`), from several starts (`RestartedAdaptation`), where a policy
    does not act as its prompt does already (`GatedAdaptation`). An unseen task's policies lie outside the space that
    the decoder spans (the autoencoder ceiling says how far), so no latent gives them; the prompt's own actions say what
    is missing. The choice was made on tasks withheld from training, never on the unseen ones; results/README.md says
    how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from hyprepro.recipe import Component, component, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.prompts import Prompts


@dataclass(frozen=True)
class Start:
    """What a method generated for `n` prompts.

    Attributes:
        layout: The policies' layout.
        params: The policy of each prompt `[n, P]`.
        candidates: Policies to choose from for each prompt `[n, K, P]`; None where there are none.
        library: Policies that the method generates for training prompts `[M, P]`; None where there are none.
        latents: The latents behind `params` `[n, 2, D]`; None for policies that were not decoded.
        decode: The decoder, latents `[n, 2, D]` to parameters `[n, P]`, differentiable; None as well.
    """

    layout: PolicyLayout
    params: Tensor
    candidates: Tensor | None = None
    library: Tensor | None = None
    latents: Tensor | None = None
    decode: Callable[[Tensor], Tensor] | None = None

    def subset(self, rows: Tensor) -> Start:
        """The start of the prompts `rows` alone."""

        def of(part: Tensor | None) -> Tensor | None:
            return None if part is None else part[rows]

        return replace(self, params=self.params[rows], candidates=of(self.candidates), latents=of(self.latents))


class Adaptation(Component, ABC):
    """Fits generated policies to their prompts."""

    slot: ClassVar[str] = "adaptation"

    @property
    def needs_candidates(self) -> bool:
        """Whether `Start.candidates` is looked at."""
        return False

    @property
    def needs_library(self) -> bool:
        """Whether `Start.library` is looked at."""
        return False

    @abstractmethod
    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """Policies `[n, P]`, one a prompt; all randomness comes from `draws` (CPU).

        Raises:
            UserError: The method's policies have no latents or candidates, and the adaptation needs them.
        """


@component
class PromptAdaptation(Adaptation):
    """A few gradient steps on all weights towards the prompt's own actions, pulled back to the generated policy.

    Full-batch Adam on the prompt's 58 pairs of state and action, with states in coordinates centred on the prompt. The
    pull keeps what the prompt says nothing about: other goals, and the steps after the prompt's end.
    """

    steps: int = setting(200, "Steps of Adam; 0 leaves the policy as it is.", ge=0)
    learning_rate: float = setting(1e-3, "Adam's step size.", gt=0, le=1)
    pull: float = setting(1e-2, "Weight of the squared distance to the generated weights.", ge=0)
    input_noise: float = setting(0.005, "Deviation of the noise on states (metres, mostly), new each step.", ge=0)

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The fitted policies."""
        from hyprepro.models.networks.adaptation import steps_on_weights

        return steps_on_weights(self, start, prompts, draws)


@component
class LatentAdaptation(Adaptation):
    """Gradient steps on the latent instead of the weights: the policy stays in the space that the decoder spans."""

    steps: int = setting(150, "Steps of Adam; 0 leaves the latent as it is.", ge=0)
    learning_rate: float = setting(3e-2, "Adam's step size.", gt=0)
    pull: float = setting(0.0, "Weight of the squared distance to the generated latent.", ge=0)

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The policies decoded from the fitted latents."""
        from hyprepro.models.networks.adaptation import steps_on_latents

        return steps_on_latents(self, start, prompts)


@component
class AgreementChoice(Adaptation):
    """No gradient: of the L candidates and their aggregate, what acts most like the prompt in the prompt's own states.

    With a temperature above zero the weights are averaged instead, each candidate by
    exp(-disagreement / temperature).
    """

    temperature: float = setting(0.0, "Of the average over candidates; 0 picks the best one.", ge=0)

    @property
    def needs_candidates(self) -> bool:
        """Yes."""
        return True

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The chosen or averaged candidates."""
        from hyprepro.models.networks.adaptation import agreeing

        return agreeing(start, prompts, self.temperature)

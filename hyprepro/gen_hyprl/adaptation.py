"""Adaptation: what is done with a generated policy and the prompt before it is deployed. No environment is touched.

Paper says: nothing of the kind; a decoded policy is deployed as it is (variants "paper" and "released").
We chose: gradient steps on the prompt (`PromptAdaptation`), from several starts (`RestartedAdaptation`), where a policy
    does not act as its prompt does already (`GatedAdaptation`).
Steps: an unseen task's policies lie outside the space that the decoder spans (the autoencoder ceiling says how far), so
    no latent gives them; the prompt's own actions say what is missing. The choice was made on tasks withheld from
    training, never on the unseen ones; results/README.md says how.
Starts: what the generator says for the prompt, and what it says for training prompts. A policy generated for an unseen
    task may act opposite to the prompt, while a policy that the generator knows from a sibling task does nearly what is
    asked. Which start is best is told by the objective that the fit lowers anyway, so nothing is added to what the
    method may look at but its own training prompts. Chosen on tasks withheld from training (`hyprepro run withheld_a`,
    `withheld_b`, `withheld_c`).
Gate: fitting 58 pairs of state and action costs more than it gives where the generator knows the task (the rows
    `gen-hyprl` and `no gate` of `hyprepro run ablation`). The tolerance lies between the disagreement on validation
    prompts of seen tasks and that on validation prompts of tasks withheld from training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hyprepro.component import Component, component, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hyprepro.domains.base import Data, Domain
    from hyprepro.engine.stage import Stage
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
        domain: What the policies are for; None where nobody says.
        learnt: What the adaptation's own training gave (`Adaptation.training`), loaded.
        notes: What a reader of the result must know of the adaptation; it is added to.
    """

    layout: PolicyLayout
    params: Tensor
    candidates: Tensor | None = None
    library: Tensor | None = None
    latents: Tensor | None = None
    decode: Callable[[Tensor], Tensor] | None = None
    domain: Domain | None = None
    learnt: Any = None
    notes: list[str] = field(default_factory=list)

    def subset(self, rows: Tensor) -> Start:
        """The start of the prompts `rows` alone."""

        def of(part: Tensor | None) -> Tensor | None:
            return None if part is None else part[rows]

        return replace(self, params=self.params[rows], candidates=of(self.candidates), latents=of(self.latents))


class Adaptation(Component, ABC):
    """Fits generated policies to their prompts."""

    slot: ClassVar[str] = "adaptation"

    @property
    def told(self) -> str:
        """What becomes of the policies, and by what, in a few words for the tables."""
        return "fitted to the prompt's own actions"

    @property
    def needs_candidates(self) -> bool:
        """Whether `Start.candidates` is looked at."""
        return False

    @property
    def needs_library(self) -> bool:
        """Whether `Start.library` is looked at."""
        return False

    def require(self, domain: Domain) -> None:  # most ask for nothing
        """Fail before any work where the domain does not have what the adaptation needs (`UserError`)."""

    def training(self, data: Data) -> Stage | None:
        """The stage that learns what the adaptation knows beside start and prompts; None: it knows no more.

        Args:
            data: The stores as training sees them; it may read what methods may train on.
        """
        return None

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
        from hyprepro.gen_hyprl.adaptation_net import steps_on_weights

        return steps_on_weights(self, start, prompts, draws)


@component
class LatentAdaptation(Adaptation):
    """Gradient steps on the latent instead of the weights: the policy stays in the space that the decoder spans."""

    steps: int = setting(150, "Steps of Adam; 0 leaves the latent as it is.", ge=0)
    learning_rate: float = setting(3e-2, "Adam's step size.", gt=0)
    pull: float = setting(0.0, "Weight of the squared distance to the generated latent.", ge=0)

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The policies decoded from the fitted latents."""
        from hyprepro.gen_hyprl.adaptation_net import steps_on_latents

        return steps_on_latents(self, start, prompts)


@component
class AgreementChoice(Adaptation):
    """No gradient: of the L candidates and their aggregate, what acts most like the prompt in the prompt's own states.

    With a temperature above zero the weights are averaged instead, each candidate by
    exp(-disagreement / temperature).
    """

    temperature: float = setting(0.0, "Of the average over candidates; 0 picks the best one.", ge=0)

    @property
    def told(self) -> str:
        return "chosen among candidates, or averaged, by the prompt's own actions"

    @property
    def needs_candidates(self) -> bool:
        """Yes."""
        return True

    def adapt(self, start: Start, prompts: Prompts, draws: torch.Generator) -> Tensor:
        """The chosen or averaged candidates."""
        from hyprepro.gen_hyprl.adaptation_net import agreeing

        return agreeing(start, prompts, self.temperature)


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
        from hyprepro.gen_hyprl.adaptation_net import best_of_starts

        return best_of_starts(self, start, prompts, draws)


@component
class GatedAdaptation(Adaptation):
    """Adapts the policies that disagree with their prompts, and leaves the others as they are."""

    adaptation: Adaptation = setting(RestartedAdaptation(), "what is done with the policies that disagree")
    tolerance: float = setting(
        0.06, "Mean squared difference to the prompt's actions up to which a policy stays as it was generated.", ge=0
    )

    @property
    def told(self) -> str:
        """What is gated says."""
        return self.adaptation.told

    @property
    def needs_candidates(self) -> bool:
        """Where what is gated needs them."""
        return self.adaptation.needs_candidates

    @property
    def needs_library(self) -> bool:
        """Where what is gated needs it."""
        return self.adaptation.needs_library

    def require(self, domain: Domain) -> None:
        """What is gated asks."""
        self.adaptation.require(domain)

    def training(self, data: Data) -> Stage | None:
        """That of what is gated."""
        return self.adaptation.training(data)

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

    from hyprepro.policies.forward import forward
    from hyprepro.stores.prompts import interpolated_pairs

    observations, actions = interpolated_pairs(prompts)
    with torch.no_grad():
        acted = forward(start.layout, start.layout.split(start.params), torch.from_numpy(observations))
        return (acted - torch.from_numpy(actions).clamp(-1.0, 1.0)).square().mean(dim=(1, 2))

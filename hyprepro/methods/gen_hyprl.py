"""Gen-HypRL with and without HypFormer: the paper's method as rows of a table."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import component, setting
from hyprepro.gen_hyprl.adaptation import Adaptation, GatedAdaptation
from hyprepro.gen_hyprl.assembled import Assemble
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.gen_hyprl.conditions import EncodePrompts
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding, ContrastiveEmbedding, TrainBehaviorEmbedding
from hyprepro.gen_hyprl.hypformer import Aggregation, HypFormer, TrainHypFormer
from hyprepro.gen_hyprl.hyplatent import HypLatent, TrainHypLatent
from hyprepro.methods.base import WeightMethod, draw_seed

if TYPE_CHECKING:
    from torch import Tensor

    from hyprepro.domains.base import Data, Query
    from hyprepro.gen_hyprl.adaptation import Start
    from hyprepro.gen_hyprl.assembled import PolicyGenerator
    from hyprepro.stores.prompts import Prompts

_ADAPTATION = "what is done with the generated policy and the prompt (paper, released: None)"


class LatentMethod(WeightMethod):
    """Base of the methods that turn a behaviour embedding into a latent and decode it.

    The autoencoder and the embedding are trained once, with seed 0; the generator seed belongs to what is trained
    after them.
    """

    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the prompt; trained on the training policies and their prompts"

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2)")
    library: int = setting(
        20, "training prompts of each training task whose generated policies an adaptation may start from", ge=1
    )

    def encoded(self, data: Data) -> EncodePrompts:
        """The stage that encodes all training prompts, with its inputs."""
        return EncodePrompts(
            TrainAutoencoder(self.autoencoder, data.policies, data.trajectories),
            TrainBehaviorEmbedding(self.embedding, data.policies, data.trajectories),
        )

    @abstractmethod
    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled parts."""

    def generate(self, trained: PolicyGenerator, data: Data, query: Query, seed: int) -> Start:
        """One decoded latent a prompt; the noise derives from the seed and the task."""
        import torch

        from hyprepro.gen_hyprl.adaptation import Start

        with torch.no_grad():
            latents = self.latents(trained, query.shown, seed)
            params = trained.autoencoder.decode(latents)
        library = None
        if self.adaptation is not None and self.adaptation.needs_library:
            library = self._library(trained, data, seed)
        layout, decode = trained.autoencoder.layout, trained.autoencoder.decode
        return Start(layout, params, library=library, latents=latents, decode=decode)

    def latents(self, trained: PolicyGenerator, prompts: Prompts, seed: int) -> Tensor:
        """The latents `[n, 2, D]` that are decoded, one a prompt."""
        import torch

        draws = torch.Generator().manual_seed(draw_seed(seed, prompts.task))
        return trained.latents(torch.from_numpy(prompts.tau), torch.from_numpy(prompts.tau_hat), draws)

    def _library(self, trained: PolicyGenerator, data: Data, seed: int) -> Tensor:
        """The policies `[M, P]` generated for training prompts, evenly spread over each task's."""
        import torch

        from hyprepro.methods.retrieval import training_prompts

        with data.open_policies() as store:
            prompts = [_spread(task, self.library) for task in training_prompts(data, store)]
        with torch.no_grad():
            return torch.cat([trained.autoencoder.decode(self.latents(trained, some, seed)) for some in prompts])


@component
class GenHypRLWithoutHypFormer(LatentMethod):
    """Stages 1 and 2: one draw of HypLatent's generator a prompt, then the adaptation to it."""

    label: ClassVar[str] = "gen-hyprl-wo-hypformer"

    adaptation: Adaptation | None = setting(GatedAdaptation(), _ADAPTATION)
    hyplatent: HypLatent = setting(HypLatent(), "stage 2 (eq. 3 to 5)")

    def check(self) -> None:
        """G can make latents of the autoencoder's size (`UserError` if not)."""
        self.hyplatent.check_latents_of(self.autoencoder)

    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and generator."""
        latents = self.encoded(data)
        return Assemble(latents.autoencoder, latents.embedding, TrainHypLatent(latents, self.hyplatent, seed))


@component
class GenHypRL(LatentMethod):
    """All three stages: HypFormer aggregates L draws of HypLatent's generator a prompt; then the adaptation to it.

    Paper says: HypFormer is trained with 8 tokens; performance is shown for 8 to 512 (its Figure 5), without saying
    whether the others were trained or only deployed. We chose: deployed, as HypFormer takes any number of tokens;
    `retrained` gives the other reading.
    """

    label: ClassVar[str] = "gen-hyprl"

    adaptation: Adaptation | None = setting(GatedAdaptation(), _ADAPTATION)
    hyplatent: HypLatent = setting(HypLatent(), "stage 2 (eq. 3 to 5)")
    hypformer: Aggregation = setting(HypFormer(), "stage 3 (eq. 6 to 9)")
    candidates: int | None = setting(None, "L at deployment; None: HypFormer.candidates, as trained", ge=1)
    retrained: bool = setting(False, "train HypFormer with this L as well (beyond 64 that takes a GPU's memory)")

    def check(self) -> None:
        """G can make latents of the autoencoder's size (`UserError` if not)."""
        self.hyplatent.check_latents_of(self.autoencoder)

    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled autoencoder, embedding, generator and HypFormer."""
        latents = self.encoded(data)
        generator = TrainHypLatent(latents, self.hyplatent, seed)
        hypformer = TrainHypFormer(latents, generator, self._trained_hypformer, seed)
        return Assemble(latents.autoencoder, latents.embedding, generator, hypformer)

    def generate(self, trained: PolicyGenerator, data: Data, query: Query, seed: int) -> Start:
        """The decoded aggregate, and the decoded candidates where the adaptation looks at them."""
        import torch

        start = super().generate(trained, data, query, seed)
        if self.adaptation is None or not self.adaptation.needs_candidates:
            return start
        prompts, draws = query.shown, torch.Generator().manual_seed(draw_seed(seed, query.task))
        drawn = self._deployed(trained).candidates(
            torch.from_numpy(prompts.tau), torch.from_numpy(prompts.tau_hat), draws
        )
        with torch.no_grad():
            decoded = [trained.autoencoder.decode(latents) for latents in drawn.unbind(1)]
        return replace(start, candidates=torch.stack(decoded, dim=1))

    def latents(self, trained: PolicyGenerator, prompts: Prompts, seed: int) -> Tensor:
        """With `candidates` draws a prompt."""
        return super().latents(self._deployed(trained), prompts, seed)

    def _deployed(self, trained: PolicyGenerator) -> PolicyGenerator:
        return trained if self.candidates is None else trained.with_candidates(self.candidates)

    @property
    def _trained_hypformer(self) -> Aggregation:
        if not self.retrained or self.candidates is None:
            return self.hypformer
        changed: dict[str, int] = {"candidates": self.candidates}
        if isinstance(self.hypformer, HypFormer) and self.hypformer.bank < self.candidates:
            changed["bank"] = 0  # a bank of fewer candidates than a step samples would cap L in silence
        return self.hypformer.model_copy(update=changed)


def _spread(prompts: Prompts, count: int) -> Prompts:
    """At most `count` of the prompts, evenly spread."""
    kept = min(count, len(prompts))
    return prompts.subset([row * len(prompts) // kept for row in range(kept)])

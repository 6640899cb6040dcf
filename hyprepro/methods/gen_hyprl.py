"""Gen-HypRL with and without HypFormer: the paper's method as rows of a table, whatever the condition is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import Adaptation, GatedAdaptation, Start
from hyprepro.gen_hyprl.assembled import Assemble
from hyprepro.gen_hyprl.autoencoder import Autoencoder, LinearAutoencoder, TrainAutoencoder
from hyprepro.gen_hyprl.choices import RunCode
from hyprepro.gen_hyprl.conditions import EncodedConditions, EncodeParameters, EncodePrompts
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding, ContrastiveEmbedding, TrainBehaviorEmbedding
from hyprepro.gen_hyprl.hypformer import Aggregation, HypFormer, TrainHypFormer
from hyprepro.gen_hyprl.hyplatent import HypLatent, TrainHypLatent
from hyprepro.gen_hyprl.neighbours import ranges_of
from hyprepro.gen_hyprl.runs import NearestRun, RunChoice
from hyprepro.methods.base import WeightMethod, draw_seed

if TYPE_CHECKING:
    from torch import Tensor

    from hyprepro.domains.base import Data, Domain, Query
    from hyprepro.gen_hyprl.assembled import PolicyGenerator
    from hyprepro.stores.prompts import Prompts

_ADAPTATION = "what is done with the generated policy and the prompt (paper, released: None)"
C = TypeVar("C", bound=Component)


class LatentMethod(WeightMethod):
    """Base of the methods that turn a condition into a latent and decode it.

    The autoencoder and the embedding are trained once for each training set, with seed 0; the generator seed belongs to
    what is trained after them. Settings that only one kind of condition has are of no account for the other: prompts
    alone have `embedding`, `library` and `adaptation`; numbers alone have `draws`, `newest` and `between`, and are
    the whole condition: h, whatever `condition` says.
    """

    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the {told}; trained on the training policies, each with its {told}"

    autoencoder: Autoencoder = setting(LinearAutoencoder(), "E and D (eq. 1)")
    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2)")
    library: int = setting(
        20, "training prompts of each training task whose generated policies an adaptation may start from", ge=1
    )
    draws: int = setting(20, "policies generated for a task told by numbers, one draw each (L with HypFormer)", ge=1)
    newest: int = setting(0, "train on the last so many policies of such a task; 0: on all of them", ge=0)
    between: int = setting(
        0,
        "for each two neighbouring training tasks told by numbers, train also on mixtures of their latents at so many "
        "places between them (paper: 0)",
        ge=0,
        le=100,
    )
    run_code: RunCode = setting(
        "none",
        "how the condition tells the training run: not at all (paper), by its number within the task (one_hot), or by "
        "the mean behaviour embedding of its prompts (embedding)",
    )
    run_choice: RunChoice = setting(NearestRun(), "which run is asked for at deployment, where the condition tells it")

    def information(self, domain: Domain) -> str:
        """With the run, where the condition tells one."""
        text = super().information(domain)
        if self.run_code == "none":
            return text
        return f"{text}; it is told a training run of the task, which {type(self.run_choice).__name__} chooses"

    def encoded(self, data: Data) -> EncodedConditions:
        """The stage that encodes all training samples, with its inputs.

        Raises:
            UserError: The training run is part of the condition and unknown, or cannot be told or chosen in this way.
        """
        autoencoder, code = TrainAutoencoder.of(self.autoencoder, data), self.run_code
        if code != "none":
            self._check_runs(data)
        if data.domain.condition == "prompt":
            embedding = TrainBehaviorEmbedding(self.embedding, data.files)
            return EncodePrompts(autoencoder, embedding, run_code=code)
        parameters = tuple(data.trained().values())
        return EncodeParameters(autoencoder, parameters, ranges_of(data), self.newest, self.between, run_code=code)

    def _check_runs(self, data: Data) -> None:
        from hyprepro.stores.training_data import run_numbers

        name, is_prompt = type(self).__name__, data.domain.condition == "prompt"
        if not is_prompt and (self.run_code == "embedding" or self.between):
            what = "a mixture of two tasks is of no run" if self.between else "its tasks have no embedding"
            raise UserError(
                f"{name} cannot tell the training run in {data.domain.title}: {what}.",
                where=f"{name}.run_code, {name}.between" if self.between else f"{name}.run_code",
                fix=f"-b {name}.between=0" if self.between else f"-b \"{name}.run_code='one_hot'\"",
            )
        with data.open_policies() as store:
            most = max(int(run_numbers(store, task).max()) + 1 for task in store.training_tasks())
        self.run_choice.check_known(most)

    @abstractmethod
    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled parts."""

    def generate(self, trained: PolicyGenerator, data: Data, query: Query, seed: int) -> Start:
        """The decoded latents; the noise derives from the seed and the task."""
        import torch

        with torch.no_grad():
            latents = self.latents(trained, query, seed)
            params = trained.autoencoder.decode(latents)
        library, adaptation = None, self.adaptation_to(query)
        if adaptation is not None and adaptation.needs_library:
            library = self._library(trained, data, seed)
        layout, decode = trained.autoencoder.layout, trained.autoencoder.decode
        return Start(layout, params, library=library, latents=latents, decode=decode)

    def latents(self, trained: PolicyGenerator, query: Query, seed: int) -> Tensor:
        """The latents `[n, 2, D]` that are decoded: one a prompt, or as many as are asked for (`draws` if none are)."""
        import torch

        draws = torch.Generator().manual_seed(draw_seed(seed, query.task))
        return self._deployed(trained).latents(self._counted(query), draws)

    def _deployed(self, trained: PolicyGenerator) -> PolicyGenerator:
        """With the settings of deployment."""
        return trained if self.run_code == "none" else trained.choosing(self.run_choice)

    def _counted(self, query: Query) -> Query:
        return query._replace(n=query.n or self.draws)

    def _library(self, trained: PolicyGenerator, data: Data, seed: int) -> Tensor:
        """The policies `[M, P]` generated for training prompts, evenly spread over each task's."""
        import torch

        from hyprepro.domains.base import Query
        from hyprepro.methods.retrieval import training_prompts

        with data.open_policies() as store:
            prompts = [_spread(task, self.library) for task in training_prompts(data, store)]
        queries = [Query(some.task, prompts=some, n=len(some)) for some in prompts]
        with torch.no_grad():
            return torch.cat([trained.autoencoder.decode(self.latents(trained, query, seed)) for query in queries])


@component
class GenHypRLWithoutHypFormer(LatentMethod):
    """Stages 1 and 2: each policy is one draw of HypLatent's generator, then adapted to its prompt if there is one."""

    label: ClassVar[str] = "gen-hyprl-wo-hypformer"

    adaptation: Adaptation | None = setting(GatedAdaptation(), _ADAPTATION)
    hyplatent: HypLatent = setting(HypLatent(), "stage 2 (eq. 3 to 5)")

    def check(self) -> None:
        """G can make latents of the autoencoder's size (`UserError` if not)."""
        self.hyplatent.check_latents_of(self.autoencoder)

    def training(self, data: Data, seed: int) -> Assemble:
        """The assembled autoencoder, embedding and generator."""
        return Assemble.of(TrainHypLatent(for_condition(self.hyplatent, data), self.encoded(data), seed=seed))


@component
class GenHypRL(LatentMethod):
    """All three stages: HypFormer aggregates L draws of HypLatent's generator; then the adaptation to the prompt.

    Paper says: HypFormer is trained with 8 tokens; performance is shown for 8 to 512 (its Figure 5), without saying
    whether the others were trained or only deployed. We chose: deployed, as HypFormer takes any number of tokens;
    `retrained` gives the other reading. On Cheetah-Vel the paper has no row with HypFormer.
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
        generator = TrainHypLatent(for_condition(self.hyplatent, data), latents, seed=seed)
        former = for_condition(self._trained_hypformer, data)
        return Assemble.of(generator, TrainHypFormer(former, latents, generator, seed=seed))

    def generate(self, trained: PolicyGenerator, data: Data, query: Query, seed: int) -> Start:
        """The decoded aggregates, and the decoded candidates where the adaptation looks at them."""
        import torch

        start, adaptation = super().generate(trained, data, query, seed), self.adaptation_to(query)
        if adaptation is None or not adaptation.needs_candidates:
            return start
        draws = torch.Generator().manual_seed(draw_seed(seed, query.task))
        drawn = self._deployed(trained).candidates(query, draws)
        with torch.no_grad():
            decoded = [trained.autoencoder.decode(latents) for latents in drawn.unbind(1)]
        return replace(start, candidates=torch.stack(decoded, dim=1))

    def _deployed(self, trained: PolicyGenerator) -> PolicyGenerator:
        deployed = super()._deployed(trained)
        return deployed if self.candidates is None else deployed.with_candidates(self.candidates)

    @property
    def _trained_hypformer(self) -> Aggregation:
        if not self.retrained or self.candidates is None:
            return self.hypformer
        changed: dict[str, int] = {"candidates": self.candidates}
        if isinstance(self.hypformer, HypFormer) and self.hypformer.bank < self.candidates:
            changed["bank"] = 0  # a bank of fewer candidates than a step samples would cap L in silence
        return self.hypformer.model_copy(update=changed)


def for_condition(settings: C, data: Data) -> C:
    """Settings of what is trained on conditions, with h as the whole condition where that is numbers."""
    has = data.domain.condition == "parameter" and "condition" in type(settings).model_fields
    return settings.model_copy(update={"condition": "h"}) if has else settings


def _spread(prompts: Prompts, count: int) -> Prompts:
    """At most `count` of the prompts, evenly spread."""
    kept = min(count, len(prompts))
    return prompts.subset([row * len(prompts) // kept for row in range(kept)])

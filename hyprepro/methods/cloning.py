"""Behaviour cloning without a generator: a fresh policy a prompt, or one network told the condition.

A conditioned clone is told what Gen-HypRL is told, and trained on the episodes of the same training tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from hyprepro.component import component, setting
from hyprepro.engine.stage import Report
from hyprepro.engine.trained import Trained, TrainedStage
from hyprepro.gen_hyprl.assembled import gather
from hyprepro.gen_hyprl.conditions import Conditions
from hyprepro.gen_hyprl.embedding import BehaviorEmbedding, ContrastiveEmbedding, TrainBehaviorEmbedding
from hyprepro.gen_hyprl.neighbours import Parameter, Ranges, ranges_of
from hyprepro.methods.base import Method, derived_seed
from hyprepro.methods.fresh_episodes import FRESH, FreshEpisodes, episodes_of, require_numbers
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.methods.cloning_net import CloningJob, ConditionedPolicy, TrainedCloning
    from hyprepro.policies.controllers import Controllers
    from hyprepro.policies.forward import Weights
    from hyprepro.stores.trajectory_store import Episode


@component
class PromptCloning(Method):
    """Behaviour cloning on the prompt alone: no training policy, no other prompt.

    Networks of the store's layout, one a prompt, trained as stacked tensors by Adam on all pairs at once to the squared
    difference between tanh(mean) and the recorded action. Inputs are standardised by the prompt's own mean and
    deviation, which is folded into the first layer, so that what is deployed is an ordinary policy. The defaults were
    chosen on validation prompts of the seen tasks.
    """

    label: ClassVar[str] = "prompt-cloning"
    knows: ClassVar[str] = "the prompt alone; no training policy, no other prompt"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})
    needs: ClassVar[str] = "it clones the states and actions of a prompt"

    pairs: Literal["blocks", "interpolated"] = setting(
        "interpolated",
        "blocks: the 20 states with the action taken there; interpolated: also the steps between, states filled in",
    )
    steps: int = setting(300, "Full-batch Adam steps.", ge=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate.", gt=0)
    weight_decay: float = setting(0.0, "Adam's decoupled weight decay.", ge=0)
    deviation_floor: float = setting(1.0, "Smallest deviation that inputs are divided by; 1 m only centres them.", gt=0)
    input_noise: float = setting(0.02, "Deviation of the noise on standardised inputs, drawn anew each step.", ge=0)

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """Train one policy for each prompt; the weights start from the seed and the task."""
        from hyprepro.policies.controllers import PolicyControllers
        from hyprepro.stores.prompts import block_pairs, interpolated_pairs

        with data.open_policies() as store:
            layout = store.layout
        prompts = query.shown
        observations, actions = interpolated_pairs(prompts) if self.pairs == "interpolated" else block_pairs(prompts)
        return PolicyControllers(layout, self.clone(layout, observations, actions, derived_seed(seed, query.task)))

    def clone(
        self, layout: PolicyLayout, observations: NDArray[np.float32], actions: NDArray[np.float32], seed: int
    ) -> NDArray[np.float32]:
        """Policies `[n, P]`, each cloned on its own row of observations `[n, b, obs]` and actions `[n, b, act]`."""
        import torch

        from hyprepro.policies.forward import fit

        x = torch.from_numpy(observations)
        target = torch.from_numpy(actions).clamp(-1.0, 1.0)
        mean = x.mean(dim=1, keepdim=True)
        deviation = x.std(dim=1, keepdim=True, correction=0).clamp(min=self.deviation_floor)
        generator = torch.Generator().manual_seed(seed)
        weights = fit(
            layout,
            _initial(layout, len(x), generator),
            (x - mean) / deviation,
            target,
            steps=self.steps,
            learning_rate=self.learning_rate,
            input_noise=self.input_noise,
            draws=generator,
            weight_decay=self.weight_decay,
        )
        return _folded(layout, weights, mean, deviation)


def _initial(layout: PolicyLayout, n: int, generator: Any) -> Weights:
    """Weights by name, uniform within +-1/sqrt(inputs) as torch's linear layers start, stacked `[n, ...]`."""
    import torch

    weights: Weights = {}
    for spec in layout.layers:
        if spec.name.endswith("weight"):
            inputs = spec.shape[1]
        if not spec.name.startswith("log_std"):
            value = (2 * torch.rand((n, *spec.shape), generator=generator) - 1) / inputs**0.5
            weights[spec.name] = value
    return weights


def _folded(layout: PolicyLayout, weights: Weights, mean: Tensor, deviation: Tensor) -> NDArray[np.float32]:
    """Flat parameters `[n, P]` of policies that take unstandardised observations; the log-std head is zero."""
    from hyprepro.policies.forward import unstandardised

    parts = {name: value.numpy() for name, value in unstandardised(weights, mean, deviation).items()}
    n = len(parts["linear1.weight"])
    for spec in layout.layers:
        parts.setdefault(spec.name, np.zeros((n, *spec.shape), dtype=np.float32))
    return layout.join(parts)


@component
class ConditionedCloning(Method, Trained):
    """An MLP from observation and condition to the action, cloned on the training tasks' stored episodes.

    As wide as the stored policies, and deployed as one of them: the condition's part of the first layer is folded into
    its bias. The condition is the one that Gen-HypRL's generator sees: (h, v) of a prompt, with the episodes that the
    training prompts are cut from; or a task's numbers, with the episodes that `episodes` names. One policy a prompt, or
    one for a task told by numbers.
    """

    label: ClassVar[str] = "conditioned-cloning"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "the {told}; trained on the training tasks' stored episodes"

    embedding: BehaviorEmbedding = setting(ContrastiveEmbedding(), "phi, psi and W (eq. 2), which prompts are told by")
    episodes: Literal["expert", "offline", "both"] = setting(
        "both",
        "which stored episodes of tasks told by numbers are cloned: the experts' own (few, without noise), those of "
        "the experts' whole training (more, with SAC's exploration noise), or both",
    )
    fresh_episodes: int = setting(0, FRESH, ge=0, le=1_000)
    deviation_floor: float = setting(1e-3, "smallest deviation that observations are divided by", gt=0)
    input_noise: float = setting(0.03, "deviation of the noise on standardised observations in training", ge=0)
    steps: int = setting(15_000, "training steps", ge=0)
    batch_size: int = setting(256, "pairs of observation and action a step", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size", gt=0, le=1)

    def information(self, domain: Domain) -> str:
        """With the episodes that it is trained on."""
        told = super().information(domain)
        return told if domain.condition == "prompt" else told.replace("stored episodes", episodes_of(self))

    def require(self, data: Data) -> None:
        """Fresh episodes are of tasks told by numbers."""
        super().require(data)
        require_numbers(self, data)

    def training(self, data: Data, seed: int) -> TrainConditionedCloning:
        """The stage that trains the network."""
        return TrainConditionedCloning.of(self, data, seed)

    def deploy(self, trained: TrainedCloning, data: Data, query: Query, seed: int) -> Controllers:
        """The network folded at each condition."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        conditions = torch.cat(trained.conditions.of(query._replace(n=max(query.n, 1))), dim=1)
        return PolicyControllers(trained.policy.layout, trained.policy.folded(conditions))


@dataclass(frozen=True)
class ConditionedStage(TrainedStage[Any]):
    """Trains one network for all conditions on the episodes of the training tasks.

    Attributes:
        model: The method's settings.
        stores: The episodes, and what the training tasks are.
        embedding: The trained phi and psi; None where the condition is numbers.
        parameters: The numbers of each training task, in the store's order.
        ranges: The range of each number.
        fresh: Episodes of their experts beside those of the store.
    """

    stores: StoreFiles
    embedding: TrainBehaviorEmbedding | None
    parameters: tuple[Parameter, ...] = ()
    ranges: Ranges = ()
    fresh: FreshEpisodes | None = None

    @classmethod
    def of(cls, model: Any, data: Data, seed: int, **rest: Any) -> Self:
        """Of settings with an `embedding` and `fresh_episodes`, for the conditions of a domain."""
        if data.domain.condition == "prompt":
            embedding = TrainBehaviorEmbedding(model.embedding, data.files)
            return cls(model, data.files, embedding, seed=seed, **rest)
        parameters = tuple(data.trained().values())
        model = model.model_copy(update={"embedding": ContrastiveEmbedding()})  # of no account where none is trained
        fresh = FreshEpisodes(data, model.fresh_episodes) if model.fresh_episodes else None
        return cls(model, data.files, None, parameters, ranges_of(data), fresh, seed=seed, **rest)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Train and write the network, with the embedding beside it."""
        super().run(work, inputs, report)
        gather(work, inputs)

    def episodes(self, inputs: dict[str, Path]) -> list[tuple[int, Episode]]:
        """Those of the training tasks, told by numbers, each with the number of its task.

        Raises:
            UserError: A training task has none of those that the settings name.
        """
        from hyprepro.methods.cloning_net import task_episodes

        fresh = [] if self.fresh is None else self.fresh.load(inputs["fresh"])
        return [*task_episodes(self.stores, self.model.episodes), *fresh]

    def conditions(self, path: Path) -> Conditions:
        """What makes its conditions, from the folder of the trained network."""
        embedding = None if self.embedding is None else self.embedding.load(path / "embedding")
        return Conditions(embedding, self.ranges)


@dataclass(frozen=True)
class TrainConditionedCloning(ConditionedStage):
    """Trains the conditioned policy.

    Metrics: `loss`, the mean squared error of actions; `validation_error`, the same on every tenth pair, which is held
    out.
    """

    kind: ClassVar[str] = "conditioned-cloning"

    model: ConditionedCloning

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 3 + 2e-3 * self.model.steps

    def job(self, inputs: dict[str, Path]) -> Callable[[], CloningJob]:
        """On the pairs of observation and action in the episodes."""
        from hyprepro.methods.cloning_net import CloningJob, prompt_pairs, task_pairs

        with self.stores.open_policies() as store:
            layout = store.layout
        if self.embedding is None:
            pairs, conditions = task_pairs(self.episodes(inputs), self.parameters, self.ranges)
        else:
            pairs, conditions = prompt_pairs(self.stores, self.embedding.load(inputs["embedding"]))
        return partial(CloningJob, self.model, layout, pairs, conditions)

    def build(self, shape: dict[str, Any]) -> ConditionedPolicy:
        """The untrained policy of a layout and a size of conditions."""
        from hyprepro.methods.cloning_net import ConditionedPolicy

        return ConditionedPolicy(PolicyLayout.from_json(shape["layout"]), shape["condition"])

    def load(self, path: Path) -> TrainedCloning:
        """The trained policy, frozen, with what makes its conditions."""
        from hyprepro.methods.cloning_net import TrainedCloning

        return TrainedCloning(super().load(path), self.conditions(path))

"""MACAW (Mitchell et al. 2021): meta-trained offline, it adapts to a task by one gradient step on some of its steps.

Sources: "Offline Meta-Reinforcement Learning with Advantage Weighting" and its released code (eric-mitchell/macaw),
whose Cheetah-Vel settings the defaults are, unless a field says otherwise.

The paper prints MACAW "(Iter. 0)" and "(Iter. 20K)" and does not say what is counted. It cannot be meta-training: an
untrained actor stands still, which costs 1.17 m/s x 200 = -234 on the five test velocities, half of the -121.6 that is
printed; whoever runs at their median whatever the velocity loses -120, so -121.6 is a meta-trained actor that does not
know the velocity. What counts steps at test time in MACAW's released code is its online fine-tuning, on Cheetah-Vel
from transitions of an untrained policy, from which no velocity can be told. We read: 0 and 20,000 steps of the
environment at the test velocity after the offline step. Ours takes that step on the test velocity's offline buffer, as
MACAW's main experiment does, so our row at 0 knows more than the paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.component import Component, Width, component, setting
from hyprepro.engine.trained import TrainedStage
from hyprepro.methods.base import Method, derived_seed
from hyprepro.policies.controllers import OwnControllers

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.methods.macaw.learner import Actor, MetaLearner, TransformedMLP, Weights
    from hyprepro.methods.macaw.training import MACAWJob
    from hyprepro.policies.controllers import Controllers


SOURCE = "MACAW's released code"


@component
class AdvantageWeighting(Component):
    """MACAW's actor and value function, and how they are meta-trained.

    A meta-step takes `tasks` training tasks. For each, the value function takes one gradient step (inner loop)
    towards the Monte-Carlo returns of a batch, and the actor one towards the batch's actions, weighted by
    exp(advantage), plus the squared error of its advantage head; both with a learned step size for every tensor. The
    loss of the stepped networks on a second batch of the same velocity (outer loop) trains what they were before.

    Paper says: 5 velocities and two batches of 256 transitions a meta-step. We chose: `return_scale`, by which returns
    are divided, and larger outer step sizes with fewer meta-steps at desktop scale; bootstrapping by the stepped value
    function itself, where the released code uses a mean of it and the one before; the advantage head sees the action
    as it is, where the released code cuts its negative part off.
    """

    slot = "meta_learner"

    hidden: tuple[Width, ...] = setting((100, 100, 100), "hidden widths", source=SOURCE, min_length=1)
    code: Width = setting(100, "size of the code that a layer's weights are a linear map of", source=SOURCE)
    head: Width = setting(32, "hidden width of the advantage head", source=SOURCE)
    steps: int = setting(50000, "meta-steps", source="MACAW's released code (the archives that it fine-tunes)", ge=0)
    tasks: int = setting(5, "training tasks of a meta-step", source=SOURCE, ge=1)
    batch_size: int = setting(256, "transitions of the inner batch, and of the outer one", source=SOURCE, ge=2)
    skip: int = setting(7, "every so many-th transition of a buffer is kept", source=SOURCE, ge=1)
    contiguous: bool = setting(True, "inner batches in training are successive transitions of a buffer", source=SOURCE)
    discount: float = setting(0.99, "discount of the returns", source=SOURCE, gt=0, le=1)
    bootstrap: bool = setting(
        True, "outer targets and advantages go on with the value at an episode's end", source=SOURCE
    )
    return_scale: float = setting(1.0, "returns are divided by this", source=SOURCE, gt=0)
    actor_rate: float = setting(1e-4, "Adam's step size for the actor in the outer loop", source=SOURCE, gt=0)
    value_rate: float = setting(1e-5, "Adam's step size for the value function in the outer loop", source=SOURCE, gt=0)
    inner_rate: float = setting(
        1e-3, "first step size of the inner loop, learned for every tensor", source=SOURCE, gt=0
    )
    rate_rate: float = setting(1e-3, "Adam's step size for the inner step sizes", source=SOURCE, ge=0)
    temperature: float = setting(1.0, "of the advantage weights", source=SOURCE, gt=0)
    largest_weight: float = setting(20.0, "largest advantage weight", source=SOURCE, gt=1)
    deviation: float = setting(0.2, "the actor's standard deviation", source=SOURCE, gt=0)
    head_weight: float = setting(0.01, "first weight of the advantage head's error, learned", source=SOURCE, gt=0)

    def build(self, state_size: int, action_size: int) -> MetaLearner:
        """Untrained networks."""
        from hyprepro.methods.macaw.learner import MetaLearner

        return MetaLearner(self, state_size, action_size)

    def networks(self, state_size: int, action_size: int) -> tuple[Actor, TransformedMLP]:
        """An untrained actor and value function."""
        from hyprepro.methods.macaw.learner import Actor, TransformedMLP

        actor = Actor(state_size, action_size, self.hidden, self.head, self.code, self.inner_rate, self.head_weight)
        return actor, TransformedMLP((state_size, *self.hidden, 1), self.code, self.inner_rate)

    def optimisers(self, actor: Actor, value: TransformedMLP) -> dict[str, torch.optim.Optimizer]:
        """The Adams of the outer loop."""
        import torch

        def adam(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
            return torch.optim.Adam(parameters, lr=rate, fused=True)

        return {
            "actor": adam(actor.initial(), self.actor_rate),
            "value": adam(value.initial(), self.value_rate),
            "rates": adam([*actor.learned_rates(), *value.learned_rates()], self.rate_rate),
        }


@dataclass(frozen=True)
class TrainMACAW(TrainedStage["MetaLearner"]):
    """Meta-trains MACAW on the episodes of split "train" of the training tasks.

    Attributes:
        model: The networks and how they are meta-trained.
        data: The stores.

    Metrics: `value_loss`, `actor_loss` of the outer loop and `inner_value_loss`, `inner_actor_loss` before the inner
    step. On fixed batches of all training tasks: `validation_value_loss` after the inner step, and the squared
    error of the actor's actions on the experts' episodes before it (`validation_error_before`) and after it
    (`validation_error`).
    """

    kind: ClassVar[str] = "macaw"

    model: AdvantageWeighting
    data: Data

    @property
    def cost(self) -> float:
        """Seconds on one slow core."""
        return 5 + 0.06 * self.model.steps * max(1.0, self.model.code / 100)

    def job(self, inputs: dict[str, Path]) -> Callable[[], MACAWJob]:
        """On the episodes."""
        from hyprepro.methods.macaw.training import MACAWJob
        from hyprepro.stores.episodes import read_episodes

        episodes, experts = (read_episodes(self.data, self.data.trained(), split) for split in ("train", "validation"))
        return partial(MACAWJob, self.model, self.data.domain.sizes, episodes, experts)

    def load(self, path: Path) -> MetaLearner:
        """The meta-trained networks in evaluation mode, not frozen: the inner loop differentiates them."""
        return super().load(path).requires_grad_()


@component
class MACAW(Method):
    """MACAW: the meta-trained actor after one gradient step on offline transitions of the test velocity."""

    label: ClassVar[str] = "macaw-0"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "{batch} transitions of an offline buffer of the test {told}, with their rewards"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})
    rewarded: ClassVar[bool] = True
    needs: ClassVar[str] = "it learns from episodes of equal length that are scored by their return"

    learner: AdvantageWeighting = setting(AdvantageWeighting(), "the networks and how they are meta-trained")
    adaptations: int = setting(5, "number of actors, each adapted on other transitions", ge=1)
    adapt: bool = setting(True, "take the inner step; without it the actor knows nothing of the velocity")

    def information(self, domain: Domain) -> str:
        """With the size of the batch."""
        if not self.adapt:
            return "nothing"
        return super().information(domain).replace("{batch}", str(self.learner.batch_size))

    def training(self, data: Data, seed: int) -> TrainMACAW:
        """The meta-trained networks; all rows share them."""
        return TrainMACAW(self.learner, data, seed=seed)

    def deploy(self, trained: MetaLearner, data: Data, query: Query, seed: int) -> Controllers:
        """The adapted actors.

        Raises:
            UserError: The test velocity has no offline buffer, or one smaller than a batch.
        """
        from hyprepro.engine.training import seeded
        from hyprepro.methods.macaw.training import Buffer, gathered
        from hyprepro.stores.episodes import read_buffer

        actor, value = trained.actor.weights(self.adaptations), trained.value.weights(self.adaptations)
        with seeded(derived_seed(seed, query.task)):
            if self.adapt:
                buffer = Buffer.of(read_buffer(data, query.task), self.learner)
                rows = [buffer.rows(self.learner.batch_size) for _ in range(self.adaptations)]
                adapted = trained.adapt(gathered([buffer] * self.adaptations, rows))
                actor, value = adapted.actor, adapted.value
            actor = self.tuned(trained, actor, value, data.domain, query.task)
        weights = [part.detach() for part in actor]
        return OwnControllers(self.adaptations, partial(ActorSession, trained.actor, weights))

    def tuned(self, model: MetaLearner, actor: Weights, value: Weights, domain: Domain, task: str) -> Weights:
        """The actors' weights after what follows the offline step: nothing."""
        return actor


@component
class MACAWOnline(MACAW):
    """MACAW, fine-tuned in the environment at the test velocity after the offline step.

    As in the released code: an episode of the actor with its noise goes into a buffer of its own; from episode
    `burn_in` on, each is followed by `value_updates` steps of the value function and `actor_updates` of the actor. We
    chose: to fine-tune the adapted layers' weights themselves, with a step size of their own, where the released code
    goes on with the codes and maps that they come from, a hundred times as many numbers.
    """

    label: ClassVar[str] = "macaw-20k"

    adaptations: int = setting(1, "number of actors, each adapted on other transitions", source=SOURCE, ge=1)
    environment_steps: int = setting(
        20_000, "steps of the environment at the test velocity, for each actor", source="paper, Table 4", ge=0
    )
    burn_in: int = setting(25, "episodes collected before the first update", source=SOURCE, ge=0)
    value_updates: int = setting(100, "steps of the value function after an episode", source=SOURCE, ge=0)
    actor_updates: int = setting(200, "steps of the actor after an episode", source=SOURCE, ge=0)
    tuning_rate: float = setting(1e-4, "Adam's step size in fine-tuning", gt=0)

    def information(self, domain: Domain) -> str:
        """With the steps in the environment."""
        return f"{super().information(domain)}; {self.environment_steps:,} steps of the environment at it"

    def tuned(self, model: MetaLearner, actor: Weights, value: Weights, domain: Domain, task: str) -> Weights:
        """The actors' weights after fine-tuning."""
        from hyprepro.methods.macaw.training import fine_tuned

        return fine_tuned(self, model, actor, value, domain, task)


class ActorSession:
    """Parallel episodes of actors with weights of their own, by their deterministic mean action.

    Args:
        actor: The network.
        weights: One flat vector a layer and controller.
        slots: Number of episodes.
    """

    def __init__(self, actor: Actor, weights: Weights, slots: int) -> None:
        self._actor = actor
        self._weights = weights
        self._chosen = [part[:1].repeat(slots, *[1] * (part.ndim - 1)) for part in weights]

    def assign(self, slot: int, row: int) -> None:
        """An episode begins."""
        for chosen, part in zip(self._chosen, self._weights, strict=True):
            chosen[slot] = part[row]

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean actions."""
        import torch

        states = torch.from_numpy(observations).to(self._chosen[0].device)
        with torch.no_grad():
            actions: NDArray[np.float32] = self._actor.mean(self._chosen, states[:, None])[:, 0].cpu().numpy()
        return actions

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """Nothing is remembered."""

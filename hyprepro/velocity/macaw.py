"""MACAW (Mitchell et al. 2021) in Table 4: adapts to the test velocity by one gradient step on a few transitions of it.

The paper prints MACAW "(Iter. 0)" and "(Iter. 20K)" and does not say what is counted. It cannot be meta-training: an
untrained actor stands still, which costs 1.17 m/s x 200 = -234 on the five test velocities, half of the -121.6 that is
printed; whoever runs at their median whatever the velocity loses -120, so -121.6 is a meta-trained actor that does not
know the velocity. What counts steps at test time in MACAW's released code is its online fine-tuning, on Cheetah-Vel
from transitions of an untrained policy, from which no velocity can be told. We read: 0 and 20,000 steps of the
environment at the test velocity after the offline step. Ours takes that step on the test velocity's offline buffer, as
MACAW's main experiment does, so our row at 0 knows more than the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hyprepro.models.macaw import SOURCE, AdvantageWeighting
from hyprepro.recipe import component, setting
from hyprepro.stages.macaw import TrainMACAW
from hyprepro.velocity.base import VelocityMethod
from hyprepro.velocity.seeds import derived_seed

if TYPE_CHECKING:
    from hyprepro.models.networks.advantage_weighting import MetaLearner
    from hyprepro.models.networks.macaw import Actor, Weights
    from hyprepro.velocity.data import VelocityFiles


@component
class MACAW(VelocityMethod):
    """MACAW: the meta-trained actor after one gradient step on offline transitions of the test velocity."""

    label: ClassVar[str] = "macaw-0"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "{batch} transitions of an offline buffer of the test velocity, with their rewards"

    learner: AdvantageWeighting = setting(AdvantageWeighting(), "the networks and how they are meta-trained")
    adaptations: int = setting(5, "number of actors, each adapted on other transitions", ge=1)
    adapt: bool = setting(True, "take the inner step; without it the actor knows nothing of the velocity")

    @property
    def information(self) -> str:
        """With the size of the batch."""
        return self.knows.format(batch=self.learner.batch_size) if self.adapt else "nothing"

    def training(self, data: VelocityFiles, velocities: tuple[float, ...], seed: int) -> TrainMACAW:
        """The meta-trained networks; all rows share them."""
        return TrainMACAW(self.learner, data.trajectories, velocities, seed)

    def deploy(
        self,
        trained: MetaLearner,
        data: VelocityFiles,
        velocities: tuple[float, ...],
        target: float,
        seed: int,
    ) -> AdaptedActors:
        """The adapted actors.

        Raises:
            UserError: The test velocity has no offline buffer, or one smaller than a batch.
        """
        from hyprepro.stages.macaw_job import Buffer, gathered
        from hyprepro.stages.training import seeded
        from hyprepro.velocity.episodes import read_buffer

        actor, value = trained.actor.weights(self.adaptations), trained.value.weights(self.adaptations)
        with seeded(derived_seed(seed, target)):
            if self.adapt:
                buffer = Buffer.of(read_buffer(data.trajectories, target), self.learner)
                rows = [buffer.rows(self.learner.batch_size) for _ in range(self.adaptations)]
                adapted = trained.adapt(gathered([buffer] * self.adaptations, rows))
                actor, value = adapted.actor, adapted.value
            actor = self.tuned(trained, actor, value, target)
        return AdaptedActors(trained.actor, [part.detach() for part in actor])

    def tuned(self, model: MetaLearner, actor: Weights, value: Weights, target: float) -> Weights:
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

    @property
    def information(self) -> str:
        """With the steps in the environment."""
        return f"{super().information}; {self.environment_steps:,} steps of the environment at it"

    def tuned(self, model: MetaLearner, actor: Weights, value: Weights, target: float) -> Weights:
        """The actors' weights after fine-tuning."""
        from hyprepro.velocity.macaw_online import fine_tuned

        return fine_tuned(self, model, actor, value, target)


class AdaptedActors:
    """Controllers that are actors with weights of their own: the deterministic mean action.

    Args:
        actor: The network.
        weights: One flat vector a layer and controller.
    """

    def __init__(self, actor: Actor, weights: Weights) -> None:
        self._actor = actor
        self._weights = weights

    @property
    def n(self) -> int:
        """Number of actors."""
        return len(self._weights[0])

    def start(self) -> ActorSession:
        """A session without memory."""
        return ActorSession(self._actor, self._weights)


class ActorSession:
    """Parallel episodes of `AdaptedActors`."""

    def __init__(self, actor: Actor, weights: Weights) -> None:
        self._actor = actor
        self._weights = weights

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Episodes begin."""
        self._chosen = [part[rows] for part in self._weights]

    def act(self, observations: NDArray[np.float64]) -> NDArray[np.float32]:
        """The mean actions."""
        import torch

        states = torch.from_numpy(observations.astype(np.float32)).to(self._chosen[0].device)
        with torch.no_grad():
            actions: NDArray[np.float32] = self._actor.mean(self._chosen, states[:, None])[:, 0].cpu().numpy()
        return actions

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """Nothing is remembered."""

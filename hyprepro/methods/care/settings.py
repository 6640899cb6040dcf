"""CARE's settings: its networks, and how multi-task SAC trains them (Sodhani et al. 2021)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from hyprepro.collect.sac.settings import SACSettings
from hyprepro.component import Component, Width, component, setting
from hyprepro.policies.layout import METAWORLD_LAYOUT

if TYPE_CHECKING:
    from hyprepro.methods.care.network import CareActor, CareCritic

_CODE = "CARE's code"


@component
class CareNetwork(Component):
    """A mixture of encoders, weighted by the task's description; actor and critics on what it yields."""

    slot = "care_network"

    experts: Width = setting(6, "encoders in the mixture (k)", source="CARE, for ten tasks")
    expert_hidden: Width = setting(50, "width of an encoder's hidden layer", source=_CODE)
    features: Width = setting(50, "numbers that an encoder yields", source=_CODE)
    context_hidden: tuple[Width, ...] = setting(
        (100, 50, 50), "hidden widths from the description's vector to the context", source=_CODE
    )
    context: Width = setting(50, "numbers that a description becomes", source=_CODE)
    attention_hidden: tuple[Width, ...] = setting((50,), "hidden widths from the context to the encoders' weights")
    hidden: tuple[Width, ...] = setting((256, 256), "hidden widths of actor and critics (published: three of 400)")
    tied: bool = setting(
        False, "the actor uses the critics' encoders and context as they are (published) instead of its own"
    )

    def build(self, embedding_size: int) -> tuple[CareActor, CareCritic]:
        """Untrained networks for descriptions of `embedding_size` numbers."""
        from hyprepro.methods.care.network import CareActor, CareCritic, Encoder

        def encoder() -> Encoder:
            return Encoder(
                METAWORLD_LAYOUT.observation_size,
                embedding_size,
                self.experts,
                self.expert_hidden,
                self.features,
                (*self.context_hidden, self.context),
            )

        size, actions = self.features + self.context, METAWORLD_LAYOUT.action_size
        gates = [(self.context, *self.attention_hidden, self.experts) for _ in range(2)]
        return (
            CareActor(encoder(), gates[0], (size, *self.hidden, 2 * actions)),
            CareCritic(encoder(), gates[1], (size + actions, *self.hidden, 1)),
        )


@component
class CareTraining(Component):
    """How long CARE trains and on what.

    Paper (CARE) says: 2 million environment steps a task from random weights. We chose, for two cores: the route
    "demonstrations", which is how the experts in our stores are made: metaworld's scripted experts give the first
    episodes and label every state that is visited later, and the actor's loss has a cloning term besides SAC's.
    """

    slot = "care_training"

    route: Literal["demonstrations", "scratch"] = setting(
        "demonstrations", "scripted experts begin and label every state; or random weights and rewards alone"
    )
    sac: SACSettings = setting(
        SACSettings(normalise_q=True, cloning_weight=5.0, initial_temperature=0.05, learning_rate=1e-3, batch_size=32),
        "the algorithm's hyperparameters; the batch is that of one task",
    )
    updates: int = setting(3000, "gradient steps", ge=1)
    critic_updates: int = setting(0, "of these, first steps that train the critics alone", ge=0)
    updates_per_step: float = setting(0.5, "gradient steps an environment step of all tasks", gt=0, le=1)
    first_steps: int = setting(
        1500, "environment steps a task before the first gradient step", source="CARE's code (there at random)", ge=1
    )
    first_noise: float = setting(
        0.2, "deviation of the noise on the scripted experts' actions in every other first episode", ge=0
    )
    episode_steps: int = setting(150, "length of a training episode, in steps", ge=1, le=500)
    replay: int = setting(20_000, "transitions remembered a task", ge=1)
    smallest_scale: float = setting(0.05, "floor of the deviation that observations are divided by, in metres", gt=0)
    score_every: int = setting(500, "gradient steps between points of the learning curve", ge=1)
    score_goals: int = setting(5, "episodes a task and point of the learning curve", ge=0)

    @model_validator(mode="after")
    def _routes_exclude(self) -> CareTraining:
        if self.route == "scratch" and self.sac.cloning_weight:
            raise ValueError("the route 'scratch' has nothing to clone: bind SACSettings.cloning_weight = 0.0")
        return self

    @property
    def steps(self) -> int:
        """Environment steps a task in whole episodes, first ones included, scoring not."""
        wanted = self.first_steps + math.ceil(self.updates / self.updates_per_step)
        return self.episode_steps * math.ceil(wanted / self.episode_steps)

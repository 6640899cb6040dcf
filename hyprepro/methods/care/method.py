"""CARE: one policy for all tasks, which is told the task in words, on unseen tasks too (Sodhani et al. 2021).

The method, its networks' settings, and how multi-task SAC trains them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from hyprepro.collect.sac.settings import SACSettings
from hyprepro.component import Component, Width, component, setting
from hyprepro.methods.base import Method
from hyprepro.methods.care.text import TaskDescriptions
from hyprepro.policies.layout import METAWORLD_LAYOUT

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.methods.care.network import CareActor, CareCritic
    from hyprepro.methods.care.training import CarePolicy, TrainCare
    from hyprepro.policies.controllers import Controllers


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


@component
class Care(Method):
    """Multi-task SAC with a mixture of encoders, attended to by the task's description.

    Paper states no protocol. We chose: trained on the seen tasks, by its own environment steps; an unseen task is met
    zero-shot, through its description. It does not see the prompt, so all policies of a task are one.
    """

    label: ClassVar[str] = "care"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "a sentence that describes the task, and no prompt"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})
    needs: ClassVar[str] = "it reads sentences that describe Meta-World's tasks"

    network: CareNetwork = setting(CareNetwork(), "the networks")
    care: CareTraining = setting(CareTraining(), "how they are trained")
    descriptions: TaskDescriptions = setting(TaskDescriptions(), "the tasks in words, and the sentence encoder")

    def information(self, domain: Domain) -> str:
        """What it is given at test time, and what it was trained with."""
        steps = f"{self.care.steps:,} environment steps a seen task (published: 2,000,000)"
        if self.care.route == "scratch":
            return f"{self.knows}; trained with rewards in {steps}"
        return (
            f"{self.knows}; trained with rewards in {steps}, the first {self.care.first_steps:,} of metaworld's "
            "scripted experts, who say in all of them what they would do (demonstrations)"
        )

    @property
    def uses(self) -> str:
        """The same in a few words."""
        taught = ", demonstrations" if self.care.route == "demonstrations" else ""
        return f"text, {self.care.steps:,} steps a task{taught}"

    def training(self, data: Data, seed: int) -> TrainCare:
        """Multi-task SAC on the training tasks (`UserError` if the descriptions cannot be read)."""
        from hyprepro.methods.care.text import EmbedDescriptions
        from hyprepro.methods.care.training import TrainCare

        texts = EmbedDescriptions(self.descriptions.sentences(), self.descriptions.encoder)
        return TrainCare(texts, self.network, self.care, data.files, seed)

    def deploy(self, trained: CarePolicy, data: Data, query: Query, seed: int) -> Controllers:
        """The policy of the task (`UserError` if it has no description)."""
        from hyprepro.policies.controllers import LayeredControllers

        return LayeredControllers(trained.layers(query.task), query.n)

"""Multi-task SAC: one policy for all tasks, trained in all of them at once; which task it is in, it must be told.

`MultiTask` is what CARE and the field beside it share: the stage that trains, and what each row is told. In
`MultiTaskSAC` the networks and how the tasks' gradients become one are slots: MOORE, PaCo and Soft-Modularization are
architectures, PCGrad and CAGrad gradients.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import model_validator

from hyprepro.collect.sac.settings import SACSettings
from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError
from hyprepro.methods.base import Method
from hyprepro.methods.multitask.architecture import Architecture
from hyprepro.methods.multitask.gradients import Gradient, SummedGradient
from hyprepro.methods.multitask.plain import PlainNetwork
from hyprepro.methods.multitask.text import EmbedDescriptions, TaskDescriptions, require

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.methods.multitask.session import MultiTaskPolicy
    from hyprepro.methods.multitask.training import TrainMultiTask
    from hyprepro.policies.controllers import Controllers


@component
class MultiTaskTraining(Component):
    """How long multi-task SAC trains and on what.

    Published: 2 million environment steps a task from random weights (PaCo's configuration: 5 million). We chose, for
    two cores: the route "demonstrations", which is how the experts in our stores are made: metaworld's scripted experts
    give the first episodes and label every state that is visited later, and the actor's loss has a cloning term besides
    SAC's. So there the gradients that PCGrad and CAGrad mix hold that of cloning.
    On either route observations are scaled by what the stored experts' prompts show; published code takes them as
    they come.
    """

    slot = "multitask_training"

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
    score_goals: int = setting(5, "episodes a task and point of the learning curve", ge=1)

    @model_validator(mode="after")
    def _routes_exclude(self) -> MultiTaskTraining:
        if self.route == "scratch" and self.sac.cloning_weight:
            raise ValueError("the route 'scratch' has nothing to clone: bind SACSettings.cloning_weight = 0.0")
        return self

    @property
    def steps(self) -> int:
        """Environment steps a task in whole episodes, first ones included, scoring not."""
        wanted = self.first_steps + math.ceil(self.updates / self.updates_per_step)
        return self.episode_steps * math.ceil(wanted / self.episode_steps)

    @property
    def scored_steps(self) -> int:
        """Environment steps a task that the points of the learning curve take."""
        return math.ceil(self.updates / self.score_every) * self.score_goals * self.episode_steps


class Learning(NamedTuple):
    """What is trained, and how.

    Attributes:
        architecture: The networks.
        training: Schedule and hyperparameters.
        gradient: How the tasks' gradients become one.
        balanced: Whether a task's losses are weighed by its temperature.
        descriptions: The sentences that tell the tasks; None: labels do.
    """

    architecture: Architecture
    training: MultiTaskTraining
    gradient: Gradient
    balanced: bool
    descriptions: TaskDescriptions | None


class MultiTask(Method):
    """One policy for all tasks: how it is trained, deployed, and what it cannot do.

    A label is a number among the training tasks: no other task has one.
    """

    seeded: ClassVar[bool] = True
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt"})
    needs: ClassVar[str] = "it is trained in Meta-World's environments"
    SENTENCE: ClassVar[str] = "a sentence that describes the task, and no prompt"
    LABEL: ClassVar[str] = "which of the training tasks it is (a label), and no prompt"

    @property
    @abstractmethod
    def learning(self) -> Learning:
        """What is trained, and how."""

    def check(self) -> None:
        """Networks with parameters for every training task can be told a task by its label alone (`UserError`)."""
        learning = self.learning
        if learning.descriptions is not None and learning.architecture.needs_label:
            kind = type(learning.architecture).__name__
            raise UserError(
                f"{kind} has parameters for every single training task; a sentence cannot tell it which are a new "
                "task's.",
                where=f"{type(self).__name__}.descriptions",
                fix=f"bind {type(self).__name__}.descriptions = None, or another architecture",
            )

    def information(self, domain: Domain) -> str:
        """What it is given at test time, and what it was trained with."""
        training = self.learning.training
        told = self.LABEL if self.learning.descriptions is None else self.SENTENCE
        steps = f"{training.steps:,} environment steps a seen task (published: 2,000,000)"
        if training.route == "scratch":
            return f"{told}; trained with rewards in {steps}"
        return (
            f"{told}; trained with rewards in {steps}, the first {training.first_steps:,} of metaworld's "
            "scripted experts, who say in all of them what they would do (demonstrations)"
        )

    @property
    def uses(self) -> str:
        """The same in a few words."""
        training = self.learning.training
        told = "task label" if self.learning.descriptions is None else "text"
        taught = ", demonstrations" if training.route == "demonstrations" else ""
        return f"{told}, {training.steps:,} steps a task{taught}"

    def refusal(self, data: Data, task: str) -> str:
        """A label tells the training tasks alone, a sentence those that are described."""
        described = self.learning.descriptions
        if described is not None:
            is_told = task in dict(described.sentences())
            return "" if is_told else "it is told a task by a sentence, and its descriptions have none of these"
        if task in data.for_training.trained():
            return ""
        return "it is told a task by its label among those that it was trained on, and these have none"

    def training(self, data: Data, seed: int) -> TrainMultiTask:
        """Multi-task SAC on the training tasks.

        Raises:
            UserError: The descriptions cannot be read or lack a training task, or gradients of a single task are to be
                mixed.
        """
        from hyprepro.methods.multitask.training import TrainMultiTask

        learning, tasks = self.learning, tuple(data.trained())
        if learning.gradient.mixes and len(tasks) < 2:
            raise UserError(
                f"{type(learning.gradient).__name__} mixes the gradients of several tasks; the only one that is "
                f"trained on is {', '.join(tasks)}.",
                where=f"{type(self).__name__}.gradient",
                fix=f"-b '{type(self).__name__}.gradient=@SummedGradient()', or train on more tasks",
            )
        described, texts = learning.descriptions, None
        if described is not None:
            texts = EmbedDescriptions(described.sentences(), described.encoder)
            for task in tasks:
                require(dict(texts.sentences), task)
        return TrainMultiTask(
            learning.architecture, learning.gradient, learning.balanced, learning.training, texts, data.files, seed
        )

    def deploy(self, trained: MultiTaskPolicy, data: Data, query: Query, seed: int) -> Controllers:
        """The policy of the task (`UserError` if it cannot be told the task)."""
        return trained.controllers(query.task, query.n)


@component
class MultiTaskSAC(MultiTask):
    """Multi-task SAC with a temperature a task; its architecture and its gradient are slots.

    Paper names MOORE, PaCo, Soft-Modularization, PCGrad and CAGrad and has no row of them. We chose CARE's protocol:
    trained on the seen tasks, by its own environment steps. It does not see the prompt, so all policies of a task are
    one. A time limit is no terminal state, as in Meta-World+'s code since its fix.
    """

    label: ClassVar[str] = "mt-sac"
    knows: ClassVar[str] = MultiTask.LABEL

    architecture: Architecture = setting(PlainNetwork(), "what the tasks share")
    gradient: Gradient = setting(SummedGradient(), "how the tasks' gradients of what they share become one")
    schedule: MultiTaskTraining = setting(MultiTaskTraining(), "how long it trains and on what")
    balanced: bool = setting(
        False, "a task's losses weigh A softmax(-log temperature), as in Soft-Modularization's code and Meta-World+'s"
    )
    descriptions: TaskDescriptions | None = setting(
        None, "sentences that tell the tasks instead of labels, new ones too, where the architecture can read them"
    )

    @property
    def name(self) -> str:
        """The row's name: what the field calls the architecture, or the gradient on the plain one."""
        return self.row or self.architecture.named(self.gradient.title).lower()

    @property
    def learning(self) -> Learning:
        return Learning(self.architecture, self.schedule, self.gradient, self.balanced, self.descriptions)

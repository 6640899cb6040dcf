"""CARE: one policy for all tasks, which is told the task in words, on unseen tasks too (Sodhani et al. 2021).

Multi-task SAC with networks of its own; see `hyprepro/methods/multitask`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import Width, component, setting
from hyprepro.methods.multitask.architecture import Architecture, Sizes
from hyprepro.methods.multitask.gradients import SummedGradient
from hyprepro.methods.multitask.method import Learning, MultiTask, MultiTaskTraining
from hyprepro.methods.multitask.text import TaskDescriptions

if TYPE_CHECKING:
    from hyprepro.methods.care.network import CareActor, CareCritic


_CODE = "CARE's code"


@component
class CareNetwork(Architecture):
    """A mixture of encoders, weighted by the task's description; actor and critics on what it yields."""

    slot = "care_network"
    title: ClassVar[str] = "CARE"

    experts: Width = setting(6, "encoders in the mixture (k)", source="CARE, for ten tasks")
    expert_hidden: Width = setting(50, "width of an encoder's hidden layer", source=_CODE)
    features: Width = setting(50, "numbers that an encoder yields", source=_CODE)
    context_hidden: tuple[Width, ...] = setting(
        (100, 50, 50),
        "hidden widths from the description's vector to the context (CARE's code: one layer of 50 more)",
        source=_CODE,
    )
    context: Width = setting(50, "numbers that a description becomes", source=_CODE)
    attention_hidden: tuple[Width, ...] = setting(
        (50,), "hidden widths from the context to the encoders' weights (CARE's code: two of 50)"
    )
    hidden: tuple[Width, ...] = setting((256, 256), "hidden widths of actor and critics (published: three of 400)")
    tied: bool = setting(
        False, "the actor uses the critics' encoders and context as they are (published) instead of its own"
    )

    @property
    def units(self) -> int:
        return sum(self.hidden)

    @property
    def tied_part(self) -> str:
        return "encoder." if self.tied else ""

    def build(self, sizes: Sizes) -> tuple[CareActor, CareCritic]:
        """Untrained networks; what tells a task is the vector of its description."""
        from hyprepro.methods.care.network import CareActor, CareCritic, Encoder

        def encoder() -> Encoder:
            return Encoder(
                sizes.observation,
                sizes.told,
                self.experts,
                self.expert_hidden,
                self.features,
                (*self.context_hidden, self.context),
            )

        size = self.features + self.context
        gates = [(self.context, *self.attention_hidden, self.experts) for _ in range(2)]
        return (
            CareActor(encoder(), gates[0], (size, *self.hidden, 2 * sizes.action)),
            CareCritic(encoder(), gates[1], (size + sizes.action, *self.hidden, 1)),
        )


@component
class CareTraining(MultiTaskTraining):
    """How long CARE trains and on what: as all of multi-task SAC (`MultiTaskTraining`)."""

    slot = "care_training"


@component
class Care(MultiTask):
    """Multi-task SAC with a mixture of encoders, attended to by the task's description.

    Paper states no protocol. We chose: trained on the seen tasks, by its own environment steps; an unseen task is met
    zero-shot, through its description. It does not see the prompt, so all policies of a task are one.
    """

    label: ClassVar[str] = "care"
    knows: ClassVar[str] = MultiTask.SENTENCE
    needs: ClassVar[str] = "it reads sentences that describe Meta-World's tasks"

    network: CareNetwork = setting(CareNetwork(), "the networks")
    care: CareTraining = setting(CareTraining(), "how they are trained")
    descriptions: TaskDescriptions = setting(TaskDescriptions(), "the tasks in words, and the sentence encoder")

    @property
    def learning(self) -> Learning:
        return Learning(self.network, self.care, SummedGradient(), False, self.descriptions)

"""CARE: one policy for all tasks, which is told the task in words, on unseen tasks too (Sodhani et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import component, setting
from hyprepro.methods.base import Method
from hyprepro.methods.care.settings import CareNetwork, CareTraining
from hyprepro.methods.care.text import TaskDescriptions

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.methods.care.training import CarePolicy, TrainCare
    from hyprepro.policies.controllers import Controllers


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

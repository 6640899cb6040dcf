"""Controls: what stands in the place of the prompt, or of the generated policy, to tell what a method learned from it.

What a method still reaches with another task's prompt, a shuffled prompt or noise, it did not learn from the prompt.
What a noisy copy of a training policy or an average of several reaches at the same distance, needs no generator.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hyprepro.component import Component, component, setting
from hyprepro.errors import UserError
from hyprepro.methods.base import draw_seed

if TYPE_CHECKING:
    from torch import Tensor

    from hyprepro.domains.base import Data, Query
    from hyprepro.experiments.known import Known
    from hyprepro.policies.controllers import Controllers


class Control(Component, ABC):
    """Slot of a control.

    Subclasses declare:
        label: Its name in records.
        title: What it is, in a few words.
        copies: Whether it needs the training policies.
    """

    slot: ClassVar[str] = "control"
    label: ClassVar[str] = ""
    title: ClassVar[str] = ""
    copies: ClassVar[bool] = False

    def for_task(self, task: str, tasks: Sequence[str]) -> Control:
        """The control for one of a recipe's tasks (`UserError` if there is none)."""
        return self

    def shown(self, query: Query, data: Data, split: str) -> Query:
        """What the method is asked, in the place of a query whose prompts are of a split."""
        return query

    def acting(self, controllers: Controllers, method: str, query: Query, known: Known | None) -> Controllers:
        """What acts, in the place of what the method yields."""
        return controllers


@component
class OtherTask(Control):
    """The prompts of another task: of the recipe's next one, unless it is named."""

    label: ClassVar[str] = "other-task"
    title: ClassVar[str] = "another task's prompt"

    task: str = setting("", "whose prompts; empty: those of the recipe's next task")

    def for_task(self, task: str, tasks: Sequence[str]) -> OtherTask:
        """With the other task's name (`UserError` if there is no other)."""
        order = list(tasks)
        other = self.task or order[(order.index(task) + 1) % len(order)]
        if other == task:
            raise UserError(
                f"The control of another task's prompt has no other task than {task}.",
                where="OtherTask.task, AuditRecipe.seen and .unseen",
                fix="name a second task, or another one by OtherTask.task; or leave this control out of "
                "AuditRecipe.controls",
            )
        return self.model_copy(update={"task": other})

    def shown(self, query: Query, data: Data, split: str) -> Query:
        """As many of the other task's prompts."""
        return query._replace(prompts=data.domain.query(data, self.task, len(query.shown), split).prompts)


@component
class ShuffledPrompt(Control):
    """The prompt's own numbers without their order: its states, and by themselves its actions, each in random order.

    What is left is where the episode went and which actions occurred, not which action belongs to which state. The
    states after success stay.
    """

    label: ClassVar[str] = "shuffled"
    title: ClassVar[str] = "shuffled prompt"

    def shown(self, query: Query, data: Data, split: str) -> Query:
        """Every prompt in an order of its own."""
        prompts, rng = query.shown, np.random.default_rng(draw_seed(0, query.task, self.label))
        states, actions = (np.array(part) for part in (prompts.states, prompts.actions))
        count, blocks, each, size = actions.shape
        actions = actions.reshape(count, blocks * each, size)
        for row in range(count):
            states[row], actions[row] = rng.permutation(states[row]), rng.permutation(actions[row])
        flat = np.concatenate([states, actions.reshape(count, blocks, each * size)], axis=2)
        return query._replace(prompts=replace(prompts, tau=flat.reshape(count, -1)))


@component
class NoisePrompt(Control):
    """Normal noise with the mean and deviation that every number of a prompt has over the training prompts."""

    label: ClassVar[str] = "noise"
    title: ClassVar[str] = "noise for a prompt"

    def shown(self, query: Query, data: Data, split: str) -> Query:
        """Drawn anew for every prompt."""
        from hyprepro.methods.retrieval import training_prompts

        prompts, rng = query.shown, np.random.default_rng(draw_seed(0, query.task, self.label))
        with data.open_policies() as store:
            known = training_prompts(data, store)
        drawn = {}
        for name in ("tau", "tau_hat"):
            every = np.concatenate([getattr(part, name) for part in known])
            noise = rng.standard_normal((len(prompts), every.shape[1]))
            drawn[name] = (every.mean(axis=0) + every.std(axis=0) * noise).astype(np.float32)
        return query._replace(prompts=replace(prompts, tau=drawn["tau"], tau_hat=drawn["tau_hat"]))


@component
class NoisyCopy(Control):
    """The nearest training policy with noise, as far from it as the generated policy is."""

    label: ClassVar[str] = "noisy-copy"
    title: ClassVar[str] = "noisy copy of the nearest training policy"
    copies: ClassVar[bool] = True

    def acting(self, controllers: Controllers, method: str, query: Query, known: Known | None) -> Controllers:
        """Copies in place of the policies (`UserError` if the method writes none)."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        assert known is not None
        params = _params(controllers, method)
        nearest = known.near(params, 1).params[:, 0]
        draws = torch.Generator().manual_seed(draw_seed(0, query.task, self.label))
        noise = torch.randn(params.shape, generator=draws)
        length = (params - nearest).norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
        return PolicyControllers(known.layout, nearest + length * noise)


@component
class NeighbourMean(Control):
    """The mean of the nearest training policies, their hidden units matched."""

    label: ClassVar[str] = "neighbours"
    title: ClassVar[str] = "mean of the nearest training policies"
    copies: ClassVar[bool] = True

    neighbours: int = setting(5, "how many are averaged", ge=1, le=100)

    def acting(self, controllers: Controllers, method: str, query: Query, known: Known | None) -> Controllers:
        """Means in place of the policies (`UserError` if the method writes none)."""
        from hyprepro.policies.controllers import PolicyControllers

        assert known is not None
        near = known.near(_params(controllers, method), self.neighbours)
        return PolicyControllers(known.layout, near.params.mean(1))


def _params(controllers: Controllers, method: str) -> Tensor:
    import torch

    from hyprepro.experiments.generated import as_policies

    return torch.from_numpy(np.array(as_policies(controllers, method).params))

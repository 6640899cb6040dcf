"""Slot of what the tasks share: the networks of multi-task SAC, and which of their parameters belong to one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hyprepro.component import Component

if TYPE_CHECKING:
    from hyprepro.methods.multitask.layers import Actor, Critic, Trunk


class Sizes(NamedTuple):
    """What networks are built for.

    Attributes:
        observation: Numbers of an observation.
        action: Components of an action.
        told: Numbers that tell a task: one a training task (a label is one of them 1, the others 0), or a sentence's.
    """

    observation: int
    action: int
    told: int


class Architecture(Component, ABC):
    """How an actor and its critics are one for A tasks.

    Subclasses declare:
        title: What the method is called in the field.
        own: Parts of the networks that hold parameters of one task each: gradients of tasks cannot conflict there.
        needs_label: Whether it has parameters for every single training task, so that no sentence can tell it another.
    """

    slot: ClassVar[str] = "architecture"
    title: ClassVar[str] = ""
    own: ClassVar[tuple[str, ...]] = ()
    needs_label: ClassVar[bool] = False

    @property
    @abstractmethod
    def units(self) -> int:
        """About how many units its layers have one after the other and side by side, for estimates of time."""

    @property
    def tied_part(self) -> str:
        """The part of the actor that is the critics', which it uses without training it; empty: none."""
        return ""

    def named(self, gradient: str) -> str:
        """What the method with this architecture is called, with a gradient of that name; empty: the plain one."""
        return f"{self.title}-{gradient}" if gradient else self.title

    @abstractmethod
    def build(self, sizes: Sizes) -> tuple[Actor, Critic]:
        """Untrained networks."""


class TrunkArchitecture(Architecture):
    """One kind of network for actor and critics: from inputs and what tells the task to outputs."""

    @abstractmethod
    def trunk(self, inputs: int, told: int, outputs: int) -> Trunk:
        """An untrained network of these sizes."""

    def build(self, sizes: Sizes) -> tuple[Actor, Critic]:
        """An actor, and two critics that share nothing."""
        from hyprepro.methods.multitask.layers import TrunkActor, TrunkCritic

        critics = [self.trunk(sizes.observation + sizes.action, sizes.told, 1) for _ in range(2)]
        return TrunkActor(self.trunk(sizes.observation, sizes.told, 2 * sizes.action)), TrunkCritic(critics)

"""Evaluation protocols: which policy runs on which goals.

Success is the success flag true at any step of a 500-step episode of the deterministic policy, under both protocols.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from hyprepro.component import Component, component, setting
from hyprepro.domains.metaworld import tasks as goals
from hyprepro.domains.metaworld.tasks import Goal


class Trial(NamedTuple):
    """One episode to run: which records it belongs to, which policy and which goal."""

    protocol: str
    policy: int
    goal: Goal


class Protocol(Component, ABC):
    """A way to score the `n` policies of a task. `label` is its name in records."""

    slot: ClassVar[str] = "protocol"
    label: ClassVar[str] = ""

    @abstractmethod
    def trials(self, task: str, policies: int) -> list[Trial]:
        """The episodes for policies 0 to `policies` - 1 of a task; no two methods get different ones."""


@component
class PaperProtocol(Protocol):
    """Make-An-Agent's test code, which the paper uses: one frozen goal per environment seed, one episode each.

    Paper says: success over 100 policies. We chose: the seeds of Make-An-Agent's code, since the paper names none. Its
    environments are another Meta-World version, so the two goals of a task are not the very ones it used.
    """

    label: ClassVar[str] = "paper"

    env_seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = setting(
        (720, 920), "Environment seeds; each freezes one goal.", source="Make-An-Agent", min_length=1
    )

    def trials(self, task: str, policies: int) -> list[Trial]:
        """Every policy on every seed's goal."""
        return [Trial(self.label, row, Goal("paper", seed)) for row in range(policies) for seed in self.env_seeds]


@component
class StrictProtocol(Protocol):
    """Fresh goals that were used for nothing else: the number we stand by.

    Policy i of a task meets the same goals whatever method or seed made it, so that methods can be compared in pairs.
    """

    label: ClassVar[str] = "strict"

    goals_per_policy: int = setting(1, "Test goals for each policy; no two policies share one.", ge=1, le=100)
    base_seed: int = setting(0, "Another number gives other goals.", ge=0)

    def trials(self, task: str, policies: int) -> list[Trial]:
        """Each policy on its own test goals."""
        each = self.goals_per_policy
        return [
            Trial(self.label, row, goals.fresh_goal(goals.STRICT, self.base_seed, task, row * each + number))
            for row in range(policies)
            for number in range(each)
        ]


@component
class ValidationProtocol(Protocol):
    """Goals apart from all test goals, the same for all policies of a task: top-k is picked on them.

    Its records have no rows of their own: they rank the policies that the strict protocol scores.
    """

    label: ClassVar[str] = "validation"

    goals: int = setting(2, "Validation goals of a task.", ge=1, le=100)
    base_seed: int = setting(0, "Another number gives other goals.", ge=0)

    def trials(self, task: str, policies: int) -> list[Trial]:
        """Every policy on every validation goal."""
        return [
            Trial(self.label, row, goals.fresh_goal(goals.VALIDATION, self.base_seed, task, number))
            for row in range(policies)
            for number in range(self.goals)
        ]

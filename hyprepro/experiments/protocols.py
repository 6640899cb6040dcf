"""Evaluation protocols: which policy runs from which starts, in any domain.

What an episode is scored by, and how long it is, is the domain's: its metric and horizon.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from hyprepro.component import Component, component, setting
from hyprepro.domains.base import Domain, Start, Use


class Trial(NamedTuple):
    """One episode to run: which records it belongs to, which policy and which start."""

    protocol: str
    policy: int
    start: Start


class Protocol(Component, ABC):
    """A way to score the `n` policies of a task.

    Subclasses declare:
        label: Its name in records.
        starts_of: The kind of start that it runs from, which the domain must be able to draw.
        whole: Whether episodes go on after a success, and count where it still holds at their last step.
    """

    slot: ClassVar[str] = "protocol"
    label: ClassVar[str] = ""
    starts_of: ClassVar[str] = "fresh"
    whole: ClassVar[bool] = False

    @property
    @abstractmethod
    def episodes(self) -> int:
        """How many episodes each policy runs."""

    @abstractmethod
    def trials(self, domain: Domain, task: str, policies: int, use: Use = "test") -> list[Trial]:
        """The episodes for policies 0 to `policies` - 1 of a task; no two methods get different ones.

        Args:
            domain: What the task is of.
            task: The task.
            policies: How many policies.
            use: "validation" for a task that settings are chosen by; protocols whose starts are their own ignore it.
        """


@component
class PaperProtocol(Protocol):
    """Make-An-Agent's test code, which the paper uses: one frozen goal per environment seed, one episode each.

    Paper says: success over 100 policies. We chose: the seeds of Make-An-Agent's code, since the paper names none. Its
    environments are another Meta-World version, so the two goals of a task are not the very ones it used.
    """

    label: ClassVar[str] = "paper"
    starts_of: ClassVar[str] = "paper"

    env_seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = setting(
        (720, 920), "Environment seeds; each freezes one goal.", source="Make-An-Agent", min_length=1
    )

    @property
    def episodes(self) -> int:
        """One on each seed's goal."""
        return len(self.env_seeds)

    def trials(self, domain: Domain, task: str, policies: int, use: Use = "test") -> list[Trial]:
        """Every policy on every seed's goal."""
        return [Trial(self.label, row, Start("paper", seed)) for row in range(policies) for seed in self.env_seeds]


@component
class StrictProtocol(Protocol):
    """Fresh goals that were used for nothing else: the number we stand by.

    Policy i of a task meets the same goals whatever method or seed made it, so that methods can be compared in pairs.
    """

    label: ClassVar[str] = "strict"

    goals_per_policy: int = setting(1, "Test goals for each policy; no two policies share one.", ge=1, le=100)
    base_seed: int = setting(0, "Another number gives other goals.", ge=0)

    @property
    def episodes(self) -> int:
        """One on each of its own goals."""
        return self.goals_per_policy

    def trials(self, domain: Domain, task: str, policies: int, use: Use = "test") -> list[Trial]:
        """Each policy on its own test goals."""
        each = self.goals_per_policy
        return [
            Trial(self.label, row, domain.start("test", self.base_seed, task, row * each + number))
            for row in range(policies)
            for number in range(each)
        ]


@component
class HeldProtocol(StrictProtocol):
    """The strict protocol's episodes to their last step: the share whose success flag is true at that very step.

    Metaworld's measure, Make-An-Agent's and so the paper's is success at any step. It flatters: many a success is lost
    again. Bind it beside the strict protocol to see both; its episodes are all of full length, and so cost more.
    """

    label: ClassVar[str] = "held"
    whole: ClassVar[bool] = True


@component
class ValidationProtocol(Protocol):
    """Goals apart from all test goals, the same for all policies of a task: top-k is picked on them.

    Its records have no rows of their own: they rank the policies that the strict protocol scores.
    """

    label: ClassVar[str] = "validation"

    goals: int = setting(2, "Validation goals of a task.", ge=1, le=100)
    base_seed: int = setting(0, "Another number gives other goals.", ge=0)

    @property
    def episodes(self) -> int:
        """One on each of the common goals."""
        return self.goals

    def trials(self, domain: Domain, task: str, policies: int, use: Use = "test") -> list[Trial]:
        """Every policy on every validation goal."""
        return [
            Trial(self.label, row, domain.start("validation", self.base_seed, task, number))
            for row in range(policies)
            for number in range(self.goals)
        ]


@component
class CommonStarts(Protocol):
    """Every policy from the same starts, the same for every method: what a table of returns is scored by.

    Undiscounted returns of whole episodes from fresh starts, as MACAW, Prompt-DT and the paper score them.
    """

    label: ClassVar[str] = "paper"

    starts: int = setting(10, "Starts of each policy of a task, the same for all.", ge=1, le=1000)
    base_seed: int = setting(0, "Another number gives other starts.", ge=0)

    @property
    def episodes(self) -> int:
        """One from each of the common starts."""
        return self.starts

    def trials(self, domain: Domain, task: str, policies: int, use: Use = "test") -> list[Trial]:
        """Every policy from every start; those of tasks that settings are chosen by are apart from all others."""
        starts = [domain.start(use, self.base_seed, task, number) for number in range(self.starts)]
        return [Trial(self.label, row, start) for row in range(policies) for start in starts]

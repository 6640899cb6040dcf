"""A domain: which tasks there are, what a method is told of them, where their stores lie and what simulates them.

Nothing outside a domain's own folder knows its name, its sizes or its horizon: recipes, methods and reports ask these
objects. A domain says in one of two ways which task is meant: by prompts, pieces of an expert's episode, or by a
parameter, the numbers that tell its tasks apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

from hyprepro.component import Component
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.stores.files import StoreFiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.prompts import Prompts

Condition = Literal["prompt", "parameter"]


class Metric(NamedTuple):
    """What an episode is scored by.

    Attributes:
        name: Its name in results.
        unit: What a value counts, for the reader.
        ends_episode: Whether an episode ends where it is decided; if not, all of a domain's are equally long.
    """

    name: Literal["success_rate", "return"]
    unit: str
    ends_episode: bool


SUCCESS = Metric("success_rate", "share of episodes in which the success flag is true at some step", True)
RETURN = Metric("return", "undiscounted sum of an episode's rewards", False)


@dataclass(frozen=True)
class Start:
    """How an episode begins: drawn in some way of its domain, from a seed.

    Attributes:
        kind: The way of drawing it; a domain documents its own.
        seed: The seed.
    """

    kind: str
    seed: int

    @property
    def label(self) -> str:
        """The name used in records, such as `paper-720` or `fresh-4000017`."""
        return f"{self.kind}-{self.seed}"


class Query(NamedTuple):
    """What a method is asked: controllers for one task.

    Attributes:
        task: The task's name.
        parameter: The numbers that tell the task from the domain's others; empty where the condition is a prompt.
        prompts: The prompts, one a controller; None where the condition is a parameter.
        n: How many controllers are asked for; 0: as many as the method's own settings say.
    """

    task: str
    parameter: tuple[float, ...] = ()
    prompts: Prompts | None = None
    n: int = 0

    @property
    def shown(self) -> Prompts:
        """The prompts, for methods that serve no domain without them."""
        if self.prompts is None:
            raise TypeError(f"{self.task} is asked for without prompts")
        return self.prompts


@dataclass(frozen=True)
class Data(StoreFiles):
    """What a run reads, as plain data: the stores of a domain.

    Attributes:
        parents: The store of the policies that the experts grew from, one a task, if it is known.
        domain: What the stores are of.
    """

    parents: StoreFile | None = None
    domain: Domain = field(kw_only=True)

    def open_parents(self) -> PolicyStore:
        """The store of the parents' policies.

        Raises:
            UserError: None is bound.
        """
        from hyprepro.stores.policy_store import PolicyStore

        if self.parents is None:
            place = f"{type(self.domain).__name__}.parents"
            raise UserError(
                "The policies of the parent that the experts grew from are not bound.",
                where=place,
                fix=f"bind {place} to their store, or leave out the method that deploys them",
            )
        return PolicyStore.of(self.parents)

    def trained_on(self, tasks: Collection[str]) -> Data:
        """The same with the training policies of all other tasks withheld."""
        with self.open_policies() as store:
            others = tuple(task for task in store.tasks if task not in tasks)
        return replace(self, policies=replace(self.policies, withheld=others))

    def trained(self) -> dict[str, tuple[float, ...]]:
        """The tasks that are trained on, with their parameters, in the store's order.

        Raises:
            UserError: There is none.
        """
        return self._trained

    @cached_property
    def _trained(self) -> dict[str, tuple[float, ...]]:
        from hyprepro.stores.training_data import training_tasks

        with self.open_policies() as store:
            return {task: self.domain.parameter(task) for task in training_tasks(store)}


class Simulator(Protocol):
    """Episodes of one task, one in each of a fixed number of slots. What a slot shows depends on that slot alone."""

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode in a slot; the first observation `[obs]`."""

    def step(self, actions: NDArray[np.float32], active: Collection[int]) -> Step:
        """One step of the active slots for actions `[slots, act]`; rows of the others are ignored."""


class Step(NamedTuple):
    """What a step of a simulator gave; rows of slots that were not active are as they were before.

    Attributes:
        observations: `[slots, obs]`.
        rewards: `[slots]`; None where the domain's metric does not ask for them.
        success: `[slots]`, the success flag; all false where the domain has none.
    """

    observations: NDArray[np.float64]
    rewards: NDArray[np.float64] | None
    success: NDArray[np.bool_]


class Domain(Component, ABC):
    """One domain. A recipe binds one of the components of this slot.

    Subclasses declare:
        label: The domain's name.
        layout: The layout of its policies.
        horizon: Steps of an episode.
        metric: `SUCCESS` or `RETURN`.
        condition: How a method is told the task: "prompt" or "parameter".
        told: The same in this domain's word, for readers: "prompt", "velocity".
        ranges: The least and the largest value of each number of a parameter, which conditions are standardised by.
    """

    slot: ClassVar[str] = "domain"
    label: ClassVar[str] = ""
    layout: ClassVar[PolicyLayout]
    horizon: ClassVar[int]
    metric: ClassVar[Metric]
    condition: ClassVar[Condition]
    told: ClassVar[str] = "prompt"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ()

    @abstractmethod
    def parameter(self, task: str) -> tuple[float, ...]:
        """The numbers that tell a task from the others; empty where the condition is a prompt.

        Raises:
            UserError: The domain has no such task.
        """

    @abstractmethod
    def task_name(self, parameter: tuple[float, ...]) -> str:
        """The name of the task with a parameter.

        Raises:
            UserError: The domain has no such task.
        """

    @abstractmethod
    def query(self, data: StoreFiles, task: str, count: int, split: str) -> Query:
        """What a method is asked for a task.

        Args:
            data: The stores.
            task: The task.
            count: How many prompts, from the first; of no account where the condition is a parameter.
            split: Which prompts: "test" or "validation".

        Raises:
            UserError: The stores have fewer prompts of the task.
        """

    @abstractmethod
    def start(self, use: str, base_seed: int, task: str, index: int) -> Start:
        """The `index`-th start of a task for a use: a function of its arguments alone, the same for every method.

        Args:
            use: "test" or "validation"; no two uses share a start.
            base_seed: Another one gives other starts.
            task: The task, so that tasks do not share starts.
            index: From 0; indices differ, starts differ.
        """

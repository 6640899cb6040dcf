"""A domain: which tasks there are, what a method is told of them, where their stores lie and what simulates them.

Nothing outside a domain's own folder knows its name, its sizes or its horizon: recipes, methods and reports ask these
objects. A domain says in one of two ways which task is meant: by prompts, pieces of an expert's episode, or by a
parameter, the numbers that tell its tasks apart.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from hyprepro.domains.stores import Stores, locate
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError, refuse_unknown
from hyprepro.stores.files import Runs, StoreFiles, TrainingPart

if TYPE_CHECKING:
    import numpy as np
    from gymnasium.envs.registration import EnvSpec
    from numpy.typing import NDArray

    from hyprepro.domains.scenes import Scene, Symmetry
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.prompts import Prompts

Condition = Literal["prompt", "parameter"]
Use = Literal["test", "validation"]
"""What a start is for: scoring, or choosing what is scored."""

_STORE_FIELDS = ("policies", "trajectories", "parents", "randomised", "checked")


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
        randomised: The store of a policy that is one for all tasks, if there is one.
        domain: What the stores are of.
        prompt_runs: Of test prompts, from which runs; None: the only ones that the stores have.
        zoo: What tells it from the others that a recipe compares, in records; of no account in keys.
    """

    parents: StoreFile | None = None
    randomised: StoreFile | None = None
    domain: Domain = field(kw_only=True)
    prompt_runs: Runs | None = field(default=None, kw_only=True)
    zoo: str = field(default="", kw_only=True)

    def open_parents(self, which: Literal["parents", "randomised"] = "parents") -> PolicyStore:
        """The store of the parents' policies, or of the one for all tasks.

        Raises:
            UserError: None is bound.
        """
        from hyprepro.stores.policy_store import PolicyStore

        found: StoreFile | None = getattr(self, which)
        if found is None:
            place = f"{type(self.domain).__name__}.{which}"
            of = "of the parent that the experts grew from" if which == "parents" else "of one policy for all tasks"
            raise UserError(
                f"The policies {of} are not bound.",
                where=place,
                fix=f"bind {place} to their store, or leave out the method that deploys them",
            )
        return PolicyStore.of(found)

    def trained_on(self, tasks: Collection[str]) -> Data:
        """The same with the training policies of all other tasks withheld."""
        with self.open_policies() as store:
            others = tuple(task for task in store.tasks if task not in tasks)
        return replace(self, policies=replace(self.policies, withheld=others))

    @cached_property
    def for_training(self) -> Data:
        """What training may read, and what its stages are kept by: policies and episodes of the training tasks.

        Of the policies those of split "train", of the episodes those of splits "train" and "validation".
        """
        with self.open_policies() as store:
            tasks = tuple(task for task in store.tasks if store.count(task, "train"))
        policies, trajectories = (
            TrainingPart(file.path, file.digest, file.withheld, splits, tasks, file.kept)
            for file, splits in ((self.policies, ("train",)), (self.trajectories, ("train", "validation")))
        )
        no_more: dict[str, Any] = dict.fromkeys(("parents", "randomised", "prompt_runs"))
        return replace(self, policies=policies, trajectories=trajectories, **no_more)

    def prompt_ids(self, task: str, split: str) -> NDArray[np.int64]:
        """Ids of the episodes that the prompts of a task and split are cut from `[k]`.

        Raises:
            UserError: There are none from `prompt_runs`.
        """
        from hyprepro.stores.runs import prompt_ids

        with self.open_policies() as policies, self.open_trajectories() as trajectories:
            return prompt_ids(policies, trajectories, task, split, self.prompt_runs, self.zoo.partition("/")[0])

    def trained(self) -> dict[str, tuple[float, ...]]:
        """The tasks that are trained on, with their parameters, in the store's order.

        Raises:
            UserError: There is none.
        """
        return self._trained

    def described(self) -> dict[str, Any]:
        """What counts in a stage's key: the stores by their content, wherever they lie, and the domain's settings."""
        stores = {name: getattr(self, name) for name in _STORE_FIELDS if name != "checked"}
        domain = {name: value for name, value in self.domain.described().items() if name not in _STORE_FIELDS}
        asked = {"prompt_runs": self.prompt_runs} if self.prompt_runs else {}
        return {"domain": domain, **{name: store.described() for name, store in stores.items() if store}, **asked}

    @cached_property
    def _trained(self) -> dict[str, tuple[float, ...]]:

        with self.open_policies() as store:
            return {task: self.domain.parameter(task) for task in store.training_tasks()}


class Step(NamedTuple):
    """What a step of a simulator gave. Rows of slots that were not active mean nothing.

    Attributes:
        observations: `[slots, obs]`; the simulator may write the next step's into the same array.
        rewards: `[slots]`; None where the domain's metric does not ask for them.
        success: `[slots]`, the success flag; None where the domain has none.
        ended: `[slots]`, whether the environment ended the episode by this step; None where it never does.
        signals: `[slots]`, what a reward depends on besides action and parameter (`Domain.rewards`); None: the rewards.
    """

    observations: NDArray[np.float64]
    rewards: NDArray[np.float64] | None
    success: NDArray[np.bool_] | None
    ended: NDArray[np.bool_] | None = None
    signals: NDArray[np.float64] | None = None


class Simulator(Protocol):
    """Episodes, one in each of a fixed number of slots. What a slot shows depends on that slot alone."""

    @property
    def slots(self) -> int:
        """How many episodes run at once."""

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode in a slot; the first observation `[obs]`."""

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step of the active slots; rows of the others are ignored.

        Args:
            actions: `[slots, act]`, finite, within the bounds of the domain's layout; without bounds within [-1, 1].
            active: The slots.
        """


class Domain(Stores):
    """One domain, with its stores. A recipe binds one of the components of this slot.

    Subclasses declare, besides what their stores are checked for:
        label: The domain's name in files.
        horizon: Steps of an episode, at most.
        metric: `SUCCESS` or `RETURN`.
        condition: How a method is told the task: "prompt" or "parameter".
        told: The same in this domain's word, for readers: "prompt", "velocity".
        many: The plural of that word.
        unit: Its unit, as "m/s"; empty where it has none.
        ranges: The least and the largest value of each number of a parameter, which conditions are standardised by.
        kinds: The kinds of `Start` that it can draw.
        episodes_at_once: Slots of a simulator, and so the episodes that share a forward pass.
        episode_seconds: What an episode costs, in the units of `Stage.cost`.
        ends: Whether the environment may end an episode before the horizon (`Step.ended`).
        camera: Name of the camera that episodes are shown from; empty: the first of the scene.
        idles: Whether an action that is not finite counts as zero; if not, it fails the episode there and then.
        symmetries: What of a scene may be changed (see `scene`); empty where the domain does not say.
    """

    slot: ClassVar[str] = "domain"
    label: ClassVar[str] = ""
    horizon: ClassVar[int]
    metric: ClassVar[Metric]
    condition: ClassVar[Condition]
    told: ClassVar[str] = "prompt"
    many: ClassVar[str] = "prompts"
    unit: ClassVar[str] = ""
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ()
    kinds: ClassVar[frozenset[str]] = frozenset({"fresh"})
    episodes_at_once: ClassVar[int] = 1
    episode_seconds: ClassVar[float] = 0.1
    ends: ClassVar[bool] = False
    camera: ClassVar[str] = ""
    idles: ClassVar[bool] = False
    symmetries: ClassVar[frozenset[Symmetry]] = frozenset()

    def task_name(self, parameter: tuple[float, ...]) -> str:
        """The name of the task with a parameter.

        Raises:
            UserError: The domain has no such task, or none has numbers.
        """
        text = ", ".join(f"{number:g}" for number in parameter)
        raise UserError(f"Tasks of {self.title} have names, and {text} is none.", fix="name tasks in quotes")

    def task_at(self, parameter: tuple[float, ...]) -> str:
        """The name of the task with a parameter, whether stores have it or not (`UserError` outside `ranges`)."""
        return self.task_name(parameter)

    def named(self, task: str | float) -> str:
        """The name of a task that is given by its name, or by its number where one number tells tasks apart.

        Raises:
            UserError: The domain has no such task.
        """
        if isinstance(task, str):
            self.parameter(task)
            return task
        return self.task_name((float(task),))

    @property
    def tested(self) -> tuple[str, ...]:
        """The tasks that are for testing and never trained on, where the domain has a fixed test set."""
        return ()

    @property
    def sweep(self) -> tuple[str, ...]:
        """All tasks that a figure over the domain's parameter shows, in order; empty without one."""
        return ()

    def training_subset(self, count: int) -> tuple[str, ...]:
        """`count` of the tasks that are not for testing, spread evenly over the parameter.

        Raises:
            UserError: There are not so many, or the domain has no order in which to spread them.
        """
        raise UserError(
            f"{self.title} has no order of tasks to choose {count} of them by.",
            where="Recipe.train",
            fix="name the tasks: Recipe.training",
        )

    @abstractmethod
    def query(self, data: Data, task: str, count: int, split: str) -> Query:
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
    def start(self, use: Use, base_seed: int, task: str, index: int) -> Start:
        """The `index`-th fresh start of a task for a use: a function of its arguments alone, the same for every method.

        Args:
            use: No two uses share a start.
            base_seed: Another one gives other starts.
            task: The task, so that tasks do not share starts.
            index: From 0; indices differ, starts differ.
        """

    def scene(self) -> Scene:
        """What the numbers of an observation stand for (`UserError` where the domain does not say)."""
        raise UserError(
            f"{self.title} does not say what the numbers of its observations stand for.",
            where=f"{type(self).__name__}.scene, {type(self).__name__}.symmetries",
            fix="leave out candidates by symmetries and judges by a model of the world",
        )

    @abstractmethod
    def simulator(self, task: str, slots: int) -> Simulator:
        """What runs so many episodes of a task at once."""

    def rewarded(self, task: str, slots: int) -> Simulator:
        """The same, whose steps have rewards also where the metric does not ask for them and the simulator has them."""
        return self.simulator(task, slots)

    def stepped_by(self, task: str) -> str:
        """What steps the task's episodes here, where there is a choice; else empty."""
        return ""

    @property
    def words(self) -> dict[str, Any]:
        """What a report says of the domain beside its numbers, JSON-ready."""
        return {"label": self.label, "title": self.title, "told": self.told, "many": self.many, "unit": self.unit}

    def has(self, task: str) -> bool:
        """Whether the domain has a task of this name."""
        return self.environment(task) is not None

    @abstractmethod
    def environment(self, task: str) -> EnvSpec | None:
        """How gymnasium makes the task's environment, in words that fit into a file; None: it has no name there."""

    def data(self, withheld: Collection[str] = ()) -> Data:
        """All stores as plain data for stages.

        Args:
            withheld: Tasks that nothing is trained on although the store could.

        Raises:
            UserError: As for `digests`; a withheld task that the store does not have.
        """
        digests = self.digests
        further: dict[str, StoreFile | None] = {"parents": None, "randomised": None}
        for name in further:
            if getattr(self, name):
                path = locate(getattr(self, name), f"{self.kind}.{name}")
                with self.open_policies(path) as store:
                    further[name] = StoreFile(str(path), store.digest)
        for task in withheld:
            with self.open_policies() as store:
                what, fix = f"The policy store has no task {task!r} to withhold.", f"hyprepro store info {store.path}"
                refuse_unknown(task, store.tasks, what, "Recipe.withheld", fix)
        return Data(
            StoreFile(str(self.policies_path), digests["policies"], tuple(sorted(withheld))),
            StoreFile(str(self.trajectories_path), digests["trajectories"]),
            further["parents"],
            further["randomised"],
            domain=self,
        )

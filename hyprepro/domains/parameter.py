"""Domains whose tasks are told apart by one number or several: a grid of them, some for testing, the rest to train on.

A domain of one's own is a class of this kind in a file of one's own: it says what its numbers mean and what simulates
them. Names of tasks, fresh starts, training subsets and checks follow from that.
"""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hyprepro.domains.base import RETURN, Condition, Data, Domain, Metric, Query, Simulator, Start, Step, Use
from hyprepro.domains.rendering import Physics
from hyprepro.errors import UserError

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec
    from numpy.typing import NDArray

    from hyprepro.policies.layout import PolicyLayout

STARTS = {"validation": range(3_000_000, 4_000_000), "test": range(4_000_000, 5_000_000)}
"""Seeds of start noise, a range for each use; those below are for collection."""

_BLOCK = 1_000
_ROUNDING = 1e-9  # of a number that is the result of an addition
_EVEN = 10  # so many training tasks are spread evenly; larger subsets contain these


class ParameterDomain(Domain):
    """Tasks on a grid of numbers, scored by their return.

    Subclasses declare, beside what every domain does:
        told: What the numbers are, in a word of letters that begins every task's name: `velocity-1.200`.
        ranges: The least and the largest value of each number.
        relabels: Whether a step earns a reward at every parameter, wherever it was made (`rewards`). Where the dynamics
            depend on the parameter it does not: no step of one task may then stand for a step of another.
        grid: All parameters, ascending.
        tests: Which of them are for testing, by their place in the grid.
        names: What each number is called, as a column of a table; empty: `told` where there is one number alone.
        score: What a return is, in a sentence for the reader of a table.
    """

    metric: ClassVar[Metric] = RETURN
    condition: ClassVar[Condition] = "parameter"
    idles: ClassVar[bool] = True
    episodes_at_once: ClassVar[int] = 64
    relabels: ClassVar[bool] = False
    tests: ClassVar[tuple[int, ...]] = ()
    names: ClassVar[tuple[str, ...]] = ()
    score: ClassVar[str] = ""

    @property
    @abstractmethod
    def grid(self) -> tuple[tuple[float, ...], ...]:
        """All parameters, ascending (`UserError` if the domain's own settings give none)."""

    def rewards(self, signals: Any, actions: Any, parameters: Any) -> Any:
        """What steps earn at given parameters; arrays or tensors alike.

        Args:
            signals: What the simulator gave (`Step.signals`) `[...]`.
            actions: `[..., act]` in [-1, 1].
            parameters: `[..., k]`; where the domain does not relabel, those that the steps were made at.
        """
        return signals

    # Names

    def check(self) -> None:
        """The grid lies within the ranges, each parameter once."""
        for parameter in self.grid:
            self.checked_parameter(parameter)
        if len(set(self.grid)) < len(self.grid):
            raise UserError(
                f"The grid of {self.title} has a {self.told} twice.",
                where=f"{self.kind}.grid",
                fix="name each once: a task's name has three digits",
            )

    def checked_parameter(self, parameter: tuple[float, ...]) -> tuple[float, ...]:
        """The parameter itself if it is one (`UserError` if it has too few numbers, or one outside its range)."""
        if len(parameter) != len(self.ranges):
            raise UserError(
                f"{self.title} tells a task by {len(self.ranges)} numbers, not {len(parameter)}.",
                fix=f"write {self._name(tuple(low for low, _ in self.ranges))}",
            )
        for number, (low, high) in zip(parameter, self.ranges, strict=True):
            if not low <= number <= high:
                limits = f"{low:g} to {high:g}{self._unit}"
                raise UserError(
                    f"A {self.told} of {number:g}{self._unit} lies outside {low:g} to {high:g}.",
                    fix=f"choose one from {limits}",
                )
        return parameter

    def parameter(self, task: str) -> tuple[float, ...]:
        """The numbers that a task's name states."""
        numbers = re.findall(r"-(-?\d+\.\d{3})", task)
        if not re.fullmatch(rf"{re.escape(self.told)}(--?\d+\.\d{{3}})+", task):
            low, high = (", ".join(f"{number:g}" for number in each) for each in zip(*self.ranges, strict=True))
            raise UserError(
                f"{task!r} names no {self.told}.",
                fix=f"write {self._name(self.grid[-1])}:{self._unit} with three digits, {low} to {high}",
            )
        return self.checked_parameter(tuple(map(float, numbers)))

    def task_name(self, parameter: tuple[float, ...]) -> str:
        """The name of a parameter, which must be one of the grid."""
        grid = self.grid
        if self.checked_parameter(parameter) not in grid:
            nearest = min(grid, key=lambda each: sum((a - b) ** 2 for a, b in zip(each, parameter, strict=True)))
            raise UserError(
                f"{_text(parameter)}{self._unit} is none of the {len(grid)} {self.many} from {_text(grid[0])} to "
                f"{_text(grid[-1])}{self._unit}.",
                closest=_text(nearest),
                fix=f"name {self.many} of the grid",
            )
        return self._name(parameter)

    def task_at(self, parameter: tuple[float, ...]) -> str:
        """The name of any parameter, of the grid or not (`UserError` if it is none, or has more than three digits)."""
        if any(abs(round(number, 3) - number) > _ROUNDING for number in self.checked_parameter(parameter)):
            raise UserError(
                f"A task's name states three digits of a {self.told}, and {_text(parameter)} has more.",
                fix="round it to three digits after the point",
            )
        return self._name(parameter)

    @property
    def columns(self) -> tuple[str, ...]:
        """What each number is called."""
        count = len(self.ranges)
        return self.names or ((self.told,) if count == 1 else tuple(f"{self.told}-{i + 1}" for i in range(count)))

    def has(self, task: str) -> bool:
        try:
            self.parameter(task)
        except UserError:
            return False
        return True

    @property
    def tested(self) -> tuple[str, ...]:
        return tuple(self._name(self.grid[index]) for index in self.tests)

    @property
    def sweep(self) -> tuple[str, ...]:
        return tuple(map(self._name, self.grid))

    @property
    def training(self) -> tuple[str, ...]:
        """All tasks that are not for testing."""
        return tuple(task for task in self.sweep if task not in self.tested)

    def training_subset(self, count: int) -> tuple[str, ...]:
        return tuple(self._name(self.grid[index]) for index in spread(len(self.grid), self.tests, count, self.many))

    @property
    def words(self) -> dict[str, Any]:
        """Also what a return is, and the numbers of the tasks that are for testing."""
        tests = [_text(self.grid[index]) for index in self.tests]
        return {**super().words, "score": self.score, "tests": tests}

    def _name(self, parameter: tuple[float, ...]) -> str:
        return "-".join((self.told, *(f"{number:.3f}" for number in parameter)))

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    # Episodes

    @property
    def required_layout(self) -> PolicyLayout | None:
        """None: policies of any widths act here, as imported ones do."""
        return None

    def query(self, data: Data, task: str, count: int, split: str) -> Query:
        """The parameter; a method deploys as many controllers as its own settings say."""
        return Query(task, self.parameter(task))

    def start(self, use: Use, base_seed: int, task: str, index: int) -> Start:
        """Start noise from a seed of the use's range; a task and use has a block of a thousand."""
        if not 0 <= index < _BLOCK:
            raise UserError(
                f"A {self.told} has {_BLOCK} starts for each use, and more are asked for.",
                where="the recipe's protocols",
                fix="score fewer policies, or each from fewer starts",
            )
        digest = hashlib.sha256(f"{base_seed}/{task}".encode()).digest()
        block = int.from_bytes(digest[:8], "big") % (len(STARTS[use]) // _BLOCK)
        return Start("fresh", STARTS[use].start + block * _BLOCK + index)

    def simulators(self, tasks: Sequence[str]) -> Simulator:
        """What runs one episode of each of some tasks at once, in a slot each."""
        return SideBySide([self.simulator(task, 1) for task in tasks])

    def environment(self, task: str) -> EnvSpec | None:
        """None: the environment has no name of gymnasium's, unless a subclass knows one."""
        return None


def spread(count: int, tests: Sequence[int], wanted: int, many: str) -> tuple[int, ...]:
    """Places in a grid of `count` of `wanted` training tasks, spread over it; never a test's.

    Up to ten are the nearest to equally spaced ones. Each further one goes where the others are farthest, so that every
    subset from ten on contains the smaller ones from ten on.

    Raises:
        UserError: There are not so many.
    """
    every = tuple(index for index in range(count) if index not in tests)
    if not 2 <= wanted <= len(every):
        raise UserError(
            f"{wanted} training {many} were asked for; there are 2 to {len(every)}.", fix=f"ask for 2 to {len(every)}"
        )
    ideal = np.linspace(every[0], every[-1], min(wanted, _EVEN))
    chosen = {min(every, key=lambda i: abs(i - place)) for place in ideal.tolist()}
    while len(chosen) < wanted:
        left = [i for i in every if i not in chosen]
        chosen.add(min(left, key=lambda i: sum(1.0 / (i - j) ** 2 for j in chosen)))
    return tuple(sorted(chosen))


class SideBySide:
    """Simulators of one slot each, as one.

    Args:
        simulators: One a slot, of one domain.
    """

    def __init__(self, simulators: Sequence[Simulator]) -> None:
        self._simulators = list(simulators)

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self._simulators)

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode in one of them."""
        return self._simulators[slot].reset(0, start)

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step of the active ones."""
        parts = {slot: self._simulators[slot].step(actions[slot : slot + 1], [0]) for slot in active}

        def together(name: str) -> Any:
            some = {slot: getattr(step, name) for slot, step in parts.items()}
            first = next(iter(some.values()), None)
            if first is None:
                return None
            found = np.zeros((self.slots, *first.shape[1:]), dtype=first.dtype)
            for slot, value in some.items():
                found[slot] = value[0]
            return found

        return Step(*map(together, Step._fields))


class Gyms:
    """A simulator of gymnasium's environments, one a slot.

    An environment that terminates ends its episode; its own time limit is of no account, for the domain has one.

    Args:
        make: Makes one environment.
        slots: How many.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], slots: int) -> None:
        self._environments = [make() for _ in range(slots)]

    @property
    def slots(self) -> int:
        """Number of environments."""
        return len(self._environments)

    def reset(self, slot: int, start: Start) -> NDArray[np.float64]:
        """Begin an episode from a seed."""
        return np.asarray(self._environments[slot].reset(seed=start.seed)[0], dtype=np.float64)

    def physics(self, slot: int) -> Physics:
        """The environment's; of nothing where it is none of MuJoCo's."""
        environment = self._environments[slot].unwrapped
        return Physics(getattr(environment, "model", None), getattr(environment, "data", None))

    def step(self, actions: NDArray[np.float32], active: Sequence[int]) -> Step:
        """One step of the active slots."""
        size = self._environments[0].observation_space.shape or ()
        observations, rewards = np.zeros((self.slots, *size)), np.zeros(self.slots)
        ended = np.zeros(self.slots, dtype=bool)
        for slot in active:
            observations[slot], rewards[slot], ended[slot], *_ = self._environments[slot].step(actions[slot])
        return Step(observations, rewards, None, ended)


def _text(parameter: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in parameter)

"""The training loop that the parent and the experts share; see `hyprepro.collect.sac.loop`."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collect.parameter.memory import Memory, Transitions
from hyprepro.collect.parameter.settings import ExpertTraining, ParentTraining
from hyprepro.collect.sac.agents import Networks, StackedSAC
from hyprepro.collect.sac.checkpoint import PREFIX, Flushes
from hyprepro.collect.sac.loop import Loop, Observations, Schedule
from hyprepro.collect.sac.networks import Normaliser, mlp_parameters
from hyprepro.collect.sac.settings import ParameterSAC
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.base import Start
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.engine.stage import Report

COLLECTION, PROMPTS = range(1_000_000, 2_000_000), range(2_000_000, 3_000_000)
"""Seeds of starts that nothing is evaluated from."""

Stream = Literal["parent", "experts", "evaluation", "scoring", "recheck", "fresh", "episodes"]
Settings = TypeVar("Settings", bound=ParentTraining | ExpertTraining)
_STREAMS: dict[Stream, range] = {
    "parent": COLLECTION[:300_000],
    "experts": COLLECTION[300_000:900_000],
    "evaluation": COLLECTION[900_000:910_000],
    "scoring": COLLECTION[910_000:920_000],
    "recheck": COLLECTION[920_000:960_000],
    "fresh": COLLECTION[960_000:],
    "episodes": PROMPTS,
}
ROUNDING = 1e-6
"""So that 35 steps of 1/35 make a whole update."""


def start_seed(stream: Stream, index: int) -> int:
    """The seed of a start: every use has a range of its own, within which seeds come round again."""
    seeds = _STREAMS[stream]
    return seeds[index % len(seeds)]


def condition(domain: ParameterDomain, parameters: Any) -> Any:
    """The inputs that stand for parameters `[..., k]`: -1 to 1 over the range of each number; arrays or tensors."""
    as_tensor = torch.is_tensor(parameters)
    low, high = (
        parameters.new_tensor(each) if as_tensor else np.asarray(each, dtype=parameters.dtype)
        for each in zip(*domain.ranges, strict=True)
    )
    return (parameters - low) / ((high - low) / 2.0) - 1.0


def fresh(
    domain: ParameterDomain, inputs: int, settings: ParameterSAC, agents: int, generator: torch.Generator
) -> Networks:
    """Random weights; `inputs` is the observation and, if there is one, the condition."""
    hidden, actions, width = domain.layout.hidden, domain.layout.action_size, settings.critic_width
    sizes = {"linear1": (inputs + actions, width), "linear2": (width, width), "value": (width, 1)}
    critic = mlp_parameters(sizes, 2 * agents, generator)
    sizes = {"linear1": (inputs, hidden), "linear2": (hidden, hidden), "head": (hidden, 2 * actions)}
    actor = mlp_parameters(sizes, agents, generator)
    for kind in ("weight", "bias"):
        actor[f"mean.{kind}"], actor[f"log_std.{kind}"] = actor.pop(f"head.{kind}").chunk(2, 2)
    return Networks(actor, critic, critic, torch.full((agents,), math.log(settings.initial_temperature)))


class ParameterLoop(Loop, Generic[Settings]):
    """Rounds of n environments, as long as an episode; where one ends its episode, the next begins at once.

    A subclass says at which tasks, what the networks are shown and which batches they learn from.

    Args:
        domain: What the environments are of.
        work: Folder of the stage in the making.
        report: Takes progress.
        settings: Of the training.
        environments: n.
        rounds: How many rounds there will be.
        seed: Of all randomness.
        rate: Updates a step of all environments.
    """

    stream: ClassVar[Stream]
    files: ClassVar[tuple[str, ...]] = ()
    """Names of mapped files that a subclass adds."""

    sac: StackedSAC

    def __init__(
        self,
        domain: ParameterDomain,
        work: Path,
        report: Report,
        settings: Settings,
        environments: int,
        rounds: int,
        seed: int | tuple[int, ...],
        rate: float,
    ) -> None:
        first, second = np.random.SeedSequence(seed).generate_state(2)
        critics = settings.critic_updates if isinstance(settings, ExpertTraining) else 0
        first_steps = settings.first_rounds * domain.horizon
        schedule = Schedule(settings.updates, critics, rate, first_steps, domain.horizon)
        super().__init__(work, [*Memory.files(PREFIX), *self.files], (int(first), int(second)), schedule)
        self.domain, self.layout, self.rounds = domain, domain.layout, rounds
        self.report, self.settings, self.environments = report, settings, environments
        self.memory = Memory(domain, work, rounds, environments, PREFIX, self.checkpoints.is_new)
        size = self.layout.observation_size
        self.use(Normaliser(np.zeros(size), np.ones(size)))

    @abstractmethod
    def targets(self) -> Sequence[str]:
        """The task of each environment's next round `[n]`."""

    @abstractmethod
    def inputs(self, observations: Observations, parameters: NDArray[np.float32]) -> Tensor:
        """What the actors see `[A, n / A, inputs]`."""

    @abstractmethod
    def batches(self, count: int) -> Iterable[Batch]:
        """The next `count` batches."""

    def use(self, normaliser: Normaliser) -> None:
        """From now on."""
        self.normaliser = normaliser
        self._mean, self._scale = (
            torch.tensor(part, dtype=torch.float32) for part in (normaliser.mean, normaliser.scale)
        )

    def normalise(self, observations: Tensor) -> Tensor:
        """In the networks' coordinates, float32."""
        return (observations.float() - self._mean) / self._scale

    def rewards(self, found: Transitions, parameters: Tensor) -> Tensor:
        """What transitions earn at parameters `[..., k]`."""
        return torch.as_tensor(self.domain.rewards(found.signals, found.actions, parameters))

    def updates_due(self) -> int:
        """Whole updates only."""
        done = self.steps - self.schedule.first_steps
        return math.floor(done * self.schedule.updates_per_step + ROUNDING)

    def begin_episode(self) -> Observations:
        tasks, first = self.targets(), self.episode * self.environments
        self.parameters = np.array([self.domain.parameter(task) for task in tasks], dtype=np.float32)
        self.memory.fields["parameters"][self.episode] = self.parameters
        self.simulator = self.domain.simulators(tasks)
        observations = np.stack([self._reset(slot, first + slot) for slot in range(self.environments)])
        self.memory.step(self.episode, 0, observations=observations)
        return observations

    def step(self, observations: Observations) -> Observations:
        now = self.steps % self.domain.horizon
        actions = self.explore(observations, self.episode < self.settings.first_rounds)
        step = self.simulator.step(self.layout.to_environment(actions), range(self.environments))
        signals = step.rewards if step.signals is None else step.signals
        ended = np.zeros(self.environments, dtype=bool) if step.ended is None else step.ended
        assert signals is not None
        observations = step.observations.copy()
        for slot in np.flatnonzero(ended).tolist():  # what is observed then belongs to no transition
            index = (self.rounds + self.steps) * self.environments + slot
            observations[slot] = self._reset(slot, index)
        self.memory.step(self.episode, now, actions=actions, signals=signals, ended=ended)
        self.memory.step(self.episode, now + 1, observations=observations)
        return observations

    def _reset(self, slot: int, index: int) -> NDArray[np.float64]:
        return self.simulator.reset(slot, Start("fresh", start_seed(self.stream, index)))

    def explore(self, observations: Observations, is_first: bool) -> NDArray[np.float32]:
        """Actions `[n, act]` of a round of training: random ones first, then those of the policy with its noise."""
        if is_first:
            return self.rng.uniform(-1.0, 1.0, (self.environments, self.layout.action_size)).astype(np.float32)
        seen = self.inputs(observations, self.parameters)
        noise = torch.randn((*seen.shape[:2], self.layout.action_size), generator=self.generator)
        return self.sac.act(seen, noise).reshape(self.environments, -1)

    def learn(self, count: int) -> None:
        """See `Loop`; the step size falls linearly."""
        sac = self.settings.sac
        noise = torch.randn((count, 2, self.sac.agents, sac.batch_size, self.sac.action_size), generator=self.generator)
        for batch, (here, there) in zip(self.batches(count), noise, strict=True):
            share = self.updates / self.schedule.updates
            self.sac.anneal(sac.learning_rate + share * (sac.last_learning_rate - sac.learning_rate))
            self.sac.update(batch, here, there, self.trains_actor)
            self.updates += 1

    def end_episode(self) -> None:
        """The first rounds say in which coordinates the networks see, unless they came with theirs."""
        if self.episode != self.settings.first_rounds:
            return
        if self.fits_normaliser():
            seen = self.memory.fields["observations"][: self.episode].reshape(-1, self.layout.observation_size)
            self.use(Normaliser.fit(seen, self.settings.smallest_scale))
        self.after_updates()

    def fits_normaliser(self) -> bool:
        """Whether the first rounds do."""
        return True

    def mapped(self) -> list[Flushes]:
        return [self.memory]

    def state(self) -> dict[str, Any]:
        return {"normaliser": [torch.from_numpy(self.normaliser.mean), torch.from_numpy(self.normaliser.scale)]}

    def restore(self, state: dict[str, Any]) -> None:
        self.use(Normaliser(*(part.numpy() for part in state["normaliser"])))

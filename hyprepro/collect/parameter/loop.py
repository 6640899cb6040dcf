"""The training loop over cheetahs, which the parent and the experts share; see `hyprepro.collect.sac.loop`.

All transitions of a training run, in files that are at once its replay, its checkpoint and its artifact.

Cheetahs are stepped in rounds of whole episodes. Files are written in place and never overwritten, so a run that goes
on from a checkpoint finds what it had then, and steps the rest again.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collect.parameter.settings import ExpertTraining, ParentTraining, VelocitySAC
from hyprepro.collect.sac.agents import Networks, StackedSAC
from hyprepro.collect.sac.checkpoint import PREFIX, Flushes, open_mapped
from hyprepro.collect.sac.loop import Loop, Observations, Schedule
from hyprepro.collect.sac.networks import Normaliser, mlp_parameters
from hyprepro.collect.sac.update import Batch
from hyprepro.domains.cheetah_vel.env import CheetahBatch
from hyprepro.domains.cheetah_vel.tasks import HORIZON, velocity_reward
from hyprepro.domains.metaworld.tasks import COLLECTION, PROMPTS
from hyprepro.engine.stage import Report
from hyprepro.policies.layout import CHEETAH_LAYOUT

_OBSERVATIONS, _ACTIONS = 17, 6
_FIELDS = ("observations", "actions", "speeds", "velocities")


class Transitions(NamedTuple):
    """Some transitions `[..., ]` without rewards, which depend on the velocity asked for."""

    observations: Tensor
    actions: Tensor
    speeds: Tensor
    next_observations: Tensor
    velocities: Tensor

    def rewards(self, velocities: Tensor) -> Tensor:
        """What they would have earned at other target velocities of the same shape as `speeds`."""
        return torch.as_tensor(velocity_reward(self.speeds, self.actions, velocities))


class Memory:
    """Rounds of episodes of n cheetahs: observations, actions, forward speeds, target velocities.

    Args:
        folder: Where the files are.
        rounds: How many there will be at most.
        cheetahs: n.
        prefix: Of the files' names.
        is_new: Make empty files; else open those that are there.
    """

    def __init__(self, folder: Path, rounds: int, cheetahs: int, prefix: str = "", is_new: bool = False) -> None:
        self.cheetahs, self.rounds, self.folder, self.prefix = cheetahs, rounds, folder, prefix
        shapes = (
            (rounds, HORIZON + 1, cheetahs, _OBSERVATIONS),
            (rounds, HORIZON, cheetahs, _ACTIONS),
            (rounds, HORIZON, cheetahs),
            (rounds, cheetahs),
        )
        self._mapped = [
            open_mapped(folder / name, shape, is_new) for name, shape in zip(self.files(prefix), shapes, strict=True)
        ]
        self.fields = {name: mapped.view(np.ndarray) for name, mapped in zip(_FIELDS, self._mapped, strict=True)}
        self._rows = {
            name: torch.from_numpy(field).flatten(0, -2 + (field.ndim < 4)) for name, field in self.fields.items()
        }

    @staticmethod
    def files(prefix: str) -> list[str]:
        """The files' names."""
        return [f"{prefix}{name}.npy" for name in _FIELDS]

    def flush(self) -> None:
        """Bring new transitions to the disk."""
        for mapped in self._mapped:
            mapped.flush()

    def gather(self, steps: Tensor) -> Transitions:
        """Transitions by number: (round * HORIZON + time) * n + cheetah."""
        rounds = steps // (HORIZON * self.cheetahs)
        rows = steps + rounds * self.cheetahs  # a round has one observation more than it has actions
        return Transitions(
            self._rows["observations"][rows],
            self._rows["actions"][steps],
            self._rows["speeds"][steps],
            self._rows["observations"][rows + self.cheetahs],
            self._rows["velocities"][rounds * self.cheetahs + steps % self.cheetahs],
        )

    def step(self, number: int, time: int, **values: NDArray[Any]) -> None:
        """Write what one step of round `number` adds, each `[n, ...]`; observations belong to `time`, even HORIZON."""
        for name, value in values.items():
            self.fields[name][number, time] = value

    def finish(self, folder: Path) -> None:
        """Put the files under their final names into `folder`."""
        for name in self.fields:
            (self.folder / f"{self.prefix}{name}.npy").replace(folder / f"{name}.npy")


Stream = Literal["parent", "experts", "evaluation", "scoring", "recheck", "episodes"]
Settings = TypeVar("Settings", bound=ParentTraining | ExpertTraining)
_STREAMS: dict[Stream, range] = {
    "parent": COLLECTION[:300_000],
    "experts": COLLECTION[300_000:900_000],
    "evaluation": COLLECTION[900_000:910_000],
    "scoring": COLLECTION[910_000:920_000],
    "recheck": COLLECTION[920_000:],
    "episodes": PROMPTS,
}
ROUNDING = 1e-6
"""So that 35 steps of 1/35 make a whole update."""


def start_seed(stream: Stream, index: int) -> int:
    """The seed of a start: every use has a range of its own, within which seeds come round again."""
    seeds = _STREAMS[stream]
    return seeds[index % len(seeds)]


def fresh(inputs: int, settings: VelocitySAC, agents: int, generator: torch.Generator) -> Networks:
    """Random weights; `inputs` is the observation and, if there is one, the condition."""
    hidden, actions, width = CHEETAH_LAYOUT.hidden, CHEETAH_LAYOUT.action_size, settings.critic_width
    sizes = {"linear1": (inputs + actions, width), "linear2": (width, width), "value": (width, 1)}
    critic = mlp_parameters(sizes, 2 * agents, generator)
    sizes = {"linear1": (inputs, hidden), "linear2": (hidden, hidden), "head": (hidden, 2 * actions)}
    actor = mlp_parameters(sizes, agents, generator)
    for kind in ("weight", "bias"):
        actor[f"mean.{kind}"], actor[f"log_std.{kind}"] = actor.pop(f"head.{kind}").chunk(2, 2)
    return Networks(actor, critic, critic, torch.full((agents,), math.log(settings.initial_temperature)))


class VelocityLoop(Loop, Generic[Settings]):
    """Rounds of one episode in each of n cheetahs.

    A subclass says whom the cheetahs chase, what the networks are shown and which batches they learn from.

    Args:
        work: Folder of the stage in the making.
        report: Takes progress.
        settings: Of the training.
        cheetahs: n.
        rounds: How many rounds there will be.
        seed: Of all randomness.
        rate: Updates a step of all cheetahs.
    """

    stream: ClassVar[Stream]
    files: ClassVar[tuple[str, ...]] = ()
    """Names of mapped files that a subclass adds."""

    sac: StackedSAC

    def __init__(
        self,
        work: Path,
        report: Report,
        settings: Settings,
        cheetahs: int,
        rounds: int,
        seed: int | tuple[int, ...],
        rate: float,
    ) -> None:
        first, second = np.random.SeedSequence(seed).generate_state(2)
        critics = settings.critic_updates if isinstance(settings, ExpertTraining) else 0
        schedule = Schedule(settings.updates, critics, rate, settings.first_rounds * HORIZON, HORIZON)
        super().__init__(work, [*Memory.files(PREFIX), *self.files], (int(first), int(second)), schedule)
        self.report, self.settings, self.cheetahs = report, settings, cheetahs
        self.batch = CheetahBatch(cheetahs)
        self.memory = Memory(work, rounds, cheetahs, PREFIX, self.checkpoints.is_new)
        size = CHEETAH_LAYOUT.observation_size
        self.use(Normaliser(np.zeros(size), np.ones(size)))

    @abstractmethod
    def targets(self) -> NDArray[np.float64]:
        """The target velocity of each cheetah's next episode `[n]`."""

    @abstractmethod
    def inputs(self, observations: Observations, velocities: NDArray[np.float64]) -> Tensor:
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

    def updates_due(self) -> int:
        """Whole updates only."""
        done = self.steps - self.schedule.first_steps
        return math.floor(done * self.schedule.updates_per_step + ROUNDING)

    def begin_episode(self) -> Observations:
        """See `Loop`."""
        first = self.episode * self.cheetahs
        self.chased = self.memory.fields["velocities"][self.episode] = self.targets()
        observations = self.batch.reset([start_seed(self.stream, first + i) for i in range(self.cheetahs)])
        self.memory.step(self.episode, 0, observations=observations)
        return observations

    def step(self, observations: Observations) -> Observations:
        """See `Loop`."""
        actions, now = self.explore(observations, self.episode < self.settings.first_rounds), self.steps % HORIZON
        observations, speeds = self.batch.step(actions)
        self.memory.step(self.episode, now, actions=actions, speeds=speeds)
        self.memory.step(self.episode, now + 1, observations=observations)
        return observations

    def explore(self, observations: Observations, is_first: bool) -> NDArray[np.float32]:
        """Actions `[n, 6]` of an episode of training: random ones first, then those of the policy with its noise."""
        if is_first:
            return self.rng.uniform(-1.0, 1.0, (self.cheetahs, CHEETAH_LAYOUT.action_size)).astype(np.float32)
        seen = self.inputs(observations, self.chased)
        noise = torch.randn((*seen.shape[:2], CHEETAH_LAYOUT.action_size), generator=self.generator)
        return self.sac.act(seen, noise).reshape(self.cheetahs, -1)

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
            seen = self.memory.fields["observations"][: self.episode].reshape(-1, CHEETAH_LAYOUT.observation_size)
            self.use(Normaliser.fit(seen, self.settings.smallest_scale))
        self.after_updates()

    def fits_normaliser(self) -> bool:
        """Whether the first rounds do."""
        return True

    def mapped(self) -> list[Flushes]:
        """See `Loop`."""
        return [self.memory]

    def state(self) -> dict[str, Any]:
        """See `Loop`."""
        return {"normaliser": [torch.from_numpy(self.normaliser.mean), torch.from_numpy(self.normaliser.scale)]}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Loop`."""
        self.use(Normaliser(*(part.numpy() for part in state["normaliser"])))

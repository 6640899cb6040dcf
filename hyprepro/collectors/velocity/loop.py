"""The loop that the parent and the experts share: rounds of episodes, updates between steps, checkpoints."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyprepro.collectors.checkpoint import PREFIX, Checkpoints, Flushes
from hyprepro.collectors.networks import Normaliser
from hyprepro.collectors.velocity.learner import Batch, Learner, Networks
from hyprepro.collectors.velocity.memory import Memory
from hyprepro.collectors.velocity.settings import ExpertTraining, ParentTraining
from hyprepro.domains.cheetah_vel.env import CheetahBatch
from hyprepro.domains.cheetah_vel.tasks import HORIZON
from hyprepro.domains.metaworld.tasks import COLLECTION, PROMPTS
from hyprepro.engine.stage import Report
from hyprepro.policies.layout import CHEETAH_LAYOUT

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


class Loop(ABC, Generic[Settings]):
    """Rounds of one episode in each of n cheetahs, with the updates that fall into it.

    A subclass says whom the cheetahs chase, what the networks are shown and which batches they learn from. A checkpoint
    at a round's end holds the whole state; the transitions are files of their own.

    Args:
        work: Folder of the stage in the making.
        report: Takes progress.
        settings: Of the training.
        cheetahs: n.
        rounds: How many rounds there will be.
        seed: Of all randomness.
    """

    stream: ClassVar[Stream]
    files: ClassVar[tuple[str, ...]] = ()
    """Names of mapped files that a subclass adds."""

    def __init__(
        self,
        work: Path,
        report: Report,
        settings: Settings,
        cheetahs: int,
        rounds: int,
        seed: int | tuple[int, ...],
    ) -> None:
        self.report, self.settings, self.cheetahs = report, settings, cheetahs
        words = np.random.SeedSequence(seed).generate_state(2)
        self.generator = torch.Generator().manual_seed(int(words[0]))
        self.rng = np.random.default_rng(int(words[1]))
        self.batch = CheetahBatch(cheetahs)
        self.checkpoints = Checkpoints(work, [*Memory.files(PREFIX), *self.files])
        self.is_new = self.checkpoints.is_new
        self.memory = Memory(work, rounds, cheetahs, PREFIX, self.is_new)
        size = CHEETAH_LAYOUT.observation_size
        self.normaliser = Normaliser(np.zeros(size), np.ones(size))
        self.round = self.steps = self.updates = 0

    def begin(self, networks: Networks) -> None:
        """Set the learner up."""
        self.learner = Learner(networks, self.settings.sac, CHEETAH_LAYOUT.action_size)

    @abstractmethod
    def targets(self) -> NDArray[np.float64]:
        """The target velocity of each cheetah's next episode `[n]`."""

    @abstractmethod
    def inputs(self, observations: NDArray[np.float64], velocities: NDArray[np.float64]) -> Tensor:
        """What the actors see `[A, n / A, inputs]`."""

    @abstractmethod
    def batches(self, count: int) -> list[Batch]:
        """The next `count` batches."""

    @abstractmethod
    def after_updates(self) -> None:
        """Called once before the first and after every group of updates."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What the subclass adds to a checkpoint."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""

    def mapped(self) -> list[Flushes]:
        """What lies in mapped files."""
        return [self.memory]

    def warm_up_ends(self) -> None:
        """Called once, when the first rounds are over."""
        self.fit_normaliser()

    def fit_normaliser(self) -> None:
        """To the observations of the rounds so far."""
        seen = self.memory.fields["observations"][: self.round].reshape(-1, CHEETAH_LAYOUT.observation_size)
        self.normaliser = Normaliser.fit(seen, self.settings.smallest_scale)

    def normalise(self, observations: Tensor) -> Tensor:
        """In the networks' coordinates, float32."""
        return (observations.float() - self._mean) / self._scale

    def train(self) -> None:
        """All rounds, from the last checkpoint on."""
        self._restore()
        while self.updates < self.settings.updates:
            self._round()
            if self.checkpoints.due:
                self._checkpoint()

    def _round(self) -> None:
        warm = self.round < self.settings.first_rounds
        targets, first = self.targets(), self.round * self.cheetahs
        seeds = [start_seed(self.stream, first + i) for i in range(self.cheetahs)]
        observations = self.batch.reset(seeds)
        self.memory.fields["velocities"][self.round] = targets
        self.memory.step(self.round, 0, observations=observations)
        for now in range(HORIZON):
            actions = self.explore(observations, targets, warm)
            observations, speeds = self.batch.step(actions)
            self.memory.step(self.round, now, actions=actions, speeds=speeds)
            self.memory.step(self.round, now + 1, observations=observations)
            self.steps += self.cheetahs
            if not warm:
                self._update()
        self.round += 1
        if self.round == self.settings.first_rounds:
            self.warm_up_ends()
            self._use_normaliser()
            self.after_updates()

    def explore(
        self, observations: NDArray[np.float64], targets: NDArray[np.float64], warm: bool
    ) -> NDArray[np.float32]:
        """Actions `[n, 6]` of an episode of training: random ones first, then those of the policy with its noise."""
        if warm:
            return self.rng.uniform(-1.0, 1.0, (self.cheetahs, CHEETAH_LAYOUT.action_size)).astype(np.float32)
        seen = self.inputs(observations, targets)
        noise = torch.randn((*seen.shape[:2], CHEETAH_LAYOUT.action_size), generator=self.generator)
        return self.learner.act(seen, noise).reshape(self.cheetahs, -1).numpy()

    def _update(self) -> None:
        settings = self.settings
        done_steps = self.steps - settings.first_rounds * HORIZON * self.cheetahs
        due = min(math.floor(done_steps * self.updates_per_transition + ROUNDING), settings.updates)
        count = due - self.updates
        if count <= 0:
            return
        shape = (count, 2, self.learner.agents, settings.sac.batch_size, CHEETAH_LAYOUT.action_size)
        noise = torch.randn(shape, generator=self.generator)
        for batch, (here, there) in zip(self.batches(count), noise, strict=True):
            self.learner.anneal(self.updates / settings.updates)
            self.learner.update(batch, here, there, self.trains_actor())
            self.updates += 1
        self.after_updates()

    @property
    def updates_per_transition(self) -> float:
        """Updates for each transition that enters the memory."""
        return self.settings.updates_per_step

    def trains_actor(self) -> bool:
        """Whether the next update trains more than the critics."""
        return True

    def _use_normaliser(self) -> None:
        self._mean = torch.tensor(self.normaliser.mean, dtype=torch.float32)
        self._scale = torch.tensor(self.normaliser.scale, dtype=torch.float32)

    def _checkpoint(self) -> None:
        state = {
            "learner": self.learner.state(),
            "own": self.state(),
            "counts": [self.round, self.steps, self.updates],
            "normaliser": [torch.from_numpy(self.normaliser.mean), torch.from_numpy(self.normaliser.scale)],
            "generator": self.generator.get_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        self.checkpoints.save(state, *self.mapped())

    def _restore(self) -> None:
        self._use_normaliser()
        state = self.checkpoints.load()
        if state is None:
            return
        self.learner.restore(state["learner"])
        self.restore(state["own"])
        self.round, self.steps, self.updates = state["counts"]
        self.normaliser = Normaliser(*(part.numpy() for part in state["normaliser"]))
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        self._use_normaliser()

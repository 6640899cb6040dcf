"""The one training loop: episodes in lockstep, updates between their steps, checkpoints between episodes.

Whoever trains says what an episode is, how batches are drawn and what is kept; the loop says when. A checkpoint at an
episode's end holds the whole state but for the transitions, which are files of their own, and how much of them counts.
So a run that was killed at any moment goes on to the same bytes.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collect.sac.agents import Agents
from hyprepro.collect.sac.checkpoint import Checkpoints, Flushes

Observations = NDArray[np.float64]


class Schedule(NamedTuple):
    """When is trained what.

    Attributes:
        updates: Gradient steps.
        critic_updates: Of these, first ones that train the critics alone.
        updates_per_step: Gradient steps a step of all environments, after the first steps.
        first_steps: Steps of all environments before the first gradient step.
        episode_steps: Length of an episode.
    """

    updates: int
    critic_updates: int
    updates_per_step: float
    first_steps: int
    episode_steps: int


class Loop(ABC):
    """A run of training that can be killed at any moment.

    Args:
        work: Folder of the stage in the making.
        files: Names of the mapped files that are part of a checkpoint.
        seeds: Of torch's randomness and of numpy's.
        schedule: When is trained what.

    Attributes:
        sac: Who learns; set by the subclass.
        generator, rng: All randomness of the run.
        episode, steps, updates: How many are done; steps are those of all environments together.
    """

    sac: Agents

    def __init__(self, work: Path, files: Sequence[str], seeds: tuple[int, int], schedule: Schedule) -> None:
        self.schedule = schedule
        self.generator, self.rng = torch.Generator().manual_seed(seeds[0]), np.random.default_rng(seeds[1])
        self.checkpoints = Checkpoints(work, files)
        self.episode = self.steps = self.updates = 0

    def start(self) -> None:  # noqa: B027 (most have nothing to do then)
        """Called once, before the first episode of all."""

    @abstractmethod
    def begin_episode(self) -> Observations:
        """Observations at the start of the next episode of each environment."""

    @abstractmethod
    def step(self, observations: Observations) -> Observations:
        """Act, step all environments once and remember it; what is observed then."""

    @abstractmethod
    def learn(self, count: int) -> None:
        """`count` updates, each counted in `updates`."""

    def after_updates(self) -> None:  # noqa: B027
        """Called after every group of updates."""

    @abstractmethod
    def end_episode(self) -> None:
        """Called after each, before a checkpoint that may follow."""

    @abstractmethod
    def mapped(self) -> list[Flushes]:
        """What lies in mapped files."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What the subclass adds to a checkpoint."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""

    def updates_due(self) -> int:
        """Updates that should have been made by now: a part of one is made at once."""
        return math.ceil((self.steps - self.schedule.first_steps) * self.schedule.updates_per_step)

    @property
    def is_over(self) -> bool:
        """Whether training ends here, after an episode, before the last update."""
        return False

    def must_save(self) -> bool:
        """Whether the next episode needs a checkpoint before it."""
        return False

    def saved(self) -> None:  # noqa: B027
        """Called when a checkpoint is on the disk."""

    @property
    def trains_actor(self) -> bool:
        """Not during the critics' head start."""
        return self.updates >= self.schedule.critic_updates

    def train(self) -> None:
        """All updates, or until it is over, from the last checkpoint on."""
        state = self.checkpoints.load()
        if state is not None:
            self._restore(state)
        else:
            self.start()
        while self.updates < self.schedule.updates and not self.is_over:
            self.run_episode()
            self.end_episode()
            if self.checkpoints.due or self.must_save():
                self._checkpoint()

    def run_episode(self) -> None:
        """One episode of every environment, with the updates that fall into it."""
        observations = self.begin_episode()
        for _ in range(self.schedule.episode_steps):
            observations = self.step(observations)
            self.steps += 1
            count = min(self.updates_due(), self.schedule.updates) - self.updates
            if count > 0:
                self.learn(count)
                self.after_updates()
        self.episode += 1

    def _checkpoint(self) -> None:
        state = {
            "tensors": self.sac.tensors(),
            "own": self.state(),
            "counts": [self.episode, self.steps, self.updates],
            "generator": self.generator.get_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        self.checkpoints.save(state, *self.mapped())
        self.saved()

    def _restore(self, state: dict[str, Any]) -> None:
        self.sac.restore(state["tensors"])
        self.episode, self.steps, self.updates = state["counts"]
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        self.restore(state["own"])

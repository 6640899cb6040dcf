"""The training loop over Meta-World tasks: an environment an agent, a ring of transitions, scripted experts' labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collect.sac.agents import Agents, Learner
from hyprepro.collect.sac.loop import Loop, Observations, Schedule
from hyprepro.collect.sac.networks import Normaliser
from hyprepro.collect.sac.replay import Replay, Room
from hyprepro.collectors.checkpoint import PREFIX, Flushes
from hyprepro.collectors.collection import Agent, training_goal
from hyprepro.collectors.scripted import expert_action
from hyprepro.collectors.stepping import Environments

_REPLAY = f"{PREFIX}replay.npy"


class Training(Protocol):
    """Settings that a schedule is made of."""

    updates: int
    critic_updates: int
    updates_per_step: float
    first_steps: int
    episode_steps: int


class TaskLoop(Loop):
    """Episodes on the agents' training goals, every transition in the replay.

    Args:
        work: Folder of the stage in the making.
        files: Names of mapped files beside that of the transitions.
        seeds: Of torch's randomness and of numpy's.
        training: The schedule.
        agents: Whose training goals each environment has.
        envs: The environments.
        normaliser: Of observations.

    Attributes:
        is_labelled: Whether the scripted experts say of every state what they would do.
        success, returns: Of the present episode, `[A]`.
    """

    def __init__(
        self,
        work: Path,
        files: Sequence[str],
        seeds: tuple[int, int],
        training: Training,
        agents: Sequence[Agent],
        envs: Environments,
        normaliser: Normaliser,
    ) -> None:
        schedule = Schedule(*(getattr(training, name) for name in Schedule._fields))
        super().__init__(work, [_REPLAY, *files], seeds, schedule)
        self.agents, self.envs, self.normaliser, self._work = agents, envs, normaliser, work
        self.is_labelled = False

    def equip(self, sac: Agents, room: Room) -> None:
        """Set learner and replay up."""
        self.sac, file = sac, self._work / _REPLAY
        sizes = (len(self.normaliser.mean), sac.action_size)
        self.replay = Replay(
            len(self.agents), room.capacity, *sizes, sac.device, room.slots, file, self.checkpoints.is_new
        )
        self.learner = Learner(sac, self.replay, self.generator, self.rng)

    def begin_episode(self) -> Observations:
        """See `Loop`."""
        raw = self.envs.reset([training_goal(agent, self.episode) for agent in self.agents])
        self.success, self.returns = np.zeros(len(raw), dtype=bool), np.zeros(len(raw))
        self._seen = self.normaliser.apply(raw)
        return raw

    def step(self, raw: Observations) -> Observations:
        """See `Loop`."""
        observations, labels = self._seen, self._labels(raw)
        actions = self.act(observations, labels)
        raw, rewards, solved = self.envs.step(actions)
        self._seen = self.normaliser.apply(raw)
        self.success |= solved
        self.returns += rewards
        self.replay.add(
            observations=observations,
            actions=actions,
            rewards=rewards,
            next_observations=self._seen,
            dones=0.0,  # a time limit is no terminal state
            expert_actions=labels,
        )
        return raw

    def act(self, observations: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions `[A, 4]` of training at normalised observations `[A, 39]`, of which the experts say `labels`."""
        noise = torch.randn(labels.shape, generator=self.generator, device=self.sac.device)
        return self.sac.act(torch.from_numpy(observations), noise)

    def learn(self, count: int) -> None:
        """See `Loop`."""
        for _ in range(count):
            self.learner.update(self.trains_actor)
            self.updates += 1

    def must_save(self) -> bool:
        """Before the ring writes over what the last checkpoint needs."""
        return self.replay.overwrites(self.schedule.episode_steps)

    def saved(self) -> None:
        """See `Loop`."""
        self.replay.saved()

    def mapped(self) -> list[Flushes]:
        """See `Loop`."""
        return [self.replay]

    def state(self) -> dict[str, Any]:
        """How many transitions count."""
        return {"added": self.replay.added}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Loop`."""
        self.replay.restore(state["added"])

    def _labels(self, raw: Observations) -> NDArray[np.float32]:
        if not self.is_labelled:
            return np.zeros((len(raw), self.sac.action_size), dtype=np.float32)
        return np.stack([expert_action(agent.task, each) for agent, each in zip(self.agents, raw, strict=True)])

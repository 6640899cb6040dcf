"""The stage that trains a stack of SAC agents and keeps their policies at fixed numbers of updates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collectors.checkpoint import PREFIX, Checkpoints, open_mapped, publish
from hyprepro.collectors.clones import CloneExperts, Clones
from hyprepro.collectors.collection import Agent, SACTraining, training_goal
from hyprepro.collectors.learner import Learner
from hyprepro.collectors.networks import Parameters, to_flat
from hyprepro.collectors.replay import Replay, Room, replay_sizes
from hyprepro.collectors.sac import StackedSAC
from hyprepro.collectors.scripted import expert_action
from hyprepro.collectors.stepping import Environments, environments
from hyprepro.domains.metaworld.tasks import SEEN_TASKS, UNSEEN_TASKS
from hyprepro.engine.stage import Report, Stage, device
from hyprepro.policies.layout import METAWORLD_LAYOUT

_POLICIES, _UPDATES, _REPLAY = "policies.npy", "updates.npy", "replay.npy"


@dataclass(frozen=True)
class TrainSAC(Stage):
    """SAC for some of a collection's agents, all stepped and updated together.

    Attributes:
        clones: Where observations' normalisation and, on the route "clones", the initial actors come from.
        training: Hyperparameters and schedule.
        tasks: The task of each agent.
        seeds: The SAC seed of each agent.
    """

    kind: ClassVar[str] = "sac"
    clones: CloneExperts
    training: SACTraining
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def agents(self) -> tuple[Agent, ...]:
        """The agents in the order in which they are stacked."""
        return tuple(Agent(task, seed) for task, seed in zip(self.tasks, self.seeds, strict=True))

    @property
    def label(self) -> str:
        """How many agents of which tasks."""
        return f"{len(self.agents)} SAC agents, {self.tasks[0]} to {self.tasks[-1]}"

    @property
    def cost(self) -> float:
        """At about 250 agent-updates a second."""
        return len(self.agents) * self.training.updates / 250.0

    @property
    def room(self) -> Room:
        """How many transitions an agent remembers, and for how many there is room."""
        return Room.of(self.training.replay, self.training.steps, self.training.episode_steps)

    @property
    def replay_bytes(self) -> int:
        """Of the transitions' file."""
        layout = METAWORLD_LAYOUT
        width = sum(replay_sizes(layout.observation_size, layout.action_size).values())
        return 4 * self.room.slots * len(self.agents) * width

    @property
    def policies_bytes(self) -> int:
        """Of the kept policies' file."""
        return 4 * self.training.kept_policies * len(self.agents) * METAWORLD_LAYOUT.size

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write policies.npy [checkpoints, agents, P] float32 and updates.npy [checkpoints]."""
        clones = self.clones.load(inputs["clones"])
        if self.training.trainer == "stable-baselines3":
            from hyprepro.collectors.reference import train_reference

            params, updates = train_reference(self, clones, report)
            np.save(work / _POLICIES, params)
        else:
            with environments([task for task, _ in self.agents], device()) as envs:
                updates = _Run(self, clones, envs, work, report).run()
            publish(work / f"{PREFIX}{_POLICIES}", work / _POLICIES)
        np.save(work / _UPDATES, updates)

    def load(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Flat parameters `[checkpoints, agents, P]`, mapped from their file, and each one's number of updates."""
        return np.load(path / _POLICIES, mmap_mode="r"), np.load(path / _UPDATES)


def start_actors(stage: TrainSAC, clones: Clones) -> Parameters | None:
    """The agents' initial actors: their task's clone, or None on the route "scratch"."""
    if stage.clones.route == "scratch":
        return None
    tasks = stage.clones.seen_tasks + stage.clones.unseen_tasks
    rows = torch.tensor([tasks.index(agent.task) for agent in stage.agents])
    return {name: tensor[rows] for name, tensor in clones.actors.items()}


def agent_seeds(stage: TrainSAC) -> list[int]:
    """Two seeds for all randomness of this stack, from the collection's seed and every agent's task and seed."""
    agents = [(SEEN_TASKS + UNSEEN_TASKS).index(task) * 1000 + seed for task, seed in stage.agents]
    return [int(word) for word in np.random.SeedSequence([stage.clones.seed, *agents]).generate_state(2)]


class _Run:
    """Lockstep episodes and updates of one stack; transitions and kept policies are in files of their own.

    A checkpoint at an episode's end holds the rest of the state, and how much of the files counts.
    """

    def __init__(self, stage: TrainSAC, clones: Clones, envs: Environments, work: Path, report: Report) -> None:
        self.agents, self.settings, self.route = stage.agents, stage.training, stage.clones.route
        self.normaliser, self.report = clones.normaliser, report
        seeds = agent_seeds(stage)
        self.generator = torch.Generator().manual_seed(int(seeds[0]))
        self.rng = np.random.default_rng(int(seeds[1]))
        layout, count = METAWORLD_LAYOUT, len(self.agents)
        start = start_actors(stage, clones)
        self.sac = StackedSAC(self.settings.sac, layout, count, self.generator, start, device())
        self.checkpoints = Checkpoints(work, [f"{PREFIX}{name}" for name in (_POLICIES, _REPLAY)])
        is_new, (capacity, slots) = self.checkpoints.is_new, stage.room
        sizes, file = (layout.observation_size, layout.action_size), work / f"{PREFIX}{_REPLAY}"
        self.replay = Replay(count, capacity, *sizes, device(), slots, file, is_new)
        self.policies = open_mapped(
            work / f"{PREFIX}{_POLICIES}", (self.settings.kept_policies, count, layout.size), is_new
        )
        if self.sac.device.type != "cpu":
            self.generator = torch.Generator(self.sac.device).manual_seed(int(seeds[0]))
        self.learner = Learner(self.sac, self.replay, self.generator, self.rng)
        self.envs = envs
        self.kept = self.episode = self.steps = self.updates = 0

    def run(self) -> NDArray[np.int64]:
        """Train to the end; the number of updates of each policy in the file."""
        self._restore()
        if not self.kept and self.settings.critic_updates == 0:
            self._keep()  # the first kept policy is always the one that the actor starts from
        while self.updates < self.settings.updates:
            success, returns = self._episode()
            self.report.progress(
                self.updates, self.settings.updates, success=float(success.mean()), episode_return=float(returns.mean())
            )
            if self.checkpoints.due or self.replay.overwrites(self.settings.episode_steps):
                self._checkpoint()
        self.policies.flush()
        first, every = self.settings.critic_updates, self.settings.checkpoint_every
        return first + every * np.arange(self.kept, dtype=np.int64)

    def _episode(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """One episode of every agent, with the updates that fall into it; success and return `[A]`."""
        goals = [training_goal(agent, self.episode) for agent in self.agents]
        raw = self.envs.reset(goals)
        success, returns = np.zeros(len(raw), dtype=bool), np.zeros(len(raw))
        for _ in range(self.settings.episode_steps):
            observations = self.normaliser.apply(raw)
            actions = self._act(observations)
            labels = self._labels(raw)
            raw, rewards, solved = self.envs.step(actions)
            success |= solved
            returns += rewards
            self.replay.add(
                observations=observations,
                actions=actions,
                rewards=rewards,
                next_observations=self.normaliser.apply(raw),
                dones=np.zeros(len(raw)),  # a time limit is no terminal state
                expert_actions=labels,
            )
            self.steps += 1
            due = (self.steps - self.settings.first_steps) * self.settings.updates_per_step
            while self.updates < min(due, self.settings.updates):
                self._update()
        self.episode += 1
        return success, returns

    def _act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = (len(self.agents), METAWORLD_LAYOUT.action_size)
        if self.route == "scratch" and self.steps < self.settings.first_steps:
            return self.rng.uniform(-1.0, 1.0, shape).astype(np.float32)
        noise = torch.randn(shape, generator=self.generator, device=self.sac.device)
        return self.sac.act(torch.from_numpy(observations), noise)

    def _labels(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        if not self.settings.sac.cloning_weight:
            return np.zeros((len(raw), METAWORLD_LAYOUT.action_size), dtype=np.float32)
        return np.stack([expert_action(task, o) for (task, _), o in zip(self.agents, raw, strict=True)])

    def _update(self) -> None:
        settings = self.settings
        self.learner.update(train_actor=self.updates >= settings.critic_updates)
        self.updates += 1
        after = self.updates - settings.critic_updates
        if after >= 0 and after % settings.checkpoint_every == 0:
            self._keep()

    def _keep(self) -> None:
        self.policies[self.kept] = to_flat(self.sac.actor, METAWORLD_LAYOUT, self.normaliser)
        self.kept += 1

    def _checkpoint(self) -> None:
        state: dict[str, Any] = {
            "sac": self.sac.state(),
            "counts": [self.replay.added, self.kept, self.episode, self.steps, self.updates],
            "generator": self.generator.get_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        self.checkpoints.save(state, self.replay, self.policies)
        self.replay.saved()

    def _restore(self) -> None:
        state = self.checkpoints.load()
        if state is None:
            return
        self.sac.restore(state["sac"])
        added, self.kept, self.episode, self.steps, self.updates = state["counts"]
        self.replay.restore(added)
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = json.loads(state["rng"])

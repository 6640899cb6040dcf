"""The stage that trains a stack of SAC agents, one a task and seed, and keeps policies at fixed numbers of updates.

Its loop has an environment an agent, a ring of transitions, and the scripted experts' labels where these are cloned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collect.metaworld.clones import CloneExperts, Clones
from hyprepro.collect.metaworld.settings import Agent, task_place, training_goal
from hyprepro.collect.metaworld.stepping import Environments, environments
from hyprepro.collect.sac.agents import Agents, Learner, StackedSAC
from hyprepro.collect.sac.checkpoint import PREFIX, Flushes, open_mapped
from hyprepro.collect.sac.loop import Loop, Observations, Schedule
from hyprepro.collect.sac.networks import Normaliser, Parameters, to_flat
from hyprepro.collect.sac.replay import Replay, Room, replay_sizes
from hyprepro.collect.sac.settings import SACTraining
from hyprepro.component import Component
from hyprepro.domains.metaworld.env import scripted_action
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.engine.stage import Report, Stage, device, link_or_copy
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT

_REPLAY = f"{PREFIX}replay.npy"


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
        training: Component,
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
        raw = self.envs.reset([self.goal(agent) for agent in self.agents])
        self.success, self.returns = np.zeros(len(raw), dtype=bool), np.zeros(len(raw))
        self._seen = self.normaliser.apply(raw)
        return raw

    def goal(self, agent: Agent) -> Goal:
        """Where an agent's present episode takes place."""
        return training_goal(agent, self.episode)

    def step(self, raw: Observations) -> Observations:
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
        for _ in range(count):
            self.learner.update(self.trains_actor)
            self.updates += 1

    def must_save(self) -> bool:
        """Before the ring writes over what the last checkpoint needs."""
        return self.replay.overwrites(self.schedule.episode_steps)

    def saved(self) -> None:
        self.replay.saved()

    def mapped(self) -> list[Flushes]:
        return [self.replay]

    def state(self) -> dict[str, Any]:
        """How many transitions count."""
        return {"added": self.replay.added}

    def restore(self, state: dict[str, Any]) -> None:
        self.replay.restore(state["added"])

    def _labels(self, raw: Observations) -> NDArray[np.float32]:
        if not self.is_labelled:
            return np.zeros((len(raw), self.sac.action_size), dtype=np.float32)
        return np.stack([scripted_action(agent.task, each) for agent, each in zip(self.agents, raw, strict=True)])


class Stopping:
    """When a stack has learnt what it is trained for (`SACTraining.solved`).

    Args:
        training: The schedule, with the rule.
        agents: How many agents are in the stack.
    """

    def __init__(self, training: SACTraining, agents: int) -> None:
        self._training = training
        self._recent: list[list[bool]] = []
        self._solved = [False] * agents
        self._end = -1

    def hear(self, success: NDArray[np.bool_], updates: int) -> None:
        """Take the end of an episode: which agents succeeded `[A]`, and how many updates are done."""
        training = self._training
        if training.solved is None:
            return
        self._recent = [*self._recent, success.tolist()][-training.solved_episodes :]
        if len(self._recent) == training.solved_episodes:
            shares = np.mean(self._recent, axis=0).tolist()
            self._solved = [was or share >= training.solved for was, share in zip(self._solved, shares, strict=True)]
        if self._end < 0 and all(self._solved):
            self._end = updates + training.solved_updates

    def is_over(self, updates: int) -> bool:
        """Whether this is the end."""
        return 0 <= self._end <= updates

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"recent": self._recent, "solved": self._solved, "end": self._end}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._recent, self._solved, self._end = state["recent"], state["solved"], state["end"]


_POLICIES, _UPDATES = "policies.npy", "updates.npy"


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
        if len(self.agents) == 1:
            return f"SAC of {self.tasks[0]}, run {self.seeds[0]}"
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
            params, updates = _train_reference(self, clones, report)
            np.save(work / _POLICIES, params)
        else:
            with environments([task for task, _ in self.agents], device()) as envs:
                updates = self.begin(clones, envs, work, report).run()
            checkpoint = work / f"{PREFIX}{_POLICIES}"
            if len(updates) == self.training.kept_policies:
                link_or_copy(checkpoint, work / _POLICIES)  # a kill before the artifact is whole costs nothing
            else:  # it was over before the last update
                np.save(work / _POLICIES, np.load(checkpoint, mmap_mode="r")[: len(updates)])
        np.save(work / _UPDATES, updates)

    def begin(self, clones: Clones, envs: Environments, work: Path, report: Report) -> TrainingRun:
        """The run, which goes on from its checkpoint in `work` if there is one."""
        return TrainingRun(self, clones, envs, work, report)

    def load(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Flat parameters `[checkpoints, agents, P]`, mapped from their file, and each one's number of updates."""
        return np.load(path / _POLICIES, mmap_mode="r"), np.load(path / _UPDATES)


def start_actors(stage: TrainSAC, clones: Clones) -> Parameters | None:
    """The agents' initial actors: their task's clone, or None on routes from random weights."""
    if stage.clones.route != "clones":
        return None
    tasks = stage.clones.seen_tasks + stage.clones.unseen_tasks
    rows = torch.tensor([tasks.index(agent.task) for agent in stage.agents])
    return {name: tensor[rows] for name, tensor in clones.actors.items()}


def agent_seeds(stage: TrainSAC) -> list[int]:
    """Two seeds for all randomness of this stack, from the collection's seed and every agent's task and seed."""
    agents = [task_place(task) * 1000 + seed for task, seed in stage.agents]
    return [int(word) for word in np.random.SeedSequence([stage.clones.seed, *agents]).generate_state(2)]


def _train_reference(stage: TrainSAC, clones: Clones, report: Report) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Train a stage's agents one after the other; returns what the batched collector returns.

    Raises:
        UserError: stable-baselines3 is missing, or settings that its SAC does not have are switched on.
    """
    from hyprepro.collect.sac.reference import actor_of, load_actor, reference_sac
    from hyprepro.domains.metaworld.gym import MetaWorldGym

    settings = stage.training
    if settings.sac.cloning_weight or settings.sac.normalise_q or settings.critic_updates or settings.solved:
        raise UserError(
            "stable-baselines3's SAC has no cloning term, no normalised actor loss, no critic head start and no end "
            "before the last update.",
            where="SACTraining.trainer = 'stable-baselines3'",
            fix="bind SACSettings.cloning_weight=0.0, SACSettings.normalise_q=False, SACTraining.critic_updates=0, "
            "SACTraining.solved=None",
        )
    start = start_actors(stage, clones)
    every, seed = settings.checkpoint_every, agent_seeds(stage)[0]
    kept = []
    for number, agent in enumerate(stage.agents):
        goals = partial(training_goal, agent, collection=stage.clones.seed)
        env = MetaWorldGym(agent.task, goals, settings.episode_steps, clones.normaliser.apply)
        model = reference_sac(settings, env, (seed + number) % 2**32)
        if start is not None:
            load_actor(model, {name: tensor[number] for name, tensor in start.items()})
        policies = [actor_of(model)]
        while model._n_updates < settings.updates:
            steps = round(every / settings.updates_per_step) + (settings.first_steps if len(policies) == 1 else 0)
            model.learn(steps, reset_num_timesteps=False)
            policies.append(actor_of(model))
            report.progress(number * settings.updates + model._n_updates, len(stage.agents) * settings.updates)
        flat = [to_flat(p, METAWORLD_LAYOUT, clones.normaliser)[0] for p in policies]
        kept.append(np.stack(flat[: 1 + settings.updates // every]))
    updates = every * np.arange(len(kept[0]), dtype=np.int64)
    return np.stack(kept, axis=1), updates


class TrainingRun(TaskLoop):
    """Training of one stack; the kept policies are in a file of their own."""

    def __init__(self, stage: TrainSAC, clones: Clones, envs: Environments, work: Path, report: Report) -> None:
        settings, count, seeds = stage.training, len(stage.agents), agent_seeds(stage)
        files, kept = [f"{PREFIX}{_POLICIES}"], (settings.kept_policies, count, METAWORLD_LAYOUT.size)
        super().__init__(work, files, (seeds[0], seeds[1]), settings, stage.agents, envs, clones.normaliser)
        self.checkpoint_every, self.report = settings.checkpoint_every, report
        self.is_labelled, self.starts_at_random = bool(settings.sac.cloning_weight), stage.clones.route != "clones"
        self.collection = stage.clones.seed
        start = start_actors(stage, clones)
        sac = StackedSAC(settings.sac, METAWORLD_LAYOUT, count, self.generator, start, device())
        if sac.device.type != "cpu":
            self.generator = torch.Generator(sac.device).manual_seed(seeds[0])
        self.equip(sac, stage.room)
        self.sac: StackedSAC = sac
        self.policies = open_mapped(work / files[0], kept, self.checkpoints.is_new)
        self.kept = 0
        self.stopping = Stopping(settings, count)

    def start(self) -> None:
        """The first kept policy is the one that the actor starts from."""
        self.after_updates()

    def run(self) -> NDArray[np.int64]:
        """Train until it is over; the number of updates of each policy in the file."""
        self.train()
        self.policies.flush()
        return self.schedule.critic_updates + self.checkpoint_every * np.arange(self.kept, dtype=np.int64)

    def goal(self, agent: Agent) -> Goal:
        return training_goal(agent, self.episode, self.collection)

    def act(self, observations: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """From random weights, random actions before the first update."""
        if self.starts_at_random and self.steps < self.schedule.first_steps:
            return self.rng.uniform(-1.0, 1.0, labels.shape).astype(np.float32)
        return super().act(observations, labels)

    def after_updates(self) -> None:
        """Keep a policy if it is time."""
        after = self.updates - self.schedule.critic_updates
        if after == self.kept * self.checkpoint_every:
            self.policies[self.kept] = to_flat(self.sac.actor, METAWORLD_LAYOUT, self.normaliser)
            self.kept += 1

    def end_episode(self) -> None:
        """Remember and tell how it went."""
        self.stopping.hear(self.success, self.updates)
        metrics = {"success": float(self.success.mean()), "episode_return": float(self.returns.mean())}
        self.report.progress(self.updates, self.schedule.updates, **metrics)

    @property
    def is_over(self) -> bool:
        return self.stopping.is_over(self.updates)

    def mapped(self) -> list[Flushes]:
        """The kept policies too."""
        return [*super().mapped(), self.policies]

    def state(self) -> dict[str, Any]:
        """How many policies are kept too, and how near the end is."""
        return {**super().state(), "kept": self.kept, "stopping": self.stopping.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""
        super().restore(state)
        self.kept = state["kept"]
        self.stopping.restore(state["stopping"])

"""The stage that trains one policy for all tasks, with its learning curve, and what comes out of it.

The learning curve has, besides success, how often the tasks' gradients are opposed: for each pair of tasks the share of
some batches in which the product of their gradients of the shared parameters is negative.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hyprepro.collect.metaworld.settings import SAC, SCORING, Agent, task_goal
from hyprepro.collect.metaworld.stepping import LocalEnvironments
from hyprepro.collect.metaworld.training import TaskLoop
from hyprepro.collect.sac.networks import Normaliser
from hyprepro.collect.sac.replay import Room
from hyprepro.domains.metaworld.tasks import COLLECTION, SEEN_TASKS, UNSEEN_TASKS, Goal
from hyprepro.engine import training
from hyprepro.engine.stage import Report, Stage
from hyprepro.methods.multitask.architecture import Architecture, Sizes
from hyprepro.methods.multitask.gradients import Gradient, negative
from hyprepro.methods.multitask.layers import Actor, Critic
from hyprepro.methods.multitask.learner import MultiTaskLearner
from hyprepro.methods.multitask.method import MultiTaskTraining
from hyprepro.methods.multitask.session import MultiTaskPolicy
from hyprepro.methods.multitask.text import EmbedDescriptions, require
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.training_data import training_observations

CURVE, PARAMETERS, TOLD = "learning_curve.json", "parameters.json", "texts.json"
GOAL_SEEDS = 4
"""How many sets of training goals there are: seeds that are so far apart share theirs."""
CONFLICT_BATCHES = 8
"""Batches at a point of the learning curve in which the tasks' gradients are compared."""

Curve = list[dict[str, Any]]

_SPLIT = SEEN_TASKS + UNSEEN_TASKS


def training_goal(agent: Agent, episode: int) -> Goal:
    """The goal of a training episode; goals repeat after 1,500 episodes.

    Those of Make-An-Agent's tasks go by the task's place in its split: the results that are kept were trained on them.
    """
    index = agent.seed * 1_500 + episode % 1_500
    if agent.task not in _SPLIT:
        return task_goal(SAC, agent.task, index)
    return _goal_in_split(agent.task, 2_000 + index)


def scoring_goal(task: str, index: int) -> Goal:
    """A goal of the learning curve, which nothing is trained on."""
    return task_goal(SCORING, task, index) if task not in _SPLIT else _goal_in_split(task, 19_000 + index)


def _goal_in_split(task: str, index: int) -> Goal:
    return Goal("fresh", COLLECTION.start + 20_000 * _SPLIT.index(task) + index)


@dataclass(frozen=True)
class TrainMultiTask(Stage):
    """Multi-task SAC on all training tasks.

    Attributes:
        architecture: The networks.
        gradient: How the tasks' gradients become one.
        balanced: Whether a task's losses are weighed by its temperature.
        training: How they are trained.
        texts: The tasks' descriptions as vectors; None: labels tell the tasks.
        stores: Which tasks are for training, and the scale of observations.
        seed: The generator seed.

    Metrics: `success` and `episode_return` of training episodes; `scored_success` of deterministic ones on goals that
    are not trained on; `critic_conflicts` and `actor_conflicts`, the share of pairs of tasks with opposed
    gradients.
    """

    kind: ClassVar[str] = "multitask"
    version: ClassVar[int] = 1

    architecture: Architecture
    gradient: Gradient
    balanced: bool
    training: MultiTaskTraining
    texts: EmbedDescriptions | None
    stores: StoreFiles
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{self.architecture.named(self.gradient.title)}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core: simulation, of the learning curve too, and gradient steps of ten tasks."""
        per_update = 1e-4 * self.training.sac.batch_size * self.architecture.units / 128
        per_update *= 1.7 if self.gradient.mixes else 1.0
        return 10 + 6e-3 * (self.training.steps + self.training.scored_steps) + per_update * self.training.updates

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write the actor with its normaliser, what tells the tasks, the learning curve, numbers of parameters."""
        with self.stores.open_policies() as store:
            tasks = store.training_tasks()
        told = self._told(tasks, inputs)
        rows = torch.from_numpy(np.stack([require(told, task) for task in tasks]))
        normaliser = Normaliser.fit(training_observations(self.stores, "prompts").numpy(), self.training.smallest_scale)
        run = _Run(self, tasks, rows, normaliser, work, report)
        actor, curve = run.run()
        training.save(_Holder(actor, normaliser), rows.shape[1], work)
        (work / CURVE).write_text(json.dumps(curve, indent=1) + "\n", encoding="utf-8")
        (work / TOLD).write_text(json.dumps({t: v.tolist() for t, v in told.items()}), encoding="utf-8")
        sizes = {name: sum(map(torch.Tensor.numel, part.values())) for name, part in run.parts.items()}
        (work / PARAMETERS).write_text(json.dumps(sizes), encoding="utf-8")

    def load(self, path: Path) -> MultiTaskPolicy:
        """The trained policy, frozen."""
        holder = training.load(path, lambda told: _Holder(self.build(told)[0], None))
        texts = json.loads((path / TOLD).read_text(encoding="utf-8"))
        told = {task: np.array(vector, dtype=np.float32) for task, vector in texts.items()}
        normaliser = Normaliser(holder.mean.numpy(), holder.scale.numpy())
        return MultiTaskPolicy(holder.actor, normaliser, told, self.texts is None)

    def build(self, told: int) -> tuple[Actor, Critic]:
        """Untrained networks for tasks that so many numbers tell."""
        layout = METAWORLD_LAYOUT
        return self.architecture.build(Sizes(layout.observation_size, layout.action_size, told))

    def curve(self, path: Path) -> Curve:
        """The learning curve: a row a point with updates, environment steps a task, success by task, and conflicts.

        These are shares by pair of tasks, for `critic` and `actor`, in the order of `itertools.combinations` of the
        tasks.
        """
        found: Curve = json.loads((path / CURVE).read_text(encoding="utf-8"))
        return found

    def parameter_counts(self, path: Path) -> dict[str, int]:
        """How many numbers are trained: of `actor` and of `critics`."""
        found: dict[str, int] = json.loads((path / PARAMETERS).read_text(encoding="utf-8"))
        return found

    def _told(self, tasks: list[str], inputs: dict[str, Path]) -> dict[str, NDArray[np.float32]]:
        """What tells each task."""
        if self.texts is not None:
            return self.texts.load(inputs["texts"])
        return dict(zip(tasks, np.eye(len(tasks), dtype=np.float32), strict=True))


class _Holder(torch.nn.Module):
    """An actor and its normaliser in one file."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, actor: nn.Module, normaliser: Normaliser | None) -> None:
        super().__init__()
        self.actor = actor
        size = METAWORLD_LAYOUT.observation_size
        mean, scale = (np.zeros(size), np.ones(size)) if normaliser is None else (normaliser.mean, normaliser.scale)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))


class _Run(TaskLoop):
    """Training of all tasks, with points of the learning curve between episodes."""

    sac: MultiTaskLearner
    envs: LocalEnvironments

    def __init__(
        self,
        stage: TrainMultiTask,
        tasks: list[str],
        told: torch.Tensor,
        normaliser: Normaliser,
        work: Path,
        report: Report,
    ) -> None:
        settings, agents = stage.training, [Agent(task, stage.seed % GOAL_SEEDS) for task in tasks]
        envs = LocalEnvironments(tasks)
        super().__init__(work, (), (stage.seed, stage.seed), settings, agents, envs, normaliser)
        self.settings, self.report, self.seed = settings, report, stage.seed
        self.is_labelled = settings.route == "demonstrations"
        with training.seeded(stage.seed):
            networks = stage.build(told.shape[1])
        sac = MultiTaskLearner(
            settings.sac, stage.architecture, networks, told, stage.gradient, stage.balanced, stage.seed,
            action_size=METAWORLD_LAYOUT.action_size,
        )  # fmt: skip
        self.equip(sac, Room.of(settings.replay, settings.steps, settings.episode_steps))
        self.curve: Curve = []

    def run(self) -> tuple[nn.Module, Curve]:
        """Train to the end."""
        self.train()
        return self.sac.trained_actor(), self.curve

    @property
    def parts(self) -> dict[str, dict[str, torch.Tensor]]:
        """What is trained, by part."""
        return {"actor": self.sac.actor, "critics": self.sac.critic}

    def goal(self, agent: Agent) -> Goal:
        return training_goal(agent, self.episode)

    def act(self, observations: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Before the first update, the scripted experts with noise, or chance."""
        if self.steps >= self.schedule.first_steps:
            return super().act(observations, labels)
        if not self.is_labelled:
            return self.rng.uniform(-1.0, 1.0, labels.shape).astype(np.float32)
        noise = self.settings.first_noise * (self.episode % 2) * self.rng.standard_normal(labels.shape)
        return np.clip(labels + noise, -1.0, 1.0).astype(np.float32)

    def end_episode(self) -> None:
        """Tell how it went, and score if it is time."""
        metrics = {"success": float(self.success.mean()), "episode_return": float(self.returns.mean())}
        due = self.settings.score_every * (1 + len(self.curve))
        if self.updates >= min(due, self.settings.updates):
            metrics |= self._score()
        self.report.progress(self.steps, self.settings.steps, **metrics)

    def _score(self) -> dict[str, float]:
        """A point of the learning curve: deterministic episodes of the training length on goals of their own."""
        solved = np.zeros(len(self.agents))
        still = torch.zeros(len(self.agents), self.sac.action_size)
        for number in range(self.settings.score_goals):
            raw = self.envs.reset([scoring_goal(agent.task, number) for agent in self.agents])
            success = np.zeros(len(raw), dtype=bool)
            for _ in range(self.settings.episode_steps):
                actions = self.sac.act(torch.from_numpy(self.normaliser.apply(raw)), still)
                raw, done = self.envs.advance(actions)
                success |= done
            solved += success
        shares = solved / self.settings.score_goals
        by_task = {agent.task: float(share) for agent, share in zip(self.agents, shares, strict=True)}
        conflicts = self._conflicts() if len(self.agents) > 1 else {}
        told = {"conflicts": {part: pairs.tolist() for part, pairs in conflicts.items()}} if conflicts else {}
        self.curve.append({"updates": self.updates, "steps_a_task": self.steps, "success": by_task, **told})
        means = {f"{part}_conflicts": float(pairs.mean()) for part, pairs in conflicts.items()}
        return {"scored_success": float(shares.mean()), **means}

    def _conflicts(self) -> dict[str, NDArray[np.float64]]:
        """For each pair of tasks the share of batches in which their gradients are opposed; by draws of its own."""
        rng = np.random.default_rng([self.seed, self.updates])
        generator = torch.Generator().manual_seed(self.updates)
        shape = (2, len(self.agents), self.settings.sac.batch_size, self.sac.action_size)
        found: dict[str, list[NDArray[np.bool_]]] = {}
        for _ in range(CONFLICT_BATCHES):
            noise, next_noise = torch.randn(shape, generator=generator)
            batch = self.replay.sample(self.settings.sac.batch_size, rng)
            for part, products in self.sac.products(batch, noise, next_noise).items():
                found.setdefault(part, []).append(negative(products))
        return {part: np.mean(each, axis=0) for part, each in found.items()}

    def state(self) -> dict[str, Any]:
        """The learning curve too."""
        return {**super().state(), "curve": json.dumps(self.curve)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""
        super().restore(state)
        self.curve = json.loads(state["curve"])

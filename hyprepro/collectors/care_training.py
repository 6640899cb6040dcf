"""The stage that trains CARE on the seen tasks, with its learning curve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collectors.care import CareNetwork, CareTraining
from hyprepro.collectors.care_sac import CareSAC
from hyprepro.collectors.checkpoint import PREFIX, Checkpoints
from hyprepro.collectors.collection import SCORING_GOALS, Agent, task_goal, training_goal
from hyprepro.collectors.networks import Normaliser
from hyprepro.collectors.replay import Replay, Room
from hyprepro.collectors.scripted import expert_action
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.tasks import COLLECTION
from hyprepro.engine import training
from hyprepro.engine.stage import Report, Stage, StoreFile
from hyprepro.methods.care.network import CareActor
from hyprepro.methods.care.text import EmbedDescriptions, require
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.training_data import training_observations, training_tasks

WEIGHTS = "actor.safetensors"
CURVE = "learning_curve.json"
_REPLAY = f"{PREFIX}replay.npy"
GOAL_SEEDS = 4
"""SAC seeds whose training goals the episodes of a seed go through (see `collection.training_goal`)."""

Curve = list[dict[str, Any]]


@dataclass(frozen=True)
class CarePolicy:
    """The trained actor with all that it needs to act in any task that is described.

    Attributes:
        actor: The actor, frozen.
        normaliser: Of observations.
        vectors: The description's vector of each task.
    """

    actor: CareActor
    normaliser: Normaliser
    vectors: dict[str, NDArray[np.float32]]

    def layers(self, task: str) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """The task's deterministic policy as ReLU layers on raw observations: weights `[in, out]`, biases `[out]`.

        Raises:
            UserError: The task has no description.
        """
        found = [
            (weight.numpy().astype(np.float64), bias.numpy().astype(np.float64))
            for weight, bias in self.actor.layers(torch.from_numpy(require(self.vectors, task)))
        ]
        weight = found[0][0] / self.normaliser.scale[:, None]
        found[0] = (weight, found[0][1] - self.normaliser.mean @ weight)
        return [(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in found]


@dataclass(frozen=True)
class TrainCare(Stage):
    """Multi-task SAC on all training tasks.

    Attributes:
        texts: The tasks' descriptions as vectors.
        network: The networks.
        training: How they are trained.
        policies: The policy store: which tasks are for training.
        trajectories: The trajectory store: the scale of observations.
        seed: The generator seed.

    Metrics: `success` and `episode_return` of training episodes, `scored_success` of deterministic ones on goals that
    are not trained on.
    """

    kind: ClassVar[str] = "care"
    version: ClassVar[int] = 1

    texts: EmbedDescriptions
    network: CareNetwork
    training: CareTraining
    policies: StoreFile
    trajectories: StoreFile
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"CARE, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Seconds on one slow core: simulation and gradient steps of ten tasks."""
        per_update = 1e-4 * self.training.sac.batch_size * sum(self.network.hidden) / 128
        return 10 + 6e-3 * self.training.steps + per_update * self.training.updates

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write the actor, its normaliser's numbers beside it, and learning_curve.json."""
        files = StoreFiles(self.policies, self.trajectories)
        with files.open_policies() as store:
            tasks = training_tasks(store)
        vectors = self.texts.load(inputs["texts"])
        embeddings = torch.from_numpy(np.stack([require(vectors, task) for task in tasks]))
        normaliser = Normaliser.fit(training_observations(files, "prompts").numpy(), self.training.smallest_scale)
        run = _Run(self, tasks, embeddings, normaliser, work, report)
        actor, curve = run.run()
        holder = _Holder(actor, normaliser)
        training.save_weights(holder, work / WEIGHTS)
        training.write_sizes(work, (embeddings.shape[1], len(tasks)))
        (work / CURVE).write_text(json.dumps(curve, indent=1) + "\n", encoding="utf-8")
        (work / "texts.json").write_text(json.dumps({t: v.tolist() for t, v in vectors.items()}), encoding="utf-8")

    def load(self, path: Path) -> CarePolicy:
        """The trained policy, frozen."""
        from hyprepro.gen_hyprl.blocks import frozen

        actor, _ = self.network.build(training.sizes_in(path)[0])
        holder = _Holder(actor, None)
        training.load_weights(holder, path / WEIGHTS)
        texts = json.loads((path / "texts.json").read_text(encoding="utf-8"))
        vectors = {task: np.array(vector, dtype=np.float32) for task, vector in texts.items()}
        return CarePolicy(frozen(holder).actor, Normaliser(holder.mean.numpy(), holder.scale.numpy()), vectors)

    def curve(self, path: Path) -> Curve:
        """The learning curve: a row a point with updates, environment steps a task, and success by task."""
        found: Curve = json.loads((path / CURVE).read_text(encoding="utf-8"))
        return found


class _Holder(torch.nn.Module):
    """An actor and its normaliser in one file."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, actor: CareActor, normaliser: Normaliser | None) -> None:
        super().__init__()
        self.actor = actor
        size = METAWORLD_LAYOUT.observation_size
        mean, scale = (np.zeros(size), np.ones(size)) if normaliser is None else (normaliser.mean, normaliser.scale)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))


class _Run:
    """Lockstep episodes and updates of all tasks; transitions are in a file of their own.

    A checkpoint at an episode's end holds the rest of the state, and how many of the transitions count.
    """

    def __init__(
        self,
        stage: TrainCare,
        tasks: list[str],
        embeddings: torch.Tensor,
        normaliser: Normaliser,
        work: Path,
        report: Report,
    ) -> None:
        self.settings, self.normaliser, self.report = stage.training, normaliser, report
        self.agents = [Agent(task, stage.seed % GOAL_SEEDS) for task in tasks]
        self.generator = torch.Generator().manual_seed(stage.seed)
        self.rng = np.random.default_rng(stage.seed)
        with training.seeded(stage.seed):
            actor, critic = stage.network.build(embeddings.shape[1])
        self.sac = CareSAC(self.settings.sac, actor, critic, embeddings, stage.network.tied)
        layout = METAWORLD_LAYOUT
        self.shape = (len(tasks), layout.action_size)
        self.checkpoints = Checkpoints(work, [_REPLAY])
        capacity, slots = Room.of(self.settings.replay, self.settings.steps, self.settings.episode_steps)
        sizes, file = (layout.observation_size, layout.action_size), work / _REPLAY
        self.replay = Replay(len(tasks), capacity, *sizes, slots=slots, file=file, is_new=self.checkpoints.is_new)
        self.envs = [MetaWorldEnv(task) for task in tasks]
        self.curve: Curve = []
        self.episode = self.steps = self.updates = 0

    def run(self) -> tuple[CareActor, Curve]:
        """Train to the end."""
        self._restore()
        while self.updates < self.settings.updates:
            success, returns = self._episode()
            metrics = {"success": float(success.mean()), "episode_return": float(returns.mean())}
            due = self.settings.score_every * (1 + len(self.curve))
            if self.updates >= min(due, self.settings.updates):
                metrics["scored_success"] = self._score()
            self.report.progress(self.steps, self.settings.steps, **metrics)
            if self.checkpoints.due or self.replay.overwrites(self.settings.episode_steps):
                self._checkpoint()
        return self.sac.trained_actor(), self.curve

    def _episode(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """One episode of every task, with the updates that fall into it; success and return `[A]`."""
        goals = [training_goal(agent, self.episode) for agent in self.agents]
        raw = np.stack([env.reset(goal) for env, goal in zip(self.envs, goals, strict=True)])
        success, returns = np.zeros(len(raw), dtype=bool), np.zeros(len(raw))
        for _ in range(self.settings.episode_steps):
            observations, labels = self.normaliser.apply(raw), self._labels(raw)
            actions = self._actions(observations, labels)
            outcomes = [env.step(action) for env, action in zip(self.envs, actions, strict=True)]
            raw = np.stack([outcome[0] for outcome in outcomes])
            rewards = np.array([outcome[1] for outcome in outcomes])
            success |= np.array([outcome[2] for outcome in outcomes])
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

    def _labels(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.settings.route == "scratch":
            return np.zeros(self.shape, dtype=np.float32)
        return np.stack([expert_action(agent.task, each) for agent, each in zip(self.agents, raw, strict=True)])

    def _actions(self, observations: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.steps >= self.settings.first_steps:
            return self.sac.act(torch.from_numpy(observations), torch.randn(self.shape, generator=self.generator))
        if self.settings.route == "scratch":
            return self.rng.uniform(-1.0, 1.0, self.shape).astype(np.float32)
        noise = self.settings.first_noise * (self.episode % 2) * self.rng.standard_normal(self.shape)
        return np.clip(labels + noise, -1.0, 1.0).astype(np.float32)

    def _update(self) -> None:
        settings = self.settings
        shape = (self.shape[0], settings.sac.batch_size, self.shape[1])
        noise = torch.randn((2, *shape), generator=self.generator)
        batch = self.replay.sample(settings.sac.batch_size, self.rng)
        self.sac.update(batch, noise[0], noise[1], train_actor=self.updates >= settings.critic_updates)
        self.updates += 1

    def _score(self) -> float:
        """A point of the learning curve: deterministic episodes of the training length on goals of their own."""
        solved = np.zeros(len(self.envs))
        for number in range(self.settings.score_goals):
            goals = [task_goal(COLLECTION, agent.task, SCORING_GOALS + number) for agent in self.agents]
            raw = np.stack([env.reset(goal) for env, goal in zip(self.envs, goals, strict=True)])
            success = np.zeros(len(raw), dtype=bool)
            for _ in range(self.settings.episode_steps):
                actions = self.sac.act(torch.from_numpy(self.normaliser.apply(raw)), torch.zeros(self.shape))
                outcomes = [env.advance(action) for env, action in zip(self.envs, actions, strict=True)]
                raw = np.stack([observation for observation, _ in outcomes])
                success |= np.array([done for _, done in outcomes])
            solved += success
        shares = solved / max(self.settings.score_goals, 1)
        by_task = {agent.task: float(share) for agent, share in zip(self.agents, shares, strict=True)}
        self.curve.append({"updates": self.updates, "steps_a_task": self.steps, "success": by_task})
        return float(shares.mean())

    def _checkpoint(self) -> None:
        state: dict[str, Any] = {
            "sac": self.sac.state(),
            "curve": json.dumps(self.curve),
            "counts": [self.replay.added, self.episode, self.steps, self.updates],
            "generator": self.generator.get_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        self.checkpoints.save(state, self.replay)
        self.replay.saved()

    def _restore(self) -> None:
        state = self.checkpoints.load()
        if state is None:
            return
        self.sac.restore(state["sac"])
        self.curve = json.loads(state["curve"])
        added, self.episode, self.steps, self.updates = state["counts"]
        self.replay.restore(added)
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = json.loads(state["rng"])

"""The stage that trains CARE on the seen tasks, with its learning curve: multi-task SAC on networks that tasks share.

The update is that of all learners (`hyprepro.collect.sac.update`), with gradients by autograd.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from hyprepro.collect.metaworld.settings import SAC, SCORING, Agent, task_goal
from hyprepro.collect.metaworld.stepping import LocalEnvironments
from hyprepro.collect.metaworld.training import TaskLoop
from hyprepro.collect.sac.agents import Agents
from hyprepro.collect.sac.networks import Normaliser
from hyprepro.collect.sac.replay import Room
from hyprepro.collect.sac.settings import SACSettings
from hyprepro.collect.sac.update import ActorLoss, Adam, Batch, Critics, SACUpdate, Sample
from hyprepro.domains.metaworld.tasks import COLLECTION, SEEN_TASKS, UNSEEN_TASKS, Goal
from hyprepro.engine import training
from hyprepro.engine.stage import Report, Stage
from hyprepro.methods.care.network import CareActor, CareCritic
from hyprepro.methods.care.settings import CareNetwork, CareTraining
from hyprepro.methods.care.text import EmbedDescriptions, require
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.training_data import training_observations, training_tasks

_ENCODER = "encoder."


class CareSAC(SACUpdate, Agents):
    """SAC for A tasks with one actor, one pair of critics, and a temperature a task.

    Losses are one a task, `[A]`; their sum is descended.

    Args:
        settings: SACSettings; the batch is that of one task.
        actor: The actor; its encoder's weights are unused when tied.
        critic: The critics.
        embeddings: Vectors of the tasks' descriptions `[A, E]`.
        tied: Whether the actor sees through the critics' encoder, without training it.
    """

    def __init__(
        self, settings: SACSettings, actor: CareActor, critic: CareCritic, embeddings: Tensor, tied: bool
    ) -> None:
        log_alpha = torch.full((len(embeddings),), math.log(settings.initial_temperature))
        log_alpha.grad = torch.zeros_like(log_alpha)
        super().__init__(settings, METAWORLD_LAYOUT.action_size, log_alpha)
        self.agents, self.device = len(embeddings), torch.device("cpu")
        self._actor_network, self._critic_network = actor, critic
        self._embeddings, self._tied = embeddings, tied
        self.actor = _parameters(actor, without=_ENCODER if tied else None)
        self.critic = _parameters(critic)
        self.target = {name: tensor.detach().clone() for name, tensor in self.critic.items()}
        self._of_actor = Adam([*self.actor.values(), log_alpha], settings.learning_rate)
        self._of_critic = Adam(list(self.critic.values()), settings.learning_rate)

    @torch.inference_mode()
    def act(self, observations: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """See `Agents`; without noise it is the mode."""
        mean, log_std = self.policy(observations.unsqueeze(1))[:, :, 0].chunk(2, 1)
        return torch.tanh(mean + log_std.exp() * noise).numpy()

    def update(self, batch: Batch, noise: Tensor, next_noise: Tensor, train_actor: bool = True) -> dict[str, Tensor]:
        """See `Agents`."""
        return self(batch, noise, next_noise, train_actor)._asdict()

    def tensors(self) -> list[Tensor]:
        """See `Agents`."""
        networks = [t.detach() for part in (self.actor, self.critic, self.target) for t in part.values()]
        moments = [t for each in (self._of_actor, self._of_critic) for t in (*each.moments, each.steps)]
        return [*networks, self.log_alpha, *moments]

    def policy(self, observations: Tensor) -> Tensor:
        """See `SACUpdate`."""
        found = functional_call(self._actor_network, self._actor_parameters(), (observations, self._embeddings))
        return torch.cat(found, -1).mT

    def values(self, observations: Tensor | None, actions: Tensor, which: Critics = "critic") -> Tensor:
        """See `SACUpdate`."""
        if observations is not None:
            self._seen = observations
        critic = self.target if which == "target" else self.critic
        if which == "frozen":
            critic = {name: tensor.detach() for name, tensor in critic.items()}
        found = functional_call(self._critic_network, critic, (self._seen, actions, self._embeddings))
        return cast(Tensor, found)

    def descend_critic(self, loss: Tensor, error: Tensor) -> None:
        """See `SACUpdate`."""
        self._of_critic.step(torch.autograd.grad(loss.sum(), list(self.critic.values())))

    def descend_actor(self, found: ActorLoss, sample: Sample) -> None:
        """See `SACUpdate`."""
        gradients = torch.autograd.grad(found.loss.sum(), list(self.actor.values()))
        assert self.log_alpha.grad is not None
        self._of_actor.step([*gradients, self.log_alpha.grad])

    @torch.no_grad()
    def follow(self) -> None:
        """See `SACUpdate`."""
        torch._foreach_lerp_(list(self.target.values()), list(self.critic.values()), self.settings.polyak)

    def trained_actor(self) -> CareActor:
        """The actor with the encoder that it sees through."""
        with torch.no_grad():
            for name, tensor in self._actor_network.named_parameters():
                tensor.copy_(self._actor_parameters()[name])
        return self._actor_network

    def _actor_parameters(self) -> dict[str, Tensor]:
        if not self._tied:
            return self.actor
        shared = {name: tensor.detach() for name, tensor in self.critic.items() if name.startswith(_ENCODER)}
        return {**self.actor, **shared}


def _parameters(network: nn.Module, without: str | None = None) -> dict[str, Tensor]:
    return {
        name: tensor for name, tensor in network.named_parameters() if without is None or not name.startswith(without)
    }


CURVE = "learning_curve.json"
GOAL_SEEDS = 4
"""How many sets of training goals there are: seeds that are so far apart share theirs."""

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
class TrainCare(Stage):
    """Multi-task SAC on all training tasks.

    Attributes:
        texts: The tasks' descriptions as vectors.
        network: The networks.
        training: How they are trained.
        stores: Which tasks are for training, and the scale of observations.
        seed: The generator seed.

    Metrics: `success` and `episode_return` of training episodes, `scored_success` of deterministic ones on goals that
    are not trained on.
    """

    kind: ClassVar[str] = "care"
    version: ClassVar[int] = 1

    texts: EmbedDescriptions
    network: CareNetwork
    training: CareTraining
    stores: StoreFiles
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
        with self.stores.open_policies() as store:
            tasks = training_tasks(store)
        vectors = self.texts.load(inputs["texts"])
        embeddings = torch.from_numpy(np.stack([require(vectors, task) for task in tasks]))
        normaliser = Normaliser.fit(training_observations(self.stores, "prompts").numpy(), self.training.smallest_scale)
        run = _Run(self, tasks, embeddings, normaliser, work, report)
        actor, curve = run.run()
        holder = _Holder(actor, normaliser)
        training.save(holder, embeddings.shape[1], work)
        (work / CURVE).write_text(json.dumps(curve, indent=1) + "\n", encoding="utf-8")
        (work / "texts.json").write_text(json.dumps({t: v.tolist() for t, v in vectors.items()}), encoding="utf-8")

    def load(self, path: Path) -> CarePolicy:
        """The trained policy, frozen."""
        holder = training.load(path, lambda size: _Holder(self.network.build(size)[0], None))
        texts = json.loads((path / "texts.json").read_text(encoding="utf-8"))
        vectors = {task: np.array(vector, dtype=np.float32) for task, vector in texts.items()}
        return CarePolicy(holder.actor, Normaliser(holder.mean.numpy(), holder.scale.numpy()), vectors)

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


class _Run(TaskLoop):
    """Training of all tasks, with points of the learning curve between episodes."""

    sac: CareSAC
    envs: LocalEnvironments

    def __init__(
        self,
        stage: TrainCare,
        tasks: list[str],
        embeddings: torch.Tensor,
        normaliser: Normaliser,
        work: Path,
        report: Report,
    ) -> None:
        settings, agents = stage.training, [Agent(task, stage.seed % GOAL_SEEDS) for task in tasks]
        envs = LocalEnvironments(tasks)
        super().__init__(work, (), (stage.seed, stage.seed), settings, agents, envs, normaliser)
        self.settings, self.report = settings, report
        self.is_labelled = settings.route == "demonstrations"
        with training.seeded(stage.seed):
            actor, critic = stage.network.build(embeddings.shape[1])
        sac = CareSAC(settings.sac, actor, critic, embeddings, stage.network.tied)
        self.equip(sac, Room.of(settings.replay, settings.steps, settings.episode_steps))
        self.curve: Curve = []

    def run(self) -> tuple[CareActor, Curve]:
        """Train to the end."""
        self.train()
        return self.sac.trained_actor(), self.curve

    def goal(self, agent: Agent) -> Goal:
        """See `TaskLoop`."""
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
            metrics["scored_success"] = self._score()
        self.report.progress(self.steps, self.settings.steps, **metrics)

    def _score(self) -> float:
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
        shares = solved / max(self.settings.score_goals, 1)
        by_task = {agent.task: float(share) for agent, share in zip(self.agents, shares, strict=True)}
        self.curve.append({"updates": self.updates, "steps_a_task": self.steps, "success": by_task})
        return float(shares.mean())

    def state(self) -> dict[str, Any]:
        """The learning curve too."""
        return {**super().state(), "curve": json.dumps(self.curve)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""
        super().restore(state)
        self.curve = json.loads(state["curve"])

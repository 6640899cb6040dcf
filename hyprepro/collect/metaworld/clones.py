"""Clones of metaworld's scripted experts by DAgger (Ross et al. 2011), all tasks as one stack: the stage and its steps.

First a *parent*: one network for the seen tasks whose only task-specific parameters are the first layer's biases, which
is what a one-hot task input amounts to once folded into the bias. Then one ordinary policy a task, starting from the
parent, trained on with its own data. Policies that share a parent lie in one smooth region of weight space. The parent
never sees an unseen task; those tasks' clones start from the parent with the mean of its biases and serve as sources of
prompts only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from hyprepro.collect.metaworld.settings import CLONING, CloneSettings, Route, task_goal
from hyprepro.collect.sac.checkpoint import load_checkpoint, save_checkpoint
from hyprepro.collect.sac.networks import Normaliser, Parameters, actor_features, actor_sizes, mlp_parameters
from hyprepro.domains.metaworld.env import MetaWorldEnv, scripted_action
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.engine.stage import Report, Stage
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout


@dataclass
class Dataset:
    """One task's states and the expert's actions there, raw observations `[n, 39]` and actions `[n, 4]`, float32."""

    observations: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """All rows so far."""
        return np.concatenate(self.observations), np.concatenate(self.actions)


Act = Callable[[NDArray[np.float64]], NDArray[np.floating[Any]]]


def labelled_episode(
    env: MetaWorldEnv, goal: Goal, act: Act | None, settings: CloneSettings, noise: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """Run one episode with `act` (the expert itself if None) and label every visited state with the expert's action.

    Returns:
        Observations `[T, 39]`, expert actions `[T, 4]`, and whether the episode succeeded.
    """
    observation = env.reset(goal)
    observations, labels, left = [], [], None
    for _ in range(settings.episode_steps):
        label = scripted_action(env.task, observation)
        action = label if act is None else act(observation)
        observations.append(observation.astype(np.float32))
        labels.append(label)
        if noise:
            action = np.clip(action + noise * rng.standard_normal(4), -1.0, 1.0)
        observation, success = env.advance(action)
        if success and left is None:
            left = settings.steps_after_success
        if left is not None:
            if left == 0:
                break
            left -= 1
    return np.stack(observations), np.stack(labels), left is not None


def parent_parameters(
    layout: PolicyLayout, tasks: int, settings: CloneSettings, generator: torch.Generator
) -> Parameters:
    """A parent for `tasks` tasks: every tensor shared `[1, ...]` but the first layer's bias `[tasks, 1, hidden]`."""
    parameters = random_actors(layout, 1, settings, generator)
    parameters["linear1.bias"] = parameters["linear1.bias"].repeat(tasks, 1, 1)
    return parameters


def random_actors(layout: PolicyLayout, tasks: int, settings: CloneSettings, generator: torch.Generator) -> Parameters:
    """A random network for each of `tasks` tasks, every tensor `[tasks, ...]`; the log-std heads are constants."""
    parameters = mlp_parameters(actor_sizes(layout), tasks, generator)
    parameters["log_std.weight"] = torch.zeros_like(parameters["log_std.weight"])
    parameters["log_std.bias"] = torch.full_like(parameters["log_std.bias"], settings.initial_log_std)
    return parameters


def children(parent: Parameters, seen: int, unseen: int) -> Parameters:
    """One full set of parameters a task: the seen tasks with their own bias, then the unseen ones with their mean."""
    bias = parent["linear1.bias"]
    bias = torch.cat((bias, bias.mean(0, keepdim=True).expand(unseen, -1, -1)))
    stacked = {
        name: tensor.expand(seen + unseen, -1, -1).clone() for name, tensor in parent.items() if name != "linear1.bias"
    }
    return {"linear1.bias": bias.clone(), **stacked}


def clone(
    parameters: Parameters,
    datasets: list[Dataset],
    normaliser: Normaliser,
    settings: CloneSettings,
    updates: int,
    decay: bool,
    rng: np.random.Generator,
) -> None:
    """Fit the stacked actors to their data by the squared distance of tanh(mean) to the expert's actions, in place."""
    data = [dataset.arrays() for dataset in datasets]
    inputs = [torch.from_numpy(normaliser.apply(observations)) for observations, _ in data]
    labels = [torch.from_numpy(actions) for _, actions in data]
    trained = [tensor.requires_grad_() for name, tensor in parameters.items() if not name.startswith("log_std")]
    optimiser = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    for step in range(updates):
        if decay:
            optimiser.param_groups[0]["lr"] = settings.learning_rate * (1.0 - 0.99 * step / updates)
        rows = [rng.integers(len(x), size=settings.batch_size) for x in inputs]
        x = torch.stack([x[r] for x, r in zip(inputs, rows, strict=True)])
        y = torch.stack([y[r] for y, r in zip(labels, rows, strict=True)])
        loss = ((torch.tanh(actor_means(parameters, x)) - y) ** 2).mean((1, 2))
        optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for tensor in trained:
        tensor.requires_grad_(False)


def actor_means(parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
    """Mean before the tanh `[A, B, action]`; shared tensors `[1, ...]` serve all A tasks."""
    whole = {name: tensor.expand(len(x), -1, -1) for name, tensor in parameters.items()}
    features = actor_features(whole, x)
    return torch.baddbmm(whole["mean.bias"], features, whole["mean.weight"])


def controller(parameters: Parameters, task: int, normaliser: Normaliser) -> Act:
    """The deterministic policy of one task of the stack, on raw observations."""
    one = {name: tensor[min(task, len(tensor) - 1)][None] for name, tensor in parameters.items()}

    def act(observation: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
        with torch.inference_mode():
            mean = actor_means(one, torch.from_numpy(normaliser.apply(observation))[None, None])
            return torch.tanh(mean)[0, 0].numpy()

    return act


class Clones(NamedTuple):
    """The result: stacked actors in normalised coordinates, one a task (seen ones first), and the coordinates."""

    actors: Parameters
    normaliser: Normaliser


@dataclass(frozen=True)
class CloneExperts(Stage):
    """DAgger for all tasks of a collection; a route from random weights only measures observations' normalisation."""

    kind: ClassVar[str] = "clones"
    cloning: CloneSettings
    route: Route
    seen_tasks: tuple[str, ...]
    unseen_tasks: tuple[str, ...]
    seed: int

    @property
    def cost(self) -> float:
        """About half a minute a round."""
        return 30.0 * (self.cloning.rounds + self.cloning.parent_rounds)

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Write clones.safetensors (actors), normaliser.safetensors and rounds.json (success of every round)."""
        _Cloning(self, work, report).run()

    def load(self, path: Path) -> Clones:
        """The clones."""
        scales = load_file(path / "normaliser.safetensors")
        normaliser = Normaliser(scales["mean"].numpy(), scales["scale"].numpy())
        actors = load_file(path / "clones.safetensors") if (path / "clones.safetensors").exists() else {}
        return Clones(actors, normaliser)


class _Cloning:
    """The rounds, with a checkpoint after each."""

    def __init__(self, stage: CloneExperts, work: Path, report: Report) -> None:
        self.stage, self.settings = stage, stage.cloning
        self.work, self.report = work, report
        self.tasks = stage.seen_tasks + stage.unseen_tasks
        self.envs = [MetaWorldEnv(task) for task in self.tasks]
        self.datasets = [Dataset() for _ in self.tasks]
        self.rng = np.random.default_rng(stage.seed)
        self.rounds: list[dict[str, Any]] = []
        self.parameters: Parameters = {}

    def run(self) -> None:
        """All rounds, from the last checkpoint on."""
        self._restore()
        seen, settings = len(self.stage.seen_tasks), self.settings
        if not self.rounds:
            self._round("expert", 0, len(self.tasks))
        normaliser = self._normaliser()
        if self.stage.route != "clones":
            self._finish(normaliser)
            return
        total = settings.parent_rounds + settings.rounds + 2
        while len(self.rounds) < total:
            done = len(self.rounds)
            if done == 1 and settings.parent_rounds:
                self.parameters = parent_parameters(METAWORLD_LAYOUT, seen, settings, self._generator)
            if done == 1 + settings.parent_rounds:
                self.parameters = self._first_clones(seen)
            last = done == total - 1
            count = seen if done < 1 + settings.parent_rounds else len(self.tasks)
            updates = settings.final_updates if last else settings.updates
            clone(self.parameters, self.datasets[:count], normaliser, settings, updates, last, self.rng)
            self._round("parent" if count < len(self.tasks) else "clone", done, count, normaliser)
            self.report.progress(done + 1, total, success=float(np.mean(list(self.rounds[-1]["success"].values()))))
        self._finish(normaliser)

    @property
    def _generator(self) -> torch.Generator:
        """Randomness of the first weights."""
        return torch.Generator().manual_seed(self.stage.seed)

    def _first_clones(self, seen: int) -> Parameters:
        """Where the clones begin: at the parent, or without one at a random network a task."""
        if self.settings.parent_rounds:
            return children(self.parameters, seen, len(self.tasks) - seen)
        return random_actors(METAWORLD_LAYOUT, len(self.tasks), self.settings, self._generator)

    def _round(self, name: str, number: int, count: int, normaliser: Normaliser | None = None) -> None:
        """Every task's episodes of one round with the present policies, labelled by the expert."""
        success = {}
        for i, task in enumerate(self.tasks[:count]):
            act = controller(self.parameters, i, normaliser) if normaliser else None
            solved = 0
            for episode in range(self.settings.episodes):
                noise = self.settings.noise * (episode % 2)
                goal = task_goal(CLONING, task, number * self.settings.episodes + episode, self.stage.seed)
                observations, labels, done = labelled_episode(self.envs[i], goal, act, self.settings, noise, self.rng)
                self.datasets[i].observations.append(observations)
                self.datasets[i].actions.append(labels)
                solved += done
            success[task] = solved / self.settings.episodes
        self.rounds.append({"round": name, "success": success})
        self._checkpoint()

    def _normaliser(self) -> Normaliser:
        """Fitted to the experts' own episodes of the seen tasks, so that it does not depend on the rounds."""
        first = self.settings.episodes
        rows = [o for data in self.datasets[: len(self.stage.seen_tasks)] for o in data.observations[:first]]
        return Normaliser.fit(np.concatenate(rows), self.settings.smallest_scale)

    def _finish(self, normaliser: Normaliser) -> None:
        scales = {"mean": torch.from_numpy(normaliser.mean), "scale": torch.from_numpy(normaliser.scale)}
        save_file(scales, self.work / "normaliser.safetensors")
        if self.parameters:
            save_file({name: t.contiguous() for name, t in self.parameters.items()}, self.work / "clones.safetensors")
        (self.work / "rounds.json").write_text(json.dumps(self.rounds, indent=1))

    def _checkpoint(self) -> None:
        def packed(parts: list[NDArray[np.float32]]) -> list[torch.Tensor]:
            return [torch.from_numpy(part) for part in parts]

        state = {
            "rounds": self.rounds,
            "parameters": self.parameters,
            "observations": [packed(data.observations) for data in self.datasets],
            "actions": [packed(data.actions) for data in self.datasets],
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        save_checkpoint(self.work, state)

    def _restore(self) -> None:
        state = load_checkpoint(self.work)
        if state is None:
            return
        self.rounds, self.parameters = state["rounds"], state["parameters"]
        for data, observations, actions in zip(self.datasets, state["observations"], state["actions"], strict=True):
            data.observations = [part.numpy() for part in observations]
            data.actions = [part.numpy() for part in actions]
        self.rng.bit_generator.state = json.loads(state["rng"])

"""Clones of scripted experts by DAgger (Ross et al. 2011), all tasks as one stack, grown from one common parent.

First a *parent*: one network for the seen tasks whose only task-specific parameters are the first layer's biases, which
is what a one-hot task input amounts to once folded into the bias. Then one ordinary policy a task, starting from the
parent, trained on with its own data. Policies that share a parent lie in one smooth region of weight space. The parent
never sees an unseen task; those tasks' clones start from the parent with the mean of its biases and serve as sources of
prompts only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.collect.sac.networks import Normaliser, Parameters, actor_features, actor_sizes, mlp_parameters
from hyprepro.collectors.collection import CloneSettings
from hyprepro.collectors.scripted import expert_action
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.tasks import Goal
from hyprepro.policies.layout import PolicyLayout


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
        label = expert_action(env.task, observation)
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
    parameters = mlp_parameters(actor_sizes(layout), 1, generator)
    parameters["linear1.bias"] = parameters["linear1.bias"].repeat(tasks, 1, 1)
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

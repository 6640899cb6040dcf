"""Environments in which the batched and the reference collector are compared: a family of tasks behind gymnasium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from hyprepro.collectors.collection import Agent, CloneSettings, task_goal, training_goal
from hyprepro.collectors.networks import Normaliser
from hyprepro.envs.gym import MetaWorldGym
from hyprepro.envs.metaworld import MetaWorldEnv, check_task
from hyprepro.evaluation.goals import COLLECTION, VALIDATION
from hyprepro.policies.layout import METAWORLD_LAYOUT, PolicyLayout

Environment = gymnasium.Env[Any, Any]

_EXPERT_EPISODES = 3


@dataclass(frozen=True)
class Arena:
    """One task to learn. Actions are in [-1, 1]; each `reset` begins another episode.

    Attributes:
        layout: Layout of its policies.
        train: Makes the environment that a seed's agent learns in.
        test: Makes the environment whose episodes, from the first on, are the same for every agent.
    """

    layout: PolicyLayout
    train: Callable[[int], Environment]
    test: Callable[[], Environment]


def arena(task: str, episode_steps: int) -> Arena:
    """The arena of a task.

    Args:
        task: A Meta-World task.
        episode_steps: Length of an episode.

    Raises:
        UserError: An unknown task.
    """
    return _metaworld(check_task(task), episode_steps)


def _metaworld(task: str, steps: int) -> Arena:
    """Fresh goals every episode, in the coordinates that a collection learns in."""
    transform = _normaliser(task, steps).apply

    def train(seed: int) -> Environment:
        return MetaWorldGym(task, partial(training_goal, Agent(task, seed)), steps, transform)

    def test() -> Environment:
        return MetaWorldGym(task, partial(task_goal, VALIDATION, task), steps, transform)

    return Arena(METAWORLD_LAYOUT, train, test)


def _normaliser(task: str, steps: int) -> Normaliser:
    """Fitted to a few of the scripted expert's episodes."""
    from hyprepro.collectors.dagger import labelled_episode

    settings, rng, env = CloneSettings(episode_steps=steps), np.random.default_rng(0), MetaWorldEnv(task)
    rows = [
        labelled_episode(env, task_goal(COLLECTION, task, index), None, settings, 0.0, rng)[0]
        for index in range(_EXPERT_EPISODES)
    ]
    return Normaliser.fit(np.concatenate(rows), settings.smallest_scale)

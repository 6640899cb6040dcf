"""Environments in which the batched and the reference collector are compared: a family of tasks behind gymnasium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from hyprepro.collect.sac.networks import Normaliser
from hyprepro.collectors.collection import Agent, CloneSettings, task_goal, training_goal
from hyprepro.collectors.scripted import expert_action
from hyprepro.domains.cheetah_vel.tasks import task_velocity
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.gym import MetaWorldGym
from hyprepro.domains.metaworld.tasks import COLLECTION, VALIDATION, check_task
from hyprepro.policies.layout import CHEETAH_LAYOUT, METAWORLD_LAYOUT, PolicyLayout

Environment = gymnasium.Env[Any, Any]
Observation = NDArray[np.float32]

_EXPERT_EPISODES = 3
_VELOCITY = "velocity-"
_STARTS = 1_000_000  # seeds of an agent's episodes


@dataclass(frozen=True)
class Arena:
    """One task to learn. Actions are in [-1, 1]; each `reset` begins another episode.

    Attributes:
        layout: Layout of its policies.
        guide: Who acts in the steps before the first update, given an observation and randomness: a noisy expert, or
            chance.
        train: Makes the environment that a seed's agent learns in.
        test: Makes the environment whose episodes, from the first on, are the same for every agent.
    """

    layout: PolicyLayout
    guide: Callable[[Observation, np.random.Generator], NDArray[np.float32]]
    train: Callable[[int], Environment]
    test: Callable[[], Environment]


def arena(task: str, episode_steps: int) -> Arena:
    """The arena of a task.

    Args:
        task: A Meta-World task, or a velocity of Cheetah-Vel.
        episode_steps: Length of a Meta-World episode; those of Cheetah-Vel have 200 steps.

    Raises:
        UserError: An unknown task.
    """
    check_arena(task)
    return _cheetah(task) if task.startswith(_VELOCITY) else _metaworld(task, episode_steps)


def check_arena(task: str) -> str:
    """The task itself if there is an arena for it (`UserError` if not)."""
    if task.startswith(_VELOCITY):
        task_velocity(task)
        return task
    return check_task(task)


class _Seeded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every episode begins with the next seed, whatever the caller wants."""

    def __init__(self, env: Environment, first: int) -> None:
        super().__init__(env)
        self._next = first

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        self._next += 1
        return self.env.reset(seed=self._next - 1, options=options)


def _cheetah(task: str) -> Arena:
    """Fresh starts every episode; before the first update chance acts, for want of an expert."""
    from hyprepro.domains.cheetah_vel.env import CheetahVel

    velocity = task_velocity(task)

    def train(seed: int) -> Environment:
        return _Seeded(CheetahVel(velocity), _STARTS * (seed + 1))

    def test() -> Environment:
        return _Seeded(CheetahVel(velocity), 0)

    return Arena(CHEETAH_LAYOUT, chance(CHEETAH_LAYOUT), train, test)


def chance(layout: PolicyLayout) -> Callable[[Observation, np.random.Generator], NDArray[np.float32]]:
    """Actions that do not look."""
    return lambda observation, rng: rng.uniform(-1.0, 1.0, layout.action_size).astype(np.float32)


def _metaworld(task: str, steps: int) -> Arena:
    """Fresh goals every episode, in the coordinates that a collection learns in; first demonstrations, with noise."""
    normaliser, noise = _normaliser(task, steps), CloneSettings().noise

    def guide(observation: Observation, rng: np.random.Generator) -> NDArray[np.float32]:
        action = expert_action(task, observation * normaliser.scale + normaliser.mean)
        return np.clip(action + noise * rng.standard_normal(action.shape), -1.0, 1.0).astype(np.float32)

    def train(seed: int) -> Environment:
        return MetaWorldGym(task, partial(training_goal, Agent(task, seed)), steps, normaliser.apply)

    def test() -> Environment:
        return MetaWorldGym(task, partial(task_goal, VALIDATION, task), steps, normaliser.apply)

    return Arena(METAWORLD_LAYOUT, guide, train, test)


def _normaliser(task: str, steps: int) -> Normaliser:
    """Fitted to a few of the scripted expert's episodes."""
    from hyprepro.collectors.dagger import labelled_episode

    settings, rng, env = CloneSettings(episode_steps=steps), np.random.default_rng(0), MetaWorldEnv(task)
    rows = [
        labelled_episode(env, task_goal(COLLECTION, task, index), None, settings, 0.0, rng)[0]
        for index in range(_EXPERT_EPISODES)
    ]
    return Normaliser.fit(np.concatenate(rows), settings.smallest_scale)

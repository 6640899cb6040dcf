"""Hyperparameters of SAC: those of many agents at once, and those of a parent and its experts."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from hyprepro.component import Component, Width, component, setting


@component
class SACSettings(Component):
    """Hyperparameters of SAC.

    The defaults are those of Make-An-Agent's `display/config.py`: stable-baselines3's but for the batch size.
    """

    slot = "sac"
    learning_rate: float = setting(
        3e-4, "Adam step size of actor, critics and temperature", source="Make-An-Agent", gt=0
    )
    discount: float = setting(0.99, "gamma", source="Make-An-Agent", gt=0, lt=1)
    polyak: float = setting(
        0.005, "tau, the share of the critic that enters the target at each update", source="Make-An-Agent", gt=0, le=1
    )
    batch_size: int = setting(128, "transitions an update and agent", source="Make-An-Agent", ge=1)
    initial_temperature: float = setting(1.0, "alpha at the start", source="stable-baselines3", gt=0)
    products: Literal["float32", "bfloat16"] = setting(
        "float32", "what hidden layers are computed in; bfloat16 is fast where the processor multiplies it"
    )
    normalise_q: bool = setting(False, "divide the actor's loss by the mean |Q| of its batch")
    cloning_weight: float = setting(
        0.0, "weight of the squared distance between tanh(mean) and the expert's action", ge=0
    )
    target_entropy: ClassVar[None] = None
    """Of what the temperature holds: minus the number of actions, as in stable-baselines3."""


@component
class ParameterSAC(Component):
    """Hyperparameters of SAC; the actor's sizes are those of the stored policies."""

    slot = "parameter_sac"
    learning_rate: float = setting(1e-3, "Adam step size of actor, critics and temperature, at the start", gt=0)
    last_learning_rate: float = setting(5e-5, "the same at the end; it falls linearly", gt=0)
    discount: float = setting(0.99, "gamma", source="stable-baselines3", gt=0, lt=1)
    polyak: float = setting(
        0.005,
        "tau, the share of the critic that enters the target at an update",
        source="stable-baselines3",
        gt=0,
        le=1,
    )
    batch_size: int = setting(256, "transitions an update and agent", source="stable-baselines3", ge=1)
    critic_width: Width = setting(128, "width of both hidden layers of the critics")
    initial_temperature: float = setting(0.2, "alpha at the start", gt=0)
    target_entropy: float | None = setting(
        None, "entropy that the temperature holds; None: minus the number of actions", source="stable-baselines3"
    )

    # What the learner has for others: no terms besides SAC's, and products in float32.
    normalise_q: ClassVar[bool] = False
    cloning_weight: ClassVar[float] = 0.0
    products: ClassVar[str] = "float32"


@component
class SACTraining(Component):
    """How long each SAC agent trains, and which of its policies are kept."""

    slot = "sac_training"
    trainer: Literal["stacked", "stable-baselines3"] = setting(
        "stacked", "batched collector, or the reference, one agent at a time"
    )
    sac: SACSettings = setting(
        SACSettings(normalise_q=True, cloning_weight=5.0, initial_temperature=0.05), "the algorithm's hyperparameters"
    )
    updates: int = setting(8000, "gradient steps an agent", ge=1)
    critic_updates: int = setting(2000, "of these, first steps that train the critics alone", ge=0)
    updates_per_step: float = setting(0.5, "gradient steps an environment step and agent", gt=0, le=1)
    first_steps: int = setting(600, "environment steps before the first gradient step", ge=1)
    episode_steps: int = setting(150, "length of a training episode, in steps", ge=1, le=500)
    replay: int = setting(20_000, "transitions remembered an agent", ge=1)
    checkpoint_every: int = setting(
        250, "gradient steps between kept policies, counted from the end of the critics' head start", ge=1
    )
    agents_at_once: int = setting(24, "agents trained as one stack in one process", ge=1)
    solved: float | None = setting(
        None,
        "a stack ends before its last update once each of its agents has succeeded in at least this share of some "
        "`solved_episodes` training episodes in a row, exploration noise and all; None: it never does",
        gt=0,
        le=1,
    )
    solved_episodes: int = setting(100, "over how many training episodes in a row that share is taken", ge=1)
    solved_updates: int = setting(0, "gradient steps that a stack still goes on for from then on", ge=0)

    @property
    def steps(self) -> int:
        """Environment steps an agent in whole episodes, at most."""
        wanted = self.first_steps + math.ceil(self.updates / self.updates_per_step)
        return self.episode_steps * math.ceil(wanted / self.episode_steps)

    @property
    def kept_policies(self) -> int:
        """Policies that are kept of each agent."""
        return 1 + (self.updates - self.critic_updates) // self.checkpoint_every


Hyperparameters = SACSettings | ParameterSAC

"""What a collection of Cheetah-Vel experts is: the grid, the route to experts, SAC, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from hyprepro.artifacts import ArtifactCache, Stage
from hyprepro.collectors.base import Collection, Estimate, Weights
from hyprepro.envs.velocities import LARGEST_VELOCITY, TEST_INDICES, training_indices, velocity_grid
from hyprepro.recipe import Component, component, setting

Route = Literal["parent", "scratch"]
"""How an expert's SAC starts: from the velocity-conditioned parent at its velocity, or from random weights."""


@component
class VelocitySAC(Component):
    """Hyperparameters of SAC on Cheetah-Vel; the actor's sizes are those of the stored policies."""

    slot = "velocity_sac"
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
    critic_width: int = setting(128, "width of both hidden layers of the critics", ge=1)
    initial_temperature: float = setting(0.2, "alpha at the start", gt=0)
    target_entropy: float = setting(-6.0, "entropy that the temperature holds; minus the number of actions", le=0)


@component
class ParentTraining(Component):
    """How the velocity-conditioned parent is trained: one actor, told its target velocity as an 18th input."""

    slot = "parent_training"
    sac: VelocitySAC = setting(VelocitySAC(), "the algorithm's hyperparameters")
    updates: int = setting(200_000, "gradient steps", ge=1)
    environments: int = setting(16, "cheetahs stepped together, each episode at a random training velocity", ge=1)
    updates_per_step: float = setting(0.5, "gradient steps an environment step", gt=0, le=4)
    first_rounds: int = setting(
        3, "rounds of one random-action episode in each environment before the first update", ge=1
    )
    relabelled: float = setting(
        0.5,
        "share of a batch whose velocity is replaced by a random training velocity, its reward recomputed",
        ge=0,
        le=1,
    )
    checkpoints: int = setting(
        16, "kept parents, early ones closer together: the sources of the offline episodes", ge=2
    )
    report_every: int = setting(5_000, "gradient steps between two evaluations of the deterministic policy", ge=1)
    smallest_scale: float = setting(0.05, "floor of an observation's scale in the normalisation, in its own unit", gt=0)


@component
class ExpertTraining(Component):
    """How each velocity's own SAC goes on, all velocities stacked."""

    slot = "expert_training"
    sac: VelocitySAC = setting(VelocitySAC(), "the algorithm's hyperparameters")
    updates: int = setting(4_000, "gradient steps an agent", ge=1)
    updates_per_step: float = setting(1.0, "gradient steps an environment step and agent", gt=0, le=4)
    first_rounds: int = setting(1, "episodes of each agent before the first update", ge=1)
    smallest_scale: float = setting(0.05, "without a parent: floor of an observation's scale, in its own unit", gt=0)
    critic_updates: int = setting(0, "of the updates, first ones that train the critics alone", ge=0)
    sharing: Literal["none", "experts", "parent", "all"] = setting(
        "all", "whose transitions an agent learns from besides its own, rewards recomputed for its velocity"
    )
    checkpoint_every: int = setting(250, "gradient steps between kept policies", ge=1)
    agents_at_once: int = setting(35, "agents trained as one stack in one process", ge=1)


@component
class VelocitySelection(Component):
    """Which policies are stored and which episodes are recorded."""

    slot = "velocity_selection"
    policies: int = setting(16, "stored policies a velocity", ge=1)
    rule: Literal["last", "best"] = setting("last", "which: the last checkpoints, or those of the highest return")
    starts: int = setting(10, "fresh starts on which each checkpoint's return is measured", ge=1, le=1000)
    offline_episodes: int = setting(
        12, "offline episodes a velocity of the parent's checkpoints, early to late, with exploration noise", ge=0
    )
    expert_episodes: int = setting(3, "offline episodes a velocity of stored experts, with exploration noise", ge=0)
    prompt_episodes: int = setting(4, "deterministic episodes a velocity of stored experts, for prompts", ge=0)
    weights: Weights = setting("float16", "how stored weights are kept")


@component
class VelocityCollection(Collection):
    """A zoo of Cheetah-Vel experts, one SAC run a velocity, and offline episodes of all velocities."""

    first: float = setting(
        0.075,
        "first velocity of the grid, m/s; the paper's Figure 3 implies 0",
        source="MACAW",
        ge=0,
        le=LARGEST_VELOCITY,
    )
    last: float = setting(3.0, "last velocity of the grid, m/s", source="MACAW", ge=0, le=LARGEST_VELOCITY)
    count: int = setting(40, "velocities of the grid", source="paper", ge=2, le=1000)
    train: tuple[int, ...] = setting(
        training_indices(), "grid indices of the training velocities", source="paper", min_length=1
    )
    test: tuple[int, ...] = setting(TEST_INDICES, "grid indices of the test velocities", source="paper")
    route: Route = setting("parent", "how an expert's SAC starts")
    seed: int = setting(0, "seed of all randomness", ge=0)
    parent: ParentTraining = setting(ParentTraining(), "how the parent is trained")
    experts: ExpertTraining = setting(ExpertTraining(), "how each velocity goes on from it")
    selection: VelocitySelection = setting(VelocitySelection(), "which policies and episodes are kept")

    @field_validator("train", "test")
    @classmethod
    def _distinct(cls, indices: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(indices)) != len(indices):
            raise ValueError("a velocity stands there twice")
        return indices

    @model_validator(mode="after")
    def _consistent(self) -> VelocityCollection:
        both, outside = set(self.train) & set(self.test), [i for i in self.train + self.test if not 0 <= i < self.count]
        if both:
            named = ", ".join(f"{i} ({self.grid[i]:.3f} m/s)" for i in sorted(both))
            raise ValueError(f"the training velocities contain the test velocities {named}")
        if outside:
            raise ValueError(f"index {outside[0]} lies outside the grid of {self.count} velocities")
        if self.last <= self.first or len(set(self.grid)) != self.count:
            raise ValueError("the grid must rise, by at least 0.001 m/s a step")
        if self.route == "scratch" and self.experts.sharing in ("parent", "all"):
            raise ValueError("there is no parent to share with: bind ExpertTraining.sharing='experts' or 'none'")
        return self

    @property
    def grid(self) -> tuple[float, ...]:
        """All velocities in m/s."""
        return velocity_grid(self.first, self.last, self.count)

    @property
    def train_velocities(self) -> tuple[float, ...]:
        """Those that the parent is trained on, and whose experts are training data."""
        return tuple(self.grid[i] for i in sorted(self.train))

    @property
    def test_velocities(self) -> tuple[float, ...]:
        """Those whose experts are ceilings only."""
        return tuple(self.grid[i] for i in sorted(self.test))

    def stages(self) -> Sequence[Stage]:
        """One stage a velocity, in ascending order."""
        from hyprepro.collectors.velocity.collect import stages_of

        return stages_of(self)

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """By ten seconds of every kind of work on this machine."""
        from hyprepro.collectors.velocity.calibration import estimate

        return estimate(self, todo)

    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """NAME.policies.h5, NAME.trajectories.h5, NAME-parent.policies.h5, NAME.md and NAME.svg."""
        from hyprepro.collectors.velocity.collect import write_stores

        return write_stores(self, cache, folder, name)

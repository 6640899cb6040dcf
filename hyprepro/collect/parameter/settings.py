"""How Cheetah-Vel experts are trained and what is kept of them; `collection` says at which velocities."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from hyprepro.collect.collection import Weights
from hyprepro.component import Component, Width, component, setting


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
    critic_width: Width = setting(128, "width of both hidden layers of the critics")
    initial_temperature: float = setting(0.2, "alpha at the start", gt=0)
    target_entropy: float = setting(-6.0, "entropy that the temperature holds; minus the number of actions", le=0)

    # What the learner has for others: no terms besides SAC's, and products in float32.
    normalise_q: ClassVar[bool] = False
    cloning_weight: ClassVar[float] = 0.0
    products: ClassVar[str] = "float32"


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
    checkpoints_from: int = setting(0, "gradient steps before the first of these; where a run starts is kept too", ge=0)
    agents_at_once: int = setting(35, "agents trained as one stack in one process", ge=1)

    @model_validator(mode="after")
    def _keeps_some(self) -> ExpertTraining:
        if self.checkpoints_from > self.updates:
            raise ValueError(
                f"no policy is kept: the first is due after {self.checkpoints_from} of {self.updates} updates"
            )
        return self


@component
class VelocitySelection(Component):
    """Which policies are stored and which episodes are recorded."""

    slot = "velocity_selection"
    policies: int = setting(16, "stored policies a velocity", ge=1)
    rule: Literal["last", "best"] = setting("last", "which of the accepted: the last, or those of the highest return")
    stride: int = setting(1, "checkpoints from one candidate to the next, counted back from the last", ge=1)
    acceptance: float | None = setting(
        None, "what a stored policy may return less than the one its run started from; None stores any", ge=0
    )
    starts: int = setting(10, "fresh starts on which each checkpoint's return is measured", ge=1, le=1000)
    offline_episodes: int = setting(
        12, "offline episodes a velocity of the parent's checkpoints, early to late, with exploration noise", ge=0
    )
    expert_episodes: int = setting(3, "offline episodes a velocity of stored experts, with exploration noise", ge=0)
    prompt_episodes: int = setting(4, "deterministic episodes a velocity of stored experts, for prompts", ge=0)
    weights: Weights = setting("float16", "how stored weights are kept")

"""How experts are trained and what is kept of them, in any domain of numbers; `collection` says of which tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from hyprepro.collect.sac.settings import ParameterSAC
from hyprepro.component import Component, component, setting
from hyprepro.policies.layout import Precision

Sharing = Literal["none", "experts", "parent", "all"]
"""Whose transitions an expert learns from besides its own."""


@component
class ParentTraining(Component):
    """How the conditioned parent is trained: one actor that is told the task's numbers as further inputs."""

    slot = "parent_training"
    sac: ParameterSAC = setting(ParameterSAC(), "the algorithm's hyperparameters")
    updates: int = setting(200_000, "gradient steps", ge=1)
    environments: int = setting(
        16, "environments stepped together, each round of episodes at a random training task", ge=1
    )
    updates_per_step: float = setting(0.5, "gradient steps an environment step", gt=0, le=4)
    first_rounds: int = setting(3, "rounds of random-action episodes in each environment before the first update", ge=1)
    relabelled: float | None = setting(
        None,
        "share of a batch whose task is replaced by a random training task, its reward recomputed; None: half where a "
        "step earns a reward at every parameter, else none",
        ge=0,
        le=1,
    )
    checkpoints: int = setting(
        16, "kept parents, early ones closer together: the sources of the offline episodes", ge=2
    )
    report_every: int = setting(5_000, "gradient steps between two evaluations of the deterministic policy", ge=1)
    smallest_scale: float = setting(0.05, "floor of an observation's scale in the normalisation, in its own unit", gt=0)
    told: bool = setting(True, "tell it the task; False is domain randomisation: one policy for all tasks")


@component
class ExpertTraining(Component):
    """How each task's own SAC goes on, all tasks stacked."""

    slot = "expert_training"
    sac: ParameterSAC = setting(ParameterSAC(), "the algorithm's hyperparameters")
    updates: int = setting(4_000, "gradient steps an agent", ge=1)
    updates_per_step: float = setting(1.0, "gradient steps an environment step and agent", gt=0, le=4)
    first_rounds: int = setting(1, "rounds of episodes of each agent before the first update", ge=1)
    smallest_scale: float = setting(0.05, "without a parent: floor of an observation's scale, in its own unit", gt=0)
    critic_updates: int = setting(0, "of the updates, first ones that train the critics alone", ge=0)
    sharing: Sharing | None = setting(
        None,
        "whose transitions an agent learns from besides its own, rewards recomputed for its task; None: all where a "
        "step earns a reward at every parameter, else none",
    )
    checkpoint_every: int = setting(250, "gradient steps between kept policies", ge=1)
    checkpoints_from: int = setting(0, "gradient steps before the first of these; where a run starts is kept too", ge=0)
    agents_at_once: int = setting(35, "agents trained as one stack in one process", ge=1)

    def shared(self, relabels: bool) -> Sharing:
        """Whose transitions are learnt from besides one's own, where a step's reward can be relabelled or not."""
        return self.sharing or ("all" if relabels else "none")

    @model_validator(mode="after")
    def _keeps_some(self) -> ExpertTraining:
        if self.checkpoints_from > self.updates:
            raise ValueError(
                f"no policy is kept: the first is due after {self.checkpoints_from} of {self.updates} updates"
            )
        return self


@component
class ParameterSelection(Component):
    """Which policies are stored and which episodes are recorded."""

    slot = "parameter_selection"
    policies: int = setting(16, "stored policies a task", ge=1)
    rule: Literal["last", "best"] = setting("last", "which of the accepted: the last, or those of the highest return")
    stride: int = setting(1, "checkpoints from one candidate to the next, counted back from the last", ge=1)
    acceptance: float | None = setting(
        None, "what a stored policy may return less than the one its run started from; None stores any", ge=0
    )
    starts: int = setting(10, "fresh starts on which each checkpoint's return is measured", ge=1, le=1000)
    offline_episodes: int = setting(
        12, "offline episodes a task of the parent's checkpoints, early to late, with exploration noise", ge=0
    )
    expert_episodes: int = setting(3, "offline episodes a task of stored experts, with exploration noise", ge=0)
    prompt_episodes: int = setting(4, "deterministic episodes a task of stored experts, for prompts", ge=0)
    shown: Literal["spread", "last"] = setting(
        "spread", "whose deterministic episodes are: of the stored policies, evenly spread, or all of the last one"
    )
    weights: Precision = setting("float16", "how stored weights are kept")

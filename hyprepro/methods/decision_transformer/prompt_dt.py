"""Prompt-DT (Xu et al. 2022): a Decision Transformer that is shown a few steps of the task's expert first.

Sources: "Prompting Decision Transformer for Few-Shot Policy Generalization" and its released code (mxu34/prompt-dt),
whose Cheetah-Vel settings the defaults are, unless a field says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hyprepro.component import Width, component, setting
from hyprepro.engine.trained import Schedule, Trained, TrainedStage, rate
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.choices import check_heads
from hyprepro.methods.base import Method, derived_seed
from hyprepro.policies.controllers import OwnControllers

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.methods.decision_transformer.network import Agent, PromptedTransformer, Segment
    from hyprepro.methods.decision_transformer.prompt_dt_job import PromptDTJob
    from hyprepro.policies.controllers import Controllers


SOURCE = "Prompt-DT's released code"


@component
class PromptTransformer(Trained):
    """The causal transformer of Prompt-DT over (return-to-go, state, action), and how it is trained.

    The squared error of the action at every step of a window of `context` steps, given `prompt_steps` steps of an
    expert's episode of the same velocity and the window up to that step. States are standardised, returns divided by
    `return_scale`.

    Paper says: all 35 velocities in every batch, 16 windows each, 50,000 steps on a GPU. We chose: windows that lie
    whole within an episode, where the released code also cuts some off at its end; states standardised by the
    training episodes alone, where the released code takes in those of the test velocities.
    """

    slot = "prompt_transformer"

    episodes: Literal["expert", "offline"] = setting(
        "expert",
        "which stored episodes windows come from: the experts' own, or those of the whole training of the experts",
        source=SOURCE,
    )
    context: Width = setting(20, "steps of a window (K)", source=SOURCE)
    prompt_steps: Width = setting(5, "steps of the prompt: the last ones of an expert's episode", source=SOURCE)
    hidden: Width = setting(128, "width of the tokens", source=SOURCE)
    layers: Width = setting(3, "transformer blocks", source=SOURCE)
    heads: Width = setting(1, "attention heads", source=SOURCE)
    dropout: float = setting(0.1, "share dropped in training", source=SOURCE, ge=0, lt=1)
    return_scale: float = setting(500.0, "returns are divided by this", source=SOURCE, gt=0)
    target_return: float = setting(0.0, "return that is asked for at test time", source=SOURCE)
    steps: int = setting(50000, "training steps", source=SOURCE, ge=0)
    batch_size: int = setting(16, "windows of each training velocity in a step", source=SOURCE, ge=1)
    learning_rate: float = setting(1e-4, "AdamW's step size after the warm-up", source=SOURCE, gt=0, le=1)
    warm_up: int = setting(10000, "steps over which the step size grows linearly", source=SOURCE, ge=0)
    weight_decay: float = setting(1e-4, "weight decay", source=SOURCE, ge=0)
    schedule: Schedule = setting("constant", "step size over time, times the warm-up", source=SOURCE)
    gradient_clip: float = setting(0.25, "largest norm of a step's gradient", source=SOURCE, ge=0)

    def check(self) -> None:
        """Whether the settings fit together.

        Raises:
            UserError: The prompt is longer than the context, or the heads do not divide the width.
        """
        if self.prompt_steps > self.context:
            raise UserError(
                f"A prompt of {self.prompt_steps} steps is longer than the context of {self.context}.",
                where="PromptTransformer.prompt_steps, PromptTransformer.context",
                fix=f"bind PromptTransformer.prompt_steps to at most {self.context}",
            )
        check_heads("PromptTransformer", "hidden", self.hidden, self.heads)

    def build(self, state_size: int, action_size: int, horizon: int) -> PromptedTransformer:
        """An untrained network for episodes of `horizon` steps (`UserError` if the settings do not fit)."""
        from hyprepro.methods.decision_transformer.network import DecisionTransformer, PromptedTransformer

        self.check()
        network = DecisionTransformer(
            state_size,
            action_size,
            self.hidden,
            self.layers,
            self.heads,
            self.context,
            horizon,
            self.dropout,
            prompt=True,
        )
        return PromptedTransformer(network, state_size, self.return_scale, self.target_return, self.prompt_steps)

    def step_size(self, step: int) -> float:
        """As the base class, with the warm-up."""
        grown = min(1.0, (step + 1) / max(self.warm_up, 1))
        return self.learning_rate * (rate(self.schedule, step, self.steps) * grown)


@dataclass(frozen=True)
class TrainPromptDT(TrainedStage["PromptedTransformer"]):
    """Trains Prompt-DT's transformer.

    Windows come from the expert episodes (split "validation") or the offline episodes (split "train") of the training
    velocities, prompts from the expert ones.

    Attributes:
        model: The transformer and how it is trained.
        data: The stores.

    Metrics: `loss` (squared error of an action's entries) and, on the same windows of expert episodes each time,
    `validation_error`; these were held out of training only if it is on the offline episodes.
    """

    kind: ClassVar[str] = "prompt-dt"

    model: PromptTransformer
    data: Data

    @property
    def cost(self) -> float:
        """Seconds on one slow core: about 5 ms a window and step at the published size."""
        size = self.model
        tokens = size.layers * (size.hidden / 128) ** 2 * (size.context + size.prompt_steps) / 75
        return 5 + 5e-3 * tokens * size.steps * size.batch_size * len(self.data.trained())

    def job(self, inputs: dict[str, Path]) -> Callable[[], PromptDTJob]:
        """On the episodes."""
        from hyprepro.methods.decision_transformer.prompt_dt_job import PromptDTJob
        from hyprepro.stores.episodes import read_episodes

        experts = read_episodes(self.data, self.data.trained(), "validation")
        is_expert = self.model.episodes == "expert"
        episodes = experts if is_expert else read_episodes(self.data, self.data.trained(), "train")
        shape = (*self.data.domain.sizes, self.data.domain.horizon)
        return partial(PromptDTJob, self.model, shape, episodes, experts)


@component
class PromptDT(Method):
    """Prompt-DT: a Decision Transformer behind a prompt of the test velocity's expert, and the target return 0.

    Paper says (Xu et al.): one prompt a test task and evaluation, 50 episodes. We chose: `prompts` controllers, each
    with the end of another expert episode before it, so that the luck of one prompt does not decide.
    """

    label: ClassVar[str] = "prompt-dt"
    seeded: ClassVar[bool] = True
    knows: ClassVar[str] = "5 steps of an expert's episode at the test {told}, with their rewards"
    conditions: ClassVar[frozenset[Condition]] = frozenset({"parameter"})
    rewarded: ClassVar[bool] = True
    needs: ClassVar[str] = "it learns from episodes of equal length that are scored by their return"

    transformer: PromptTransformer = setting(PromptTransformer(), "the transformer and how it is trained")
    memory: int = setting(
        20, "most steps of its own episode that are seen at test time; at most the context (published: 20)", ge=1
    )
    prompts: int = setting(5, "number of prompts, each of another expert episode as far as there are", ge=1)

    def information(self, domain: Domain) -> str:
        """With the length of the prompt."""
        return super().information(domain).replace("5", str(self.transformer.prompt_steps), 1)

    def training(self, data: Data, seed: int) -> TrainPromptDT:
        """The transformer, trained on the episodes of the training velocities.

        Raises:
            UserError: The prompt is longer than the context.
        """
        self.transformer.check()
        return TrainPromptDT(self.transformer, data, seed=seed)

    def deploy(self, trained: PromptedTransformer, data: Data, query: Query, seed: int) -> Controllers:
        """One agent a prompt; prompts are drawn from the test velocity's expert episodes.

        Raises:
            UserError: There are none.
        """
        import torch

        from hyprepro.methods.decision_transformer.prompt_dt_job import EpisodeTensors, prompts
        from hyprepro.stores.episodes import read_episodes

        (experts,) = read_episodes(data, [query.task], "validation")
        order = np.random.default_rng(derived_seed(seed, query.task)).permutation(len(experts))
        rows = torch.from_numpy(np.resize(order, self.prompts))
        shown = prompts(trained, EpisodeTensors.of([experts]), rows)
        return OwnControllers(self.prompts, partial(PromptedSession, trained, shown, self.memory))


class PromptedSession:
    """Parallel episodes of agents that share a transformer and differ in their prompt.

    Args:
        model: The trained transformer.
        prompts: One prompt a row.
        memory: The most steps of its own episode that an agent sees.
        slots: Number of episodes.
    """

    def __init__(self, model: PromptedTransformer, prompts: Segment, memory: int, slots: int) -> None:
        self._model = model
        self._prompts = prompts
        self._memory = memory
        self._rows = np.zeros(slots, np.int64)
        self._agent: Agent | None = None

    def assign(self, slot: int, row: int) -> None:
        """An episode begins behind its controller's prompt; those of all slots begin together."""
        self._rows[slot] = row
        self._agent = None

    def act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """The predicted actions."""
        import torch

        if self._agent is None:
            before, actions_before, to_go, steps, _ = self._prompts
            rows = self._rows
            prompts = (before[rows], actions_before[rows], to_go[rows], steps[rows], None)
            self._agent = self._model.agent(prompts, self._memory)
        states = torch.from_numpy(observations).to(self._prompts[0].device)
        actions: NDArray[np.float32] = self._agent.act(self._model.scaled(states)).cpu().numpy()
        return actions

    def observe(self, rewards: NDArray[np.float64]) -> None:
        """The returns-to-go fall by the rewards."""
        import torch

        scaled = torch.from_numpy((rewards / self._model.return_scale).astype(np.float32))
        if self._agent is not None:
            self._agent.observe(scaled.to(self._prompts[0].device))

"""Prompt-DT (Xu et al. 2022): a Decision Transformer that is shown a few steps of the task's expert first.

Sources: "Prompting Decision Transformer for Few-Shot Policy Generalization" and its released code (mxu34/prompt-dt),
whose Cheetah-Vel settings the defaults are, unless a field says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hyprepro.errors import UserError
from hyprepro.models.optimiser import Trained, rate
from hyprepro.models.options import Schedule, nearest_divisor
from hyprepro.recipe import Width, component, setting

if TYPE_CHECKING:
    import torch

    from hyprepro.models.networks.decision_transformer import DecisionTransformer

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
        if self.hidden % self.heads:
            raise UserError(
                f"A width of {self.hidden} is not divisible by {self.heads} heads.",
                where="PromptTransformer.heads, PromptTransformer.hidden",
                fix=f"-b PromptTransformer.heads={nearest_divisor(self.hidden, self.heads)}, or another width",
            )

    def build(self, state_size: int, action_size: int, horizon: int) -> DecisionTransformer:
        """An untrained network for episodes of `horizon` steps (`UserError` if the settings do not fit)."""
        from hyprepro.models.networks.decision_transformer import DecisionTransformer

        self.check()
        return DecisionTransformer(
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

    def update(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Apply the gradients that have been computed for training step `step`, and clear them."""
        from torch import nn

        share = rate(self.schedule, step, self.steps) * min(1.0, (step + 1) / max(self.warm_up, 1))
        for group in optimiser.param_groups:
            group["lr"] = self.learning_rate * share
            if self.gradient_clip:
                nn.utils.clip_grad_norm_(group["params"], self.gradient_clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

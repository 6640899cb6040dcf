"""A multi-task Decision Transformer that is told the task by a prompt (Chen et al. 2021; Xu et al. 2022).

Not the paper's model but its competitor, of which the paper states no settings. Sizes are those of the published code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyprepro.errors import UserError
from hyprepro.models.optimiser import Trained, rate
from hyprepro.models.options import nearest_divisor
from hyprepro.recipe import Width, component, setting

if TYPE_CHECKING:
    import torch

    from hyprepro.models.networks.prompted_transformer import PromptedNetwork

_DT = "Decision Transformer's code"
_PROMPT_DT = "Prompt-DT's code"


@component
class PromptedTransformer(Trained):
    """A causal transformer over (return-to-go, state, action), with pieces of a prompt before the window.

    Paper says nothing. We chose: returns-to-go count in units of their task's mean training return, so that 1 asks for
    a typical training episode in every task, and an unseen task needs no number of its own.
    """

    slot = "transformer"

    context: int = setting(20, "steps of the episode that the network sees (K)", source=_DT, ge=2, le=16_384)
    width: Width = setting(128, "width of the tokens", source=_DT)
    layers: Width = setting(3, "transformer blocks", source=_DT)
    heads: Width = setting(1, "attention heads a block; must divide the width", source=_DT)
    dropout: float = setting(0.1, "share dropped in training", source=_DT, ge=0, lt=1)
    prompt_steps: int = setting(
        5, "states of the prompt that are seen, evenly spread over its 20", source=_PROMPT_DT, ge=1, le=20
    )
    smallest_scale: float = setting(0.01, "floor of the deviation that observations are divided by, in metres", gt=0)
    steps: int = setting(2000, "training steps", ge=0)
    batch_size: int = setting(16, "windows a step (published: 64)", ge=2)
    learning_rate: float = setting(1e-3, "AdamW's step size after the warm-up (published: 1e-4)", gt=0, le=1)
    weight_decay: float = setting(1e-4, "weight decay", source=_DT, ge=0)
    warm_up: int = setting(100, "steps over which the step size grows from zero (published: 10,000)", ge=0)
    gradient_clip: float = setting(0.25, "largest norm of a step's gradient; 0: no clipping", source=_DT, ge=0)

    def check(self) -> None:
        """The heads share the width evenly (`UserError` if not)."""
        if self.width % self.heads:
            raise UserError(
                f"A width of {self.width} is not divisible by {self.heads} heads.",
                where="PromptedTransformer.heads, PromptedTransformer.width",
                fix=f"-b PromptedTransformer.heads={nearest_divisor(self.width, self.heads)}, or another width",
            )

    def build(self, longest: int) -> PromptedNetwork:
        """An untrained network for training episodes of at most `longest` steps (`UserError` as for `check`)."""
        from hyprepro.models.networks.decision_transformer import DecisionTransformer
        from hyprepro.models.networks.prompted_transformer import PromptedNetwork
        from hyprepro.stores.prompts import ACTION_SIZE, OBSERVATION_SIZE

        self.check()
        network = DecisionTransformer(
            OBSERVATION_SIZE,
            ACTION_SIZE,
            self.width,
            self.layers,
            self.heads,
            self.context,
            longest,
            self.dropout,
            prompt=True,
        )
        return PromptedNetwork(network, longest)

    def update(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        """As the base class, with the warm-up."""
        from torch import nn

        for group in optimiser.param_groups:
            grown = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
            group["lr"] = self.learning_rate * grown * rate(self.schedule, step, self.steps)
            if self.gradient_clip:
                nn.utils.clip_grad_norm_(group["params"], self.gradient_clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

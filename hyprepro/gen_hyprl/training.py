"""The settings that every trained network shares, and the named choices of settings and losses; no torch here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from hyprepro.component import Betas, Component, setting

if TYPE_CHECKING:
    import torch
    from torch import nn


BehaviorLoss = Literal["paper", "infonce"]
GeneratorLoss = Literal["saturating", "nonsaturating"]
Similarity = Literal["paper", "cosine"]
ResidueLoss = Literal["squared", "smooth_l1"]
ResidueTarget = Literal["latent_head", "mean_candidate"]
Condition = Literal["h_and_v", "h"]
Scale = Literal["none", "standard", "minmax", "common"]
Schedule = Literal["constant", "cosine", "warm_restarts"]
Activation = Literal["relu", "gelu"]


def condition_size(embedding_size: int, kind: Condition) -> int:
    """Length of tau_e as the networks see it: both of h and v, or h alone."""
    return 2 * embedding_size if kind == "h_and_v" else embedding_size


def nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of `number` that is nearest to `wanted`: of two, the smaller."""
    return min((each for each in range(1, number + 1) if number % each == 0), key=lambda each: abs(each - wanted))


FIRST_RESTART = 10
"""Length in steps of the first period of "warm_restarts"; each next one is twice as long (Make-An-Agent)."""


class Trained(Component):
    """Base of all components that are trained by gradient steps."""

    steps: int = setting(1000, "number of training steps (batches)", ge=0)
    batch_size: int = setting(64, "samples a step", ge=2)
    learning_rate: float = setting(1e-3, "Adam's step size at the start", gt=0, le=1)
    betas: Betas = setting((0.9, 0.999), "Adam's decay rates of the first and second moment")
    weight_decay: float = setting(0.0, "weight decay", ge=0)
    decoupled_decay: bool = setting(
        True, "decay the weights directly (AdamW) instead of adding it to the gradient (Adam)"
    )
    schedule: Schedule = setting("cosine", "learning rate over time: constant, cosine (to zero) or warm_restarts")
    gradient_clip: float = setting(0.0, "largest norm of a step's gradient; 0 switches clipping off", ge=0)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fused Adam or AdamW over `parameters` with these settings."""
        import torch

        kind = torch.optim.AdamW if self.decoupled_decay else torch.optim.Adam
        return kind(
            list(parameters), lr=self.learning_rate, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )

    def update(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Apply the gradients that have been computed for training step `step`, and clear them."""
        from torch import nn

        for group in optimiser.param_groups:
            group["lr"] = self.learning_rate * rate(self.schedule, step, self.steps)
            if self.gradient_clip:
                nn.utils.clip_grad_norm_(group["params"], self.gradient_clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """The learning rate at `step` of `steps` as a share of the first one."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
    period = int(math.log2(step / FIRST_RESTART + 1))
    start, length = FIRST_RESTART * (2**period - 1), FIRST_RESTART * 2**period
    return 0.5 * (1 + math.cos(math.pi * (step - start) / length))

"""The named choices that settings, networks and losses share. No torch here: settings are read without it."""

from __future__ import annotations

from typing import Literal

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

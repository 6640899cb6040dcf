"""The named choices of settings and losses, and what settings must fit; no torch here."""

from __future__ import annotations

from typing import Literal

from hyprepro.errors import UserError

BehaviorLoss = Literal["paper", "infonce"]
GeneratorLoss = Literal["saturating", "nonsaturating"]
Similarity = Literal["paper", "cosine"]
ResidueLoss = Literal["squared", "smooth_l1"]
ResidueTarget = Literal["latent_head", "mean_candidate"]
Condition = Literal["h_and_v", "h"]
Scale = Literal["none", "standard", "minmax", "common"]
Activation = Literal["relu", "gelu"]


def condition_size(embedding_size: int, kind: Condition) -> int:
    """Length of tau_e as the networks see it: both of h and v, or h alone."""
    return 2 * embedding_size if kind == "h_and_v" else embedding_size


def check_heads(owner: str, width_name: str, width: int, heads: int) -> None:
    """Attention heads share the width of the tokens evenly.

    Args:
        owner: The component.
        width_name: Its setting of the width.
        width: The width.
        heads: Its setting `heads`.

    Raises:
        UserError: They do not.
    """
    if width % heads:
        # The nearest divisor: of two, the smaller.
        nearest = min((each for each in range(1, width + 1) if width % each == 0), key=lambda each: abs(each - heads))
        raise UserError(
            f"{owner}'s width {width} is not divisible by {heads} heads.",
            where=f"{owner}.heads, {owner}.{width_name}",
            fix=f"-b {owner}.heads={nearest}, or another width",
        )

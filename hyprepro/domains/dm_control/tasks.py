"""The cheetah's contexts, how they are split, and what a step earns; no simulator here.

Source: SAIC-MONTREAL/contextual-control-suite and the configurations of SAIC-MONTREAL/hyperzero and ReNginx/HyPoGen;
the grids of speeds and of lengths are HyPoGen's (its appendix B.1, by a public review of it). HyperZero's examples run
forwards alone, at 0.5 to 10 m/s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

HORIZON = 1_000
"""Steps of 0.01 s: the suite's ten seconds."""

SPEEDS = tuple(round(0.5 * number, 3) for number in range(-20, 21) if number)
"""Target speeds, m/s: -10 to 10 without 0, those below 0 backwards."""

LENGTHS = tuple(round(0.3 + 0.01 * number, 3) for number in range(41))
"""Half lengths of the torso, m: 0.3 to 0.7 (the suite's own: 0.5)."""

PAIRS = tuple((float(speed), round(0.3 + 0.05 * number, 3)) for speed in range(1, 6) for number in range(9))
"""Target speeds of 1 to 5 m/s with half lengths of 0.3 to 0.7 m."""

USUAL_SPEED = 1.0
"""Target speed where the length alone differs, m/s (HyPoGen)."""

AT_MARGIN = 0.1
"""What standing still earns (the suite's run task, which these tasks are derived from: 0)."""

SPLITS = (123, 233, 666, 999, 789)
"""Seeds of the five published splits."""


def run_reward(speed: Any, target: Any) -> Any:
    """What a step earns `[...]`, in [0, 1]: linear in the speed towards the target, and 1 from there on.

    It is one-sided: a cheetah that is faster than its target earns as much as one that keeps it.

    Args:
        speed: Forwards, of the torso's subtree, m/s `[...]`; an array or a tensor.
        target: m/s `[...]`, below 0 backwards; not 0.
    """
    return (1 - (1 - AT_MARGIN) * (target - speed) / target).clip(0, 1)


def tested_places(contexts: Sequence[tuple[float, ...]], share: float, seed: int) -> tuple[int, ...]:
    """Which contexts are for testing, by their place: the first of a shuffle, ascending.

    As released: contexts in the order of their texts are shuffled by NumPy's generator of the seed. HyPoGen's code then
    trains on the share of the others that its arithmetic leaves, at 0.8 one context fewer than there are; here on all.

    Args:
        contexts: All contexts.
        share: Share of them, rounded down.
        seed: Of the shuffle.
    """
    shuffled = sorted(range(len(contexts)), key=lambda place: "_dyn_".join(map(str, contexts[place])))
    np.random.default_rng(seed).shuffle(shuffled)
    return tuple(sorted(shuffled[: int(share * len(contexts))]))

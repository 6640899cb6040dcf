"""Which seeds name which goals: every use of fresh goals has a range of its own, so no test goal was ever trained on.

A fresh goal is drawn from a task's reset space by a generator with the goal's seed (`envs.metaworld.Goal`). The ranges:

    1,000,000 to 1,999,999   collection: training episodes of the experts and their success estimates
    2,000,000 to 2,999,999   prompts
    3,000,000 to 3,999,999   validation: picking top-k policies
    4,000,000 to 4,999,999   the strict protocol's test goals
"""

from __future__ import annotations

import hashlib

from hyprepro.envs.metaworld import Goal

COLLECTION = range(1_000_000, 2_000_000)
PROMPTS = range(2_000_000, 3_000_000)
VALIDATION = range(3_000_000, 4_000_000)
STRICT = range(4_000_000, 5_000_000)

_BLOCK = 1_000


def fresh_goal(seeds: range, base_seed: int, task: str, index: int) -> Goal:
    """The `index`-th goal of a task: a function of its arguments alone, the same for every method and generator seed.

    Args:
        seeds: One of this module's ranges.
        base_seed: A protocol's own seed; another one gives other goals.
        task: The task, so that tasks do not share random vectors.
        index: From 0; indices differ, goals differ, up to 100,000.
    """
    if not 0 <= index < 100 * _BLOCK:
        raise ValueError(f"the index of a goal must be in [0, {100 * _BLOCK}), got {index}")
    digest = hashlib.sha256(f"{base_seed}/{task}".encode()).digest()
    block = int.from_bytes(digest[:8], "big") % (len(seeds) // _BLOCK - 100)
    return Goal("fresh", seeds.start + block * _BLOCK + index)

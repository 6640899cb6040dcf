"""Meta-World's fifty tasks, and which seeds name which goals: each use has a range, so no test goal was trained on.

A fresh goal is drawn from a task's reset space by a generator with the goal's seed (`Goal`). The ranges:

    1,000,000 to 1,999,999   collection: training episodes of the experts and their success estimates
    2,000,000 to 2,999,999   prompts
    3,000,000 to 3,999,999   validation: picking top-k policies
    4,000,000 to 4,999,999   the strict protocol's test goals
"""

from __future__ import annotations

import hashlib

from hyprepro.domains.base import Start
from hyprepro.errors import refuse_unknown

SEEN_TASKS = (
    "button-press",
    "dial-turn",
    "door-open",
    "door-unlock",
    "drawer-open",
    "faucet-close",
    "handle-press",
    "plate-slide",
    "reach",
    "window-open",
)
"""The ten tasks whose policies train the generator (Make-An-Agent, data set card)."""

UNSEEN_TASKS = (
    "button-press-wall",
    "coffee-button",
    "door-lock",
    "drawer-close",
    "faucet-open",
    "handle-press-side",
    "reach-wall",
    "window-close",
)
"""The eight tasks that give prompts only (Make-An-Agent, data set card)."""

OTHER_TASKS = (
    "assembly",
    "basketball",
    "bin-picking",
    "box-close",
    "button-press-topdown",
    "button-press-topdown-wall",
    "coffee-pull",
    "coffee-push",
    "disassemble",
    "door-close",
    "hammer",
    "hand-insert",
    "handle-pull",
    "handle-pull-side",
    "lever-pull",
    "peg-insert-side",
    "peg-unplug-side",
    "pick-out-of-hole",
    "pick-place",
    "pick-place-wall",
    "plate-slide-back",
    "plate-slide-back-side",
    "plate-slide-side",
    "push",
    "push-back",
    "push-wall",
    "shelf-place",
    "soccer",
    "stick-pull",
    "stick-push",
    "sweep",
    "sweep-into",
)
"""Meta-World's other tasks, which the paper has nothing of."""

TASKS = SEEN_TASKS + UNSEEN_TASKS + OTHER_TASKS
"""All of them: metaworld's names without the version."""

HORIZON = 500
"""Steps of an episode."""

SLOTS = 4
"""Environments of one task in a process, and so the episodes that share a forward pass. More save nothing: with four,
the forward pass takes 1 % of the simulator's time, and each environment takes 40 MB."""


Goal = Start
"""An initial condition of a task (object position, target), identified by how it is drawn and from which seed.

Its kind is "paper": the one goal that metaworld's own goal-observable environment freezes when built with this seed, as
in Make-An-Agent's test code; or "fresh": a goal drawn from the task's reset space with a generator of this seed.
"""


def check_task(task: str) -> str:
    """The task's name if it is one of `TASKS`.

    Raises:
        UserError: It is not; with the closest name.
    """
    refuse_unknown(task, TASKS, f"Unknown Meta-World task {task!r}.", fix=f"choose of {', '.join(sorted(TASKS))}")
    return task


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

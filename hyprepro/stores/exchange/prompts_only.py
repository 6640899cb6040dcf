"""Prompts without their episodes, kept in a trajectory store so that every recipe can read them.

Make-An-Agent publishes tau and tau-hat, not episodes. Of 60 steps, tau tells every action and the states s_0, s_3, ...,
s_57; tau-hat tells three states from the first success on, at a time that is not told. An episode of 62 steps carries
them where `prompts.prompt_from_episode` looks: `read_prompts` gives the very numbers back.

What is not told is filled: a state between known ones repeats the one before, rewards and the last two actions are
zero, and the success stands right after the 60 steps. No method reads those; but they are no recording, so such a store
says `prompts_only` in its route, `store info` shows it, and nothing here hands them on as episodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.stores.prompts import (
    ACTION_SIZE,
    ACTIONS_PER_BLOCK,
    BLOCK_SIZE,
    BLOCKS,
    OBSERVATION_SIZE,
    STEPS,
    SUCCESS_STATES,
)
from hyprepro.stores.trajectory_store import TrajectoryStore

PROMPTS_ONLY = "prompts_only"

Array = NDArray[np.float32]


def is_prompts_only(store: TrajectoryStore) -> bool:
    """Whether a store's episodes carry prompts only."""
    return bool(store.route.get(PROMPTS_ONLY, False))


def refuse_prompts_only(store: TrajectoryStore) -> None:
    """Whole episodes are asked for (`UserError` if the store has none)."""
    if is_prompts_only(store):
        raise UserError(
            "The store holds prompts only: the states between every third one and all rewards were never published.",
            where=store.where,
            fix="use a store whose episodes were recorded (hyprepro collect)",
        )


def episode_from_prompt(tau: Array, tau_hat: Array) -> tuple[Array, Array, Array, int]:
    """An episode that carries a prompt: observations `[63, 39]`, actions `[62, 4]`, rewards `[62]`, success step.

    Args:
        tau: `[1020]`.
        tau_hat: `[117]`.
    """
    blocks = tau.reshape(BLOCKS, BLOCK_SIZE)
    states = np.repeat(blocks[:, :OBSERVATION_SIZE], ACTIONS_PER_BLOCK, axis=0)
    observations = np.concatenate([states, tau_hat.reshape(SUCCESS_STATES, OBSERVATION_SIZE)])
    length = len(observations) - 1
    actions = np.zeros((length, ACTION_SIZE), dtype=np.float32)
    actions[:STEPS] = blocks[:, OBSERVATION_SIZE:].reshape(STEPS, ACTION_SIZE)
    return observations, actions, np.zeros(length, dtype=np.float32), STEPS - 1

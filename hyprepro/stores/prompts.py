"""Prompts: what Make-An-Agent conditions on, cut from stored episodes.

tau^n: the first 60 steps as 20 blocks of one state and three actions, (s_0, a_0, a_1, a_2, s_3, ...): 20 x (39 + 12) =
1020 numbers. tau-hat: the first three observations from the first success on, 3 x 39 = 117 numbers (paper, "Behaviour
Embedding"; lengths as in Make-An-Agent's data set card).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyprepro.errors import UserError
from hyprepro.stores.trajectory_store import TrajectoryStore

BLOCKS = 20
ACTIONS_PER_BLOCK = 3
STEPS = BLOCKS * ACTIONS_PER_BLOCK
SUCCESS_STATES = 3
OBSERVATION_SIZE = 39
ACTION_SIZE = 4
BLOCK_SIZE = OBSERVATION_SIZE + ACTIONS_PER_BLOCK * ACTION_SIZE
TAU_SIZE = BLOCKS * BLOCK_SIZE
TAU_HAT_SIZE = SUCCESS_STATES * OBSERVATION_SIZE


@dataclass(frozen=True)
class Prompts:
    """`n` prompts of one task and split, in the store's order.

    Attributes:
        task: The task.
        split: train, validation or test.
        tau: The paper's tau^n, `[n, 1020]` float32.
        tau_hat: The post-success states, `[n, 117]` float32.
        policy_rows: Row of each prompt's source policy in the policy store, -1 if it is not stored `[n]`.
        episode_ids: Id of each prompt's episode in the trajectory store `[n]`.
    """

    task: str
    split: str
    tau: NDArray[np.float32]
    tau_hat: NDArray[np.float32]
    policy_rows: NDArray[np.int64]
    episode_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tau)

    def subset(self, rows: ArrayLike) -> Prompts:
        """The prompts at the given positions, in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        rows, ids = self.policy_rows[index], self.episode_ids[index]
        return Prompts(self.task, self.split, self.tau[index], self.tau_hat[index], rows, ids)

    @property
    def states(self) -> NDArray[np.float32]:
        """The states s_0, s_3, ..., s_57 `[n, 20, 39]`, a view of `tau`."""
        return self._blocks[:, :, :OBSERVATION_SIZE]

    @property
    def actions(self) -> NDArray[np.float32]:
        """The actions a_3k, a_3k+1, a_3k+2 of each block `[n, 20, 3, 4]`, a view of `tau`."""
        flat = self._blocks[:, :, OBSERVATION_SIZE:]
        # Splitting the last axis of a strided view needs no copy; reshape would make one for some layouts.
        step = flat.strides[2]
        shape = (len(self), BLOCKS, ACTIONS_PER_BLOCK, ACTION_SIZE)
        strides = (flat.strides[0], flat.strides[1], ACTION_SIZE * step, step)
        return np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False)

    @property
    def _blocks(self) -> NDArray[np.float32]:
        return self.tau.reshape(len(self), BLOCKS, BLOCK_SIZE)


def prompt_from_episode(
    observations: NDArray[np.floating], actions: NDArray[np.floating], success_step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cut a prompt from an episode.

    Args:
        observations: `[T + 1, 39]`.
        actions: `[T, 4]`.
        success_step: 0-based index of the first step whose success flag is true; the first observation with success is
            number success_step + 1.

    Returns:
        tau `[1020]` and tau_hat `[117]`, float32.

    Raises:
        UserError: The episode never succeeds, or has fewer than 60 steps or than 3 observations from success on.
    """
    first = success_step + 1
    why = ""
    if len(actions) < STEPS:
        why = f"it has fewer than {STEPS} steps ({BLOCKS} blocks of a state and {ACTIONS_PER_BLOCK} actions)"
    elif success_step < 0:
        why = "it never succeeds"
    elif len(observations) < first + SUCCESS_STATES:
        why = f"it ends before the {SUCCESS_STATES} states from its success on"
    if why:
        raise UserError(
            f"An episode of {len(actions)} steps with success at step {success_step} cannot be a prompt: {why}.",
            fix=f"a prompt needs {STEPS} steps, a success, and 2 more steps after it",
        )
    states = np.asarray(observations[:STEPS:ACTIONS_PER_BLOCK], dtype=np.float32)
    triples = np.asarray(actions[:STEPS], dtype=np.float32).reshape(BLOCKS, ACTIONS_PER_BLOCK * ACTION_SIZE)
    tau = np.concatenate([states, triples], axis=1).reshape(-1)
    tau_hat = np.asarray(observations[first : first + SUCCESS_STATES], dtype=np.float32).reshape(-1)
    return tau, tau_hat


def read_prompts(
    store: TrajectoryStore, task: str, split: str, limit: int | None = None, among: NDArray[np.int64] | None = None
) -> Prompts:
    """The prompts of a task and split, at most the first `limit`; of the episodes `among` `[k]`, if these are given.

    Raises:
        UserError: Another observation or action size, no episode in the split, an episode that cannot be a prompt.
    """
    if (store.observation_size, store.action_size) != (OBSERVATION_SIZE, ACTION_SIZE):
        raise UserError(
            f"Prompts need observations of {OBSERVATION_SIZE} and actions of {ACTION_SIZE} numbers.",
            where=store.where,
            fix=f"name a store of such episodes; hyprepro store info {store.path} shows what this one has",
        )
    ids = (store.ids(task, split) if among is None else among)[:limit]
    if not len(ids):
        raise UserError(
            f"The store has no {split} episode of {task}.",
            where=store.where,
            fix=f"hyprepro store info {store.path} shows what it has",
        )
    tau = np.empty((len(ids), TAU_SIZE), dtype=np.float32)
    tau_hat = np.empty((len(ids), TAU_HAT_SIZE), dtype=np.float32)
    for row, episode in enumerate(store.some(task, ids)):
        try:
            tau[row], tau_hat[row] = prompt_from_episode(episode.observations, episode.actions, episode.success_step)
        except UserError as error:
            raise UserError(error.what, where=f"{store.where}:{task}, episode {episode.id}", fix=error.fix) from None
    rows = store.table(task)["policy_row"][ids].astype(np.int64)
    return Prompts(task, split, tau, tau_hat, rows, ids)


FRAME = 18
"""Numbers of one frame: an observation is the current frame, the previous one and the goal."""


def block_pairs(prompts: Prompts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The states s_3k `[n, 20, 39]` and the actions a_3k `[n, 20, 4]`."""
    return np.ascontiguousarray(prompts.states), np.ascontiguousarray(prompts.actions[:, :, 0])


def interpolated_pairs(prompts: Prompts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The states s_0, s_1, ..., s_57 `[n, 58, 39]` and their actions `[n, 58, 4]`.

    A state holds the previous frame, so s_3k+3 gives the frame of step 3k + 2 exactly; only that of step 3k + 1 is the
    midpoint of its neighbours.
    """
    states, actions = prompts.states, prompts.actions
    n, blocks = states.shape[:2]
    frames = np.empty((n, 3 * blocks - 2, FRAME), dtype=np.float32)
    frames[:, 0::3] = states[:, :, :FRAME]
    frames[:, 2::3] = states[:, 1:, FRAME : 2 * FRAME]
    frames[:, 1::3] = (frames[:, 0:-1:3] + frames[:, 2::3]) / 2
    full = np.repeat(states, 3, axis=1)[:, : 3 * blocks - 2]
    full[:, :, :FRAME] = frames
    full[:, 1:, FRAME : 2 * FRAME] = frames[:, :-1]
    return full, actions.reshape(n, 3 * blocks, -1)[:, : 3 * blocks - 2].copy()


PROMPTS_ONLY = "prompts_only"
"""What the route of a store says that has prompts without their episodes."""


def has_prompts_only(store: TrajectoryStore) -> bool:
    """Whether the store has prompts without their episodes."""
    return bool(store.route.get(PROMPTS_ONLY, False))


def refuse_prompts_only(store: TrajectoryStore) -> None:
    """Whole episodes are asked for (`UserError` if the store has none)."""
    if has_prompts_only(store):
        raise UserError(
            "The store holds prompts only: the states between every third one and all rewards were never published.",
            where=store.where,
            fix="use a store whose episodes were recorded (hyprepro collect)",
        )


def episode_from_prompt(
    tau: NDArray[np.float32], tau_hat: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], int]:
    """An episode that carries a prompt: observations `[63, 39]`, actions `[62, 4]`, rewards `[62]`, success step.

    Make-An-Agent publishes tau and tau-hat, not episodes. Of 60 steps, tau tells every action and the states s_0, s_3,
    ..., s_57; tau-hat tells three states from the first success on, at a time that is not told. `prompt_from_episode`
    gives the very numbers back. What is not told is filled: a state between known ones repeats the one before, rewards
    and the last two actions are zero, and the success stands right after the 60 steps. No method reads those; but they
    are no recording, so such a store says `PROMPTS_ONLY` in its route, and nothing here hands them on as episodes.

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

"""Policies out of the policy store, as methods need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hyprepro.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hyprepro.policies.layout import PolicyLayout
    from hyprepro.stores.files import StoreFiles
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.prompts import Prompts


def source_policies(data: StoreFiles, prompts: Prompts) -> tuple[PolicyLayout, NDArray[np.float32]]:
    """The stored policies that recorded the prompts, `[n, P]` in the prompts' order, and their layout.

    Raises:
        UserError: A prompt's policy is not in the store.
    """
    with data.open_policies() as store:
        missing = prompts.task not in store.tasks or bool((prompts.policy_rows < 0).any())
        if missing:
            raise UserError(
                f"The policies behind some {prompts.split} prompts of {prompts.task} are not stored.",
                where=data.policies.path,
                fix="leave out the methods that use the prompts' own policies (Expert, AutoencoderCeiling)",
            )
        return store.layout, store.read(prompts.task, prompts.policy_rows)


def training_prompts(data: StoreFiles, store: PolicyStore) -> list[Prompts]:
    """The training prompts of training policies, task by task in the store's order."""
    from hyprepro.stages.data import training_tasks
    from hyprepro.stores.prompts import read_prompts

    found = []
    with data.open_trajectories() as trajectories:
        for task in training_tasks(store):
            prompts = read_prompts(trajectories, task, "train")
            known = np.isin(prompts.policy_rows, store.rows(task, "train"))
            found.append(prompts.subset(np.flatnonzero(known)))
    return found


def training_blocks(store: PolicyStore, tasks: Sequence[str], block: int) -> Iterator[NDArray[np.float32]]:
    """The training policies of the tasks in the store's order, at most `block` at a time `[k, P]`."""
    for task in tasks:
        rows = store.rows(task, "train")
        for start in range(0, len(rows), block):
            yield store.read(task, rows[start : start + block])

"""What the training stages read from the stores: training policies and prompts, with a held-out share for validation.

The training tasks are those with training policies in the policy store. The test split is never read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.policies.layout import PolicyLayout
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import Prompts, has_prompts_only, read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore

Recording = Literal["prompts", "episodes"]
"""What a trajectory store has of the training policies: prompts, or whole episodes."""

EPISODE_STRIDE = 5
"""Every so many steps an observation is read, where there are whole episodes and no prompts."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts of several tasks.

    Attributes:
        tau: `[N, 1020]`.
        tau_hat: `[N, 117]`.
        task: Number of each prompt's task in `PolicyStore.training_tasks` `[N]`.
        policy_row: Row of each prompt's source policy among its task's policies `[N]`.
    """

    tau: Tensor
    tau_hat: Tensor
    task: Tensor
    policy_row: Tensor

    def __len__(self) -> int:
        return len(self.tau)


class TaskStates(NamedTuple):
    """States of training tasks, and whose they are.

    Attributes:
        states: Of each task `[M, obs]`.
        task: Number of the task of each training policy `[N]`.
    """

    states: tuple[Tensor, ...]
    task: Tensor

    def some(self, rows: Tensor) -> TaskStates:
        """For some of the policies."""
        return self._replace(task=self.task[rows])

    @property
    def own(self) -> list[Tensor]:
        """The states of each policy's task."""
        return [self.states[task] for task in self.task.tolist()]

    def drawn(self, rows: Tensor, count: int) -> Tensor:
        """For each policy of `rows` so many states of its task, drawn with repetition `[n, count, obs]`."""
        return torch.stack([states[torch.randint(len(states), (count,))] for states in self.some(rows.cpu()).own])


def training_policies(file: StoreFile) -> tuple[Tensor, PolicyLayout]:
    """All training policies `[N, P]` float32, task by task, and their layout."""
    with PolicyStore.of(file) as store:
        parts = [store.read(task, store.rows(task, "train")) for task in store.training_tasks()]
        return torch.from_numpy(np.concatenate(parts)), store.layout


def training_runs(file: StoreFile) -> tuple[Tensor, Tensor]:
    """The last training checkpoint of each run `[R, P]`, and which of them is of each training policy's run `[N]`."""
    representatives: list[np.ndarray] = []
    of: list[np.ndarray] = []
    with PolicyStore.of(file) as store:
        for task in store.training_tasks():
            standing, index = np.unique(run_ends(store, task, store.rows(task, "train")), return_inverse=True)
            of.append(index + sum(map(len, representatives)))
            representatives.append(store.read(task, standing))
    return torch.from_numpy(np.concatenate(representatives)), torch.from_numpy(np.concatenate(of))


def run_ends(store: PolicyStore, task: str, rows: np.ndarray) -> np.ndarray:
    """The row that stands for each policy's training run `[k]`: its last training checkpoint.

    Of a run without training policies it is the last of all; a policy of an unknown run stands for itself.
    """
    meta, trained, ends = store.meta(task), store.rows(task, "train"), np.array(rows)
    for seed in np.unique(meta["seed"][rows]):
        members = trained[meta["seed"][trained] == seed]
        if not len(members):
            members = np.flatnonzero(meta["seed"] == seed)
        if seed >= 0:
            ends[meta["seed"][rows] == seed] = members[meta["step"][members].argsort(kind="stable")[-1]]
    return ends


def run_numbers(store: PolicyStore, task: str) -> np.ndarray:
    """For each row of a task the number of its training run among the task's, by their seeds; -1 of any other run.

    Raises:
        UserError: The store does not say of which run a training policy is.
    """
    seeds = store.meta(task)["seed"]
    known = np.unique(seeds[store.rows(task, "train")])
    if len(known) and known[0] < 0:
        raise UserError(
            f"The store does not say which training run a policy of {task} comes from.",
            where=store.where,
            fix="leave the run out of the condition (run_code='none'), or name a store that knows its runs' seeds",
        )
    return np.where(np.isin(seeds, known), np.searchsorted(known, seeds), -1)


def training_observations(data: StoreFiles, recording: Recording) -> Tensor:
    """Observations of the training tasks `[M, obs]` float32.

    Args:
        data: The stores.
        recording: "prompts": those in all training prompts; "episodes": every `EPISODE_STRIDE`-th one of the validation
            episodes, which are the experts', or of the training episodes of a task that has none.

    Raises:
        UserError: A training task has no such episodes.
    """
    with data.open_policies() as policies, data.open_trajectories() as store:
        if recording == "prompts":
            states = [read_prompts(store, task, "train").states for task in policies.training_tasks()]
        else:
            states = [_episode_states(store, task) for task in policies.training_tasks()]
    flat = [part.reshape(-1, part.shape[-1]) for part in states]
    return torch.from_numpy(np.concatenate(flat))


def training_states(data: StoreFiles, recording: Recording) -> TaskStates:
    """States of each training task, up to the ends of its episodes, with the task of each training policy.

    Args:
        data: The stores.
        recording: "prompts": all that the training episodes visit, or where a store has no episodes, those in its
            prompts; "episodes": as `training_observations` reads them.

    Raises:
        UserError: A training task has no such episodes.
    """
    with data.open_policies() as policies, data.open_trajectories() as store:
        tasks = policies.training_tasks()
        counts = torch.tensor([policies.count(task, "train") for task in tasks])
        states = [_visited(store, task) if recording == "prompts" else _episode_states(store, task) for task in tasks]
    visited = tuple(torch.from_numpy(part).float() for part in states)
    return TaskStates(visited, torch.repeat_interleave(torch.arange(len(tasks)), counts))


def _visited(store: TrajectoryStore, task: str) -> np.ndarray:
    if has_prompts_only(store):
        states = read_prompts(store, task, "train").states
        return states.reshape(-1, states.shape[-1])
    return _joined_states([episode.observations for episode in store.episodes(task, "train")], store, task)


def _joined_states(found: list[np.ndarray], store: TrajectoryStore, task: str) -> np.ndarray:
    if not found:
        raise UserError(
            f"The store has no training episode of {task}.", where=store.where, fix=f"hyprepro store info {store.path}"
        )
    return np.concatenate(found)


def _episode_states(store: TrajectoryStore, task: str) -> np.ndarray:
    split = "validation" if store.count(task, "validation") else "train"
    found = [episode.observations[:-1:EPISODE_STRIDE] for episode in store.episodes(task, split)]
    return _joined_states(found, store, task)


def training_prompts(data: StoreFiles, share: float) -> tuple[PromptSet, PromptSet]:
    """Training prompts and validation prompts, all of training policies.

    Validation prompts are those of the store's validation split; for a task without any, the last `share` of its
    training prompts (at least one) is held out instead.

    Raises:
        UserError: A training task has fewer than two training prompts.
    """
    training: list[Prompts] = []
    validation: list[Prompts] = []
    with data.open_policies() as policies, data.open_trajectories() as store:
        for task in policies.training_tasks():
            rows = policies.rows(task, "train")
            prompts = _of_policies(read_prompts(store, task, "train"), rows)
            if store.count(task, "validation"):
                held_out = _of_policies(read_prompts(store, task, "validation"), rows)
            else:
                held_out = prompts.subset([])
            if not len(held_out) and len(prompts) > 1:
                first = len(prompts) - max(1, round(share * len(prompts)))
                held_out, prompts = prompts.subset(range(first, len(prompts))), prompts.subset(range(first))
            if not len(prompts) or not len(held_out):
                raise UserError(
                    f"{task} has {len(prompts)} training prompts of stored training policies; at least 2 are needed.",
                    where=data.trajectories.path,
                    fix=f"hyprepro store info shows what a store has: {data.policies.path}, {data.trajectories.path}",
                )
            training.append(prompts)
            validation.append(held_out)
    return _joined(training), _joined(validation)


def held_out_rows(count: int, share: float) -> tuple[Tensor, Tensor]:
    """Row numbers of the training and of the held-out part of `count` rows, the latter evenly spread.

    With a share above zero and at least two rows, both parts have at least one row.
    """
    wanted = min(max(round(share * count), 1), count - 1) if share else 0
    held_out = torch.linspace(0, count - 1, wanted + 2)[1:-1].round().long()
    keep = torch.ones(count, dtype=torch.bool)
    keep[held_out] = False
    return keep.nonzero().squeeze(1), held_out


def _of_policies(prompts: Prompts, rows: np.ndarray) -> Prompts:
    return prompts.subset(np.flatnonzero(np.isin(prompts.policy_rows, rows)))


def _joined(parts: list[Prompts]) -> PromptSet:
    return PromptSet(
        torch.from_numpy(np.concatenate([part.tau for part in parts])),
        torch.from_numpy(np.concatenate([part.tau_hat for part in parts])),
        torch.from_numpy(np.repeat(np.arange(len(parts)), [len(part) for part in parts])),
        torch.from_numpy(np.concatenate([part.policy_rows for part in parts])),
    )

"""How different the policies of a store are: within a training run, between runs of a task, between tasks.

A zoo of near-copies is easy: a mean or a nearest neighbour does what a generator does. Distances tell how near.

- Weight distance: root mean square over all parameters of the difference of two policies, as a share of the root mean
  square of a parameter. Zero for equal policies; about 1.4 for unrelated ones.
- Behaviour distance: mean squared difference of their actions (each in [-1, 1]) on the same observations.
- Components: the share of the variance around the mean that the first principal components hold. `k` policies always
  fit into k - 1.

Everything follows from inner products, so the memory is that of one copy of the policies looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore

COMPONENTS = (1, 2, 4, 8, 16)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Distances:
    """Mean distances between pairs of policies; None where there is no such pair."""

    within_run: float | None
    between_runs: float | None
    to_other_tasks: float | None


@dataclass(frozen=True)
class TaskDiversity:
    """One task, or all (`task` is then "all").

    Attributes:
        task: Its name.
        policies: How many were looked at.
        runs: From how many training runs (seeds); 0 if the store does not know.
        weights: Distances of parameters.
        behaviour: Distances of actions; None without observations.
        components: Share of the variance held by the first k principal components, by k.
    """

    task: str
    policies: int
    runs: int
    weights: Distances
    behaviour: Distances | None
    components: dict[int, float]


def diversity(
    store: PolicyStore, trajectories: TrajectoryStore | None = None, limit: int = 60, states: int = 256
) -> list[TaskDiversity]:
    """The diversity of each task's policies, and last of all of them together.

    Args:
        store: The policies.
        trajectories: Where common observations come from: the states in its prompts, evenly from the store's tasks.
        limit: At most so many policies of a task, evenly spread over its rows.
        states: How many observations.

    Raises:
        UserError: The store is empty, or its trajectories have no prompt of its tasks.
    """
    tasks = [task for task in store.tasks if store.count(task)]
    if not tasks:
        raise UserError(
            "The store has no policy.", where=store.where, fix="name a store with policies; hyprepro collect makes one"
        )
    rows = {task: _spread(store.count(task), limit) for task in tasks}
    params = np.concatenate([store.read(task, rows[task]) for task in tasks])
    owner = np.repeat(np.arange(len(tasks)), [len(rows[task]) for task in tasks])
    seeds = np.concatenate([store.meta(task)["seed"][rows[task]] for task in tasks])
    same_task = owner[:, None] == owner
    same_run = same_task & (seeds[:, None] == seeds) & (seeds[:, None] >= 0)
    known = (seeds[:, None] >= 0) & (seeds >= 0)
    kinds = {
        "within_run": same_run & ~np.eye(len(owner), dtype=bool),
        "between_runs": same_task & ~same_run & known,
        "to_other_tasks": ~same_task,
    }
    gram = _gram(params)
    scale = float(np.trace(gram)) / len(params)
    apart = np.sqrt(np.maximum(_squares(gram), 0) / scale)
    acted = None
    if trajectories is not None:
        actions = _actions(store, params, common_observations(trajectories, tasks, states))
        acted = np.maximum(_squares(_gram(actions)), 0) / actions.shape[1]

    def report(name: str, members: NDArray[np.bool_]) -> TaskDiversity:
        pairs = {kind: mask & members[:, None] for kind, mask in kinds.items()}
        runs = {(o, s) for o, s in zip(owner[members], seeds[members], strict=True) if s >= 0}
        return TaskDiversity(
            name,
            int(members.sum()),
            len(runs),
            _distances(apart, pairs),
            None if acted is None else _distances(acted, pairs),
            _components(gram[np.ix_(members, members)]),
        )

    found = [report(task, owner == number) for number, task in enumerate(tasks)]
    return [*found, report("all", np.ones(len(owner), dtype=bool))]


def common_observations(store: TrajectoryStore, tasks: list[str], count: int) -> NDArray[np.float32]:
    """Up to `count` observations `[k, O]` in the prompts of the given tasks, as many of each task, evenly spread.

    Prompts' states only: in a store of prompts nothing else was recorded.
    """
    shared = [task for task in tasks if task in store.tasks and store.count(task)]
    if not shared:
        raise UserError(
            "The trajectory store has no episode of the policies' tasks.",
            where=store.where,
            fix="name the trajectory store of the same collection, or leave out --trajectories",
        )
    each, parts = max(1, count // len(shared)), []
    for task in shared:
        split = next(name for name in ("train", "validation", "test") if store.count(task, name))
        states = read_prompts(store, task, split, limit=each).states
        flat = states.reshape(-1, states.shape[-1])
        parts.append(flat[_spread(len(flat), each)])
    return np.concatenate(parts)


def to_json(found: list[TaskDiversity]) -> list[dict[str, Any]]:
    """The report, JSON-ready."""

    def distances(found: Distances | None) -> dict[str, float | None] | None:
        return None if found is None else {name: value and float(f"{value:.4g}") for name, value in vars(found).items()}

    return [
        {
            **vars(one),
            "weights": distances(one.weights),
            "behaviour": distances(one.behaviour),
            "components": {str(k): round(share, 4) for k, share in one.components.items()},
        }
        for one in found
    ]


def _spread(count: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of `count` positions, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64))


def _gram(rows: NDArray[np.float32]) -> Array:
    """Inner products `[n, n]`, summed in float64 so that the distances of near-copies survive."""
    gram = np.zeros((len(rows), len(rows)))
    for low in range(0, rows.shape[1], 2048):
        part = rows[:, low : low + 2048].astype(np.float64)
        gram += part @ part.T
    return gram


def _squares(gram: Array) -> Array:
    """Squared distances `[n, n]` from inner products."""
    norms = np.diag(gram)
    squares: Array = norms[:, None] + norms - 2 * gram
    return squares


def _distances(matrix: Array, pairs: dict[str, NDArray[np.bool_]]) -> Distances:
    return Distances(**{kind: float(matrix[mask].mean()) if mask.any() else None for kind, mask in pairs.items()})


def _components(gram: Array) -> dict[int, float]:
    """Shares of variance, from the centred inner products' eigenvalues."""
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    values = np.maximum(np.linalg.eigvalsh(centred)[::-1], 0)
    total = values.sum()
    copies = total < 1e-12 * np.trace(gram)
    return {k: 1.0 if copies else float(values[:k].sum() / total) for k in COMPONENTS if k < max(len(gram), 2)}


def _actions(store: PolicyStore, params: NDArray[np.float32], observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every policy's actions on the common observations, flat `[n, B * A]`."""
    x, parts = torch.from_numpy(observations), []
    with torch.inference_mode():
        for low in range(0, len(params), 64):
            means = StackedPolicies(store.layout, params[low : low + 64]).means(x)
            parts.append(means.reshape(len(means), -1).numpy())
    return np.concatenate(parts)

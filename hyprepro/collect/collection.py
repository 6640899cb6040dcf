"""What every collection can do: name the stages that make it, tell what it needs, and write its stores.

A harvest is what such a stage leaves for the stores: policies with their scores, and recorded episodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from hyprepro.component import Component
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Stage
from hyprepro.policies.layout import PolicyLayout, Precision


class Estimate(NamedTuple):
    """What a collection needs.

    Attributes:
        seconds: Of each stage on one core, by its key.
        working: Bytes of the cache; None if not known.
        stored: Bytes of the stores; None if not known.
        held: Bytes on the disk that each stage, by its key, takes beside its result while it is being made, at most.
        memory: Bytes of memory of the process that makes each stage, at most.
        mapped: How many of these are files mapped into memory, which the system takes back when it needs room.
    """

    seconds: dict[str, float]
    working: int | None = None
    stored: int | None = None
    held: Mapping[str, int] = {}
    memory: Mapping[str, int] = {}
    mapped: Mapping[str, int] = {}


class Collection(Component, ABC):
    """A zoo of experts and the episodes recorded of them; one kind for each family of tasks."""

    slot: ClassVar[str] = "collection"

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The last stages; everything else hangs on these."""

    @abstractmethod
    def write(self, cache: ArtifactCache, folder: Path, name: str) -> list[Path]:
        """Write the stores and the data card NAME.* into `folder` from finished artifacts, each whole or not at all."""

    def estimate(self, todo: Sequence[Stage]) -> Estimate:
        """What the stages still to be done will take: their stated costs, or better what a short measurement says."""
        return Estimate({stage.key: stage.cost for stage in todo})


_SPLITS = ("train", "validation", "test")


class Kept(NamedTuple):
    """One stored policy: flat parameters `[P]` as stored, where they come from, and how good they are."""

    params: NDArray[np.floating[Any]]
    seed: int
    step: int
    success: float
    returns: float
    split: str


class Recorded(NamedTuple):
    """One episode: observations `[T + 1, O]`, actions `[T, A]`, rewards `[T]` and what the store records of it."""

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    success_step: int
    goal_seed: int
    policy_row: int
    split: str
    terminated: bool = False


class Harvest(NamedTuple):
    """What a task contributes to the stores; `scored` is `[checkpoints scored, (seed, step, success, return)]`."""

    policies: list[Kept]
    episodes: list[Recorded]
    scored: NDArray[np.float64]


def save_harvest(folder: Path, policies: Sequence[Kept], episodes: Sequence[Recorded], scored: Any) -> None:
    """Write policies.safetensors and episodes.safetensors; the latter only if there are any."""
    save_file(
        {
            "params": np.stack([p.params for p in policies]) if policies else np.zeros((0, 0), np.float32),
            "seed": np.array([p.seed for p in policies]),
            "step": np.array([p.step for p in policies]),
            "success": np.array([p.success for p in policies]),
            "return": np.array([p.returns for p in policies]),
            "train": np.array([p.split == "train" for p in policies]),
            "scored": np.array(scored, dtype=np.float64),
        },
        folder / "policies.safetensors",
    )
    if not episodes:
        return
    table = [
        [e.success_step, e.goal_seed, e.policy_row, _SPLITS.index(e.split), len(e.actions), e.terminated]
        for e in episodes
    ]
    save_file(
        {
            "observations": np.concatenate([e.observations for e in episodes]),
            "actions": np.concatenate([e.actions for e in episodes]),
            "rewards": np.concatenate([e.rewards for e in episodes]),
            "table": np.array(table),
        },
        folder / "episodes.safetensors",
    )


def load_harvest(folder: Path) -> Harvest:
    """The inverse of `save_harvest`."""
    flat, episodes = load_file(folder / "policies.safetensors"), folder / "episodes.safetensors"
    policies = [
        Kept(params, int(seed), int(step), float(success), float(returns), "train" if train else "test")
        for params, seed, step, success, returns, train in zip(
            *(flat[name] for name in ("params", "seed", "step", "success", "return", "train")), strict=True
        )
    ]
    return Harvest(policies, _episodes(load_file(episodes)) if episodes.exists() else [], flat["scored"])


def _episodes(data: dict[str, NDArray[Any]]) -> list[Recorded]:
    found, at = [], 0
    for number, (success_step, goal, row, split, steps, terminated) in enumerate(data["table"].tolist()):
        rows = slice(at, at + steps)
        observations = data["observations"][at + number : at + number + steps + 1]
        arrays = observations, data["actions"][rows], data["rewards"][rows]
        found.append(Recorded(*arrays, success_step, goal, row, _SPLITS[split], bool(terminated)))
        at += steps
    return found


def write_pair(
    stages: Sequence[Any],
    cache: ArtifactCache,
    folder: Path,
    name: str,
    layout: PolicyLayout,
    route: dict[str, Any],
    weights: Precision,
    episodes: int,
) -> list[Path]:
    """Write NAME.policies.h5 and NAME.trajectories.h5 from the artifacts of finished harvests, task by task.

    Args:
        stages: Stages that load as a `Harvest` and name their `task`, in the order of the stores.
        cache: Where their artifacts are.
        folder: Where to write.
        name: The stem of both files.
        layout: Of every policy.
        route: How the policies were made.
        weights: How they are kept.
        episodes: Over how many each was scored.
    """
    from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
    from hyprepro.stores.trajectory_store import TrajectoryStoreWriter

    policies, trajectories = (folder / f"{name}{end}" for end in (".policies.h5", ".trajectories.h5"))
    with PolicyStoreWriter(policies, layout, route, weights) as writer:
        for stage in stages:
            for p in stage.load(cache.path_of(stage)).policies:
                params = np.asarray(p.params, dtype=np.float32)[None]
                writer.append(stage.task, params, p.seed, p.step, p.success, episodes, p.returns, p.split)
    with PolicyStore.open(policies) as store:
        digest = store.digest
    sizes = layout.observation_size, layout.action_size
    before: dict[str, int] = {}  # rows of the task that earlier stages wrote
    with TrajectoryStoreWriter(trajectories, route, digest, *sizes) as writer_of_episodes:
        for stage in stages:
            harvest, first = stage.load(cache.path_of(stage)), before.get(stage.task, 0)
            for e in harvest.episodes:
                arrays = e.observations, e.actions, e.rewards
                row = first + e.policy_row if e.policy_row >= 0 else -1
                writer_of_episodes.append(stage.task, *arrays, e.success_step, e.goal_seed, row, e.split, e.terminated)
            before[stage.task] = first + len(harvest.policies)
    return [policies, trajectories]

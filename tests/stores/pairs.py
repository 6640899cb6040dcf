"""Small pairs of stores whose runs are known: every policy and every episode says whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyprepro.policies.layout import PolicyLayout, Precision
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter

LAYOUT = PolicyLayout.mlp(3, 4, 2, ("relu", "relu"))
VERSIONS = {"metaworld": "3.1.1", "mujoco": "3.3.0", "numpy": "2.0"}


@dataclass(frozen=True)
class Made:
    """How a pair is made.

    Attributes:
        route: How its policies were made.
        layout: Of its policies.
        versions: What made them.
        weights: How they are kept.
        sizes: Of an observation and an action.
        is_rated: Whether its policies have success rates; where returns alone count they have none.
    """

    route: Mapping[str, Any] = field(default_factory=lambda: {"name": "toy", "summary": "toys"})
    layout: PolicyLayout = LAYOUT
    versions: Mapping[str, str] = field(default_factory=lambda: VERSIONS)
    weights: Precision = "float16"
    sizes: tuple[int, int] = (3, 2)
    is_rated: bool = True


def write(name: Path, tasks: Mapping[str, Mapping[int, str]], made: Made | None = None) -> Path:
    """Write NAME.policies.h5 and NAME.trajectories.h5, run by run.

    Of a training policy there is an episode to train on and one for validation, of a test policy one to test with.

    Args:
        name: What both files begin with.
        tasks: The runs of each task: by seed the splits of its policies, such as "train train test".
        made: How.
    """
    made, zoo, episodes = made or Made(), Path(f"{name}.policies.h5"), Path(f"{name}.trajectories.h5")
    versions = dict(made.versions)
    with PolicyStoreWriter(zoo, made.layout, dict(made.route), made.weights, versions) as writer:
        for task, runs in tasks.items():
            for seed, splits in runs.items():
                for number, split in enumerate(splits.split()):
                    params = np.full((1, made.layout.size), mark(seed, number))
                    success = 0.5 + 0.1 * number if made.is_rated else np.nan
                    writer.append(task, params, seed, 100 * number, success, 20, 7.0, split)
        digest = writer.close()
    with TrajectoryStoreWriter(episodes, dict(made.route), digest, *made.sizes, versions=versions) as recorder:
        for task, runs in tasks.items():
            first = 0
            for seed, splits in runs.items():
                of = splits.split()
                for kind, source in (("train", "train"), ("validation", "train"), ("test", "test")):
                    for number in (i for i, split in enumerate(of) if split == source):
                        _record(recorder, task, mark(seed, number), first + number, kind, made.sizes)
                first += len(of)
    return name


def mark(seed: int, number: int) -> float:
    """What the parameters of a run's policy are, and the rewards of its episodes."""
    return seed + number / 8


def read(name: Path) -> tuple[PolicyStore, TrajectoryStore]:
    """Both stores, open."""
    return PolicyStore.open(f"{name}.policies.h5"), TrajectoryStore.open(f"{name}.trajectories.h5")


def digests(name: Path) -> tuple[str, str]:
    """Of both, after reading all of them."""
    pair = read(name)
    assert [store.verify() for store in pair] == [[], []]
    return pair[0].digest, pair[1].digest


def runs_of(name: Path, task: str) -> dict[int, str]:
    """The runs of a task as `write` takes them."""
    meta = read(name)[0].meta(task)
    found: dict[int, list[str]] = {}
    for seed, split in zip(meta["seed"].tolist(), meta["split"].tolist(), strict=True):
        found.setdefault(seed, []).append(split)
    return {seed: " ".join(splits) for seed, splits in found.items()}


def assert_everything_fits(name: Path) -> None:
    """Every episode is of the policy that its row names, in a split that goes with the policy's."""
    zoo, episodes = read(name)
    assert episodes.policies_digest == zoo.digest
    for task in zoo.tasks:
        params, splits = zoo.read(task, zoo.rows(task))[:, 0], zoo.meta(task)["split"]
        recorded = list(episodes.episodes(task))
        wanted = {"train": ["train", "validation"], "test": ["test"]}
        assert sorted((e.policy_row, e.split) for e in recorded) == sorted(
            (row, kind) for row, split in enumerate(splits) for kind in wanted[split]
        )
        assert all(float(e.rewards[0]) == float(params[e.policy_row]) for e in recorded)


def _record(writer: TrajectoryStoreWriter, task: str, value: float, row: int, split: str, sizes: Sequence[int]) -> None:
    observations, actions = np.full((4, sizes[0]), value), np.zeros((3, sizes[1]))
    writer.append(task, observations, actions, np.full(3, value), 1, round(8 * value) + 8, row, split)

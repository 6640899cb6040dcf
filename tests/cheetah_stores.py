"""Small stores of Cheetah-Vel in the real formats: all 40 velocities, policies on a smooth curve, real episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.base import Start
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.cheetah_vel.env import Cheetahs
from hyprepro.domains.cheetah_vel.tasks import HORIZON, TEST_INDICES, velocity_grid
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter

CHECKPOINTS = 3


def velocity_task(velocity: float) -> str:
    """The name of a velocity's task, whether or not it is of the grid."""
    return f"velocity-{velocity:.3f}"


@dataclass(frozen=True)
class CheetahStores:
    """Paths of the policies, the episodes and the parent's policies, and the domain bound to them."""

    policies: Path
    trajectories: Path
    parents: Path

    @property
    def domain(self) -> CheetahVel:
        """The component that a recipe would use."""
        return CheetahVel(policies=str(self.policies), trajectories=str(self.trajectories), parents=str(self.parents))

    @property
    def bindings(self) -> list[str]:
        """The same as flags of a command line."""
        names = ("policies", "trajectories", "parents")
        return [part for name in names for part in ("-b", f"CheetahVel.{name}='{getattr(self, name)}'")]


def build_cheetah_stores(folder: Path, seed: int = 0) -> CheetahStores:
    """Three checkpoints a velocity, and an episode of the first and of the last of them.

    A policy is a common random one, plus a direction times the velocity, plus a little noise of its own. Training
    velocities have an episode in the splits train and validation each, test velocities in test and validation.
    """
    rng = np.random.default_rng(seed)
    stores = CheetahStores(*(folder / f"{name}.h5" for name in ("policies", "trajectories", "parents")))
    base, direction = (rng.normal(0.0, scale, CHEETAH_LAYOUT.size) for scale in (0.12, 0.03))
    grid = velocity_grid()
    params = {
        velocity: (base + velocity * direction + rng.normal(0.0, 0.004, (CHECKPOINTS, base.size))).astype(np.float32)
        for velocity in grid
    }
    splits = {v: "test" if number in TEST_INDICES else "train" for number, v in enumerate(grid)}
    steps = 150_000 + 500 * np.arange(CHECKPOINTS)
    with PolicyStoreWriter(stores.policies, CHEETAH_LAYOUT, {"route": "synthetic"}, "float32") as writer:
        for velocity, rows in params.items():
            split = splits[velocity]
            writer.append(velocity_task(velocity), rows, 0, steps, np.nan, 1, -200 * velocity, split)
        digest = writer.close()
    with PolicyStoreWriter(stores.parents, CHEETAH_LAYOUT, {"route": "synthetic"}, "float32") as writer:
        for velocity in grid:
            folded = (base + velocity * direction)[None].astype(np.float32)
            writer.append(velocity_task(velocity), folded, 0, 0, np.nan, 1, -200 * velocity, splits[velocity])
    with TrajectoryStoreWriter(stores.trajectories, {"route": "synthetic"}, digest, 17, 6) as writer:
        for split, checkpoint in (("train", 0), ("validation", CHECKPOINTS - 1)):
            episodes = _episodes(np.stack([params[velocity][checkpoint] for velocity in grid]), grid)
            for velocity, (observations, actions, rewards) in zip(grid, episodes, strict=True):
                own = "test" if splits[velocity] == "test" and split == "train" else split
                row = (observations, actions, rewards, -1, 2_000_000, checkpoint, own)
                writer.append(velocity_task(velocity), *row)
    return stores


def _episodes(
    params: NDArray[np.float32], grid: tuple[float, ...]
) -> list[tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]]:
    """One episode of each policy `[n, P]`: observations `[201, 17]`, actions `[200, 6]`, rewards `[200]`."""
    count = len(params)
    cheetahs = Cheetahs(np.array(grid))
    session = PolicyControllers(CHEETAH_LAYOUT, params).session(count)
    for slot in range(count):
        session.assign(slot, slot)
    first = np.stack([cheetahs.reset(slot, Start("fresh", 2_000_000)) for slot in range(count)])
    observations, actions, rewards = [first], [], []
    for _ in range(HORIZON):
        actions.append(session.act(observations[-1].astype(np.float32)))
        step = cheetahs.step(actions[-1], range(count))
        observations.append(step.observations)
        rewards.append(step.rewards)
    parts = (np.stack(each, axis=1) for each in (observations, actions, rewards))
    return list(zip(*parts, strict=True))

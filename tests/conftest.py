"""Fixtures shared by all tests: small synthetic stores with the real layout and the real formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter

if TYPE_CHECKING:
    from tests.cheetah_stores import CheetahStores

TINY_TASKS = ("door-open", "reach")
TINY_POLICIES = {"train": 6, "test": 2}
TINY_PROMPTS = {"train": 12, "validation": 4, "test": 5}
TINY_STEPS = 66
TINY_SUCCESS_STEP = 61


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests begin first, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@dataclass(frozen=True)
class TinyStores:
    """Paths of a policy store and a trajectory store of two tasks, and the domain bound to them."""

    policies: Path
    trajectories: Path

    @property
    def domain(self) -> MetaWorld:
        """The component that a recipe would use."""
        return MetaWorld(policies=str(self.policies), trajectories=str(self.trajectories))


@pytest.fixture(scope="session")
def tiny_stores(tmp_path_factory: pytest.TempPathFactory) -> TinyStores:
    """Two tasks, 6 training and 2 test policies and 12, 4, 5 prompts each; actions are the stored policies' own."""
    return build_tiny_stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="session")
def renderer() -> str:
    """What draws without a screen; tests that draw are skipped where nothing does."""
    from hyprepro.domains.camera import LIBRARIES, found_renderer

    return found_renderer() or pytest.skip(f"nothing draws here: {LIBRARIES['egl']}")


@pytest.fixture(scope="session")
def cheetah_stores(tmp_path_factory: pytest.TempPathFactory) -> CheetahStores:
    """Cheetah-Vel's 40 velocities with three policies and two episodes each."""
    from tests.cheetah_stores import build_cheetah_stores

    return build_cheetah_stores(tmp_path_factory.mktemp("cheetah"))


def build_tiny_stores(
    folder: Path, seed: int = 0, versions: dict[str, str] | None = None, unseen: int = 0
) -> TinyStores:
    """Write the tiny stores into `folder`.

    Args:
        folder: Where.
        seed: Of all that is random in them.
        versions: What they record in place of the installed versions.
        unseen: Further test policies of each task, of a run that nothing is trained on, with five test prompts of them.
    """
    rng = np.random.default_rng(seed)
    stores = TinyStores(folder / "policies.h5", folder / "trajectories.h5")
    weights = {task: _policies(rng, unseen) for task in TINY_TASKS}
    with PolicyStoreWriter(stores.policies, METAWORLD_LAYOUT, {"route": "synthetic"}, versions=versions) as writer:
        for task, params in weights.items():
            start = 0
            for split, count in TINY_POLICIES.items():
                rows = params[start : start + count]
                writer.append(task, rows, np.arange(count) % 2, 1000 * np.arange(count), 0.95, 20, 1500.0, split)
                start += count
            if unseen:
                writer.append(task, params[start:], 2, 1000 * np.arange(unseen), 0.95, 20, 1500.0, "test")
        digest = writer.close()
    trajectories = TrajectoryStoreWriter(stores.trajectories, {"route": "synthetic"}, digest, versions=versions)
    with trajectories:
        for task, params in weights.items():
            for split, count in TINY_PROMPTS.items():
                for number in range(count):
                    row = number % 6 if split == "train" else 6 + number % 2
                    _episode(trajectories, rng, task, params[row], row, split, 2_000_000 + number)
            for number in range(TINY_PROMPTS["test"] if unseen else 0):
                row = 8 + number % unseen
                _episode(trajectories, rng, task, params[row], row, "test", 2_000_100 + number)
    return stores


def _policies(rng: np.random.Generator, more: int) -> NDArray[np.float32]:
    """Eight policies of a task, and more: a common parent plus a little noise, as one collection gives."""
    size = METAWORLD_LAYOUT.size
    parent = rng.normal(0.0, 0.08, size)
    params = parent + rng.normal(0.0, 0.01, (sum(TINY_POLICIES.values()) + more, size))
    return params.astype(np.float16).astype(np.float32)  # as the store rounds them


def _episode(
    writer: TrajectoryStoreWriter,
    rng: np.random.Generator,
    task: str,
    params: NDArray[np.float32],
    row: int,
    split: str,
    goal_seed: int,
) -> None:
    """A smooth random walk of the observation with the policy's own actions."""
    walk = np.cumsum(rng.normal(0.0, 0.01, (TINY_STEPS + 1, 39)), axis=0)
    observations = (rng.normal(0.0, 0.3, 39) + walk).astype(np.float32)
    policy = StackedPolicies(METAWORLD_LAYOUT, np.repeat(params[None], TINY_STEPS, axis=0))
    actions = policy.act(np.arange(TINY_STEPS), observations[:-1])
    rewards = rng.uniform(0.0, 10.0, TINY_STEPS)
    writer.append(task, observations, actions, rewards, TINY_SUCCESS_STEP, goal_seed, row, split)

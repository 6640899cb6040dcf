"""The two stores of a run as plain data: what stages and methods hold, and what counts in their keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyprepro.engine.stage import StoreFile

if TYPE_CHECKING:
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.trajectory_store import TrajectoryStore


@dataclass(frozen=True)
class StoreFiles:
    """Where the policies and the trajectories of a run lie, each with the digest of its content."""

    policies: StoreFile
    trajectories: StoreFile

    @property
    def files(self) -> StoreFiles:
        """The two alone, for a stage that depends on no more of a run's data."""
        return StoreFiles(self.policies, self.trajectories)

    def described(self) -> dict[str, Any]:
        """What counts in a stage's key: the stores by their content."""
        return {"policies": self.policies.described(), "trajectories": self.trajectories.described()}

    def open_policies(self) -> PolicyStore:
        """The policy store, validated and open; close it or use it as a context manager."""
        from hyprepro.stores.policy_store import PolicyStore

        return PolicyStore.of(self.policies)

    def open_trajectories(self) -> TrajectoryStore:
        """The trajectory store, validated and open; close it or use it as a context manager."""
        from hyprepro.stores.trajectory_store import TrajectoryStore

        return TrajectoryStore.open(Path(self.trajectories.path))

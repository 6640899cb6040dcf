"""The two stores of a run as plain data: what stages and methods hold, and what counts in their keys."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from hyprepro.engine.stage import StoreFile

if TYPE_CHECKING:
    from hyprepro.stores.policy_store import PolicyStore
    from hyprepro.stores.trajectory_store import TrajectoryStore

PART = "part"
"""In a route: which `runs` of a collection's `of` these are; missing where it is the whole."""

Runs = Literal["unseen", "training"]
"""From which runs test prompts come: those that nothing is trained on, or those that give training policies too."""


@dataclass(frozen=True)
class TrainingPart(StoreFile):
    """What training may read of a store. It counts by the content of that part alone: new test prompts change nothing.

    A store that is opened of it shows no other rows, so that a stage's key covers all that the stage can read.
    """

    def described(self) -> dict[str, Any]:
        """The digest of each task's rows of each split."""
        known, kept = _DIGESTS.setdefault((self.path, self.digest), {}), dict(self.kept)
        wanted = [(task, split, kept.get(task)) for task, split in product(self.tasks, self.splits)]
        if not known.keys() >= set(wanted):
            from hyprepro.stores.info import open_any

            with open_any(self.path) as store:
                known |= {each: store.part_digest(*each) for each in wanted if each not in known}
        return {
            "splits": list(self.splits),
            "parts": {task: [known[task, s, kept.get(task)] for s in self.splits] for task in self.tasks},
        }


_DIGESTS: dict[tuple[str, str], dict[tuple[str, str, tuple[int, ...] | None], str]] = {}
"""By a store's path and digest those of its tasks, splits and kept policies, each read once in a process."""


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

        return TrajectoryStore.of(self.trajectories)

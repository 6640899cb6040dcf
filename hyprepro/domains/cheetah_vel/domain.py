"""The stores of Cheetah-Vel: policies and episodes by velocity, and the parent that the experts grew from.

Policies out of the policy store by velocity, as the reference rows need them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hyprepro.component import component, setting
from hyprepro.domains.cheetah_vel.tasks import task_velocity, velocity_task
from hyprepro.domains.metaworld.domain import DataSource
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.policy_store import PolicyStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyprepro.stores.trajectory_store import TrajectoryStore


@dataclass(frozen=True)
class VelocityFiles(StoreFiles):
    """Where policies and episodes lie, and the parents' folded policies, one a velocity, if they are known."""

    parents: StoreFile | None = None

    def open_parents(self) -> PolicyStore:
        """The store of the parent's policies.

        Raises:
            UserError: None is bound.
        """
        if self.parents is None:
            raise UserError(
                "The velocity-conditioned parent's policies are not bound.",
                where="CheetahData.parents",
                fix="bind CheetahData.parents to their store, or leave out VelocityParent",
            )
        return PolicyStore.of(self.parents)

    def trained_on(self, velocities: Collection[float]) -> VelocityFiles:
        """The same with the training policies of all other velocities withheld."""
        wanted = {velocity_task(velocity) for velocity in velocities}
        with self.open_policies() as store:
            others = tuple(task for task in store.tasks if task not in wanted)
        return replace(self, policies=replace(self.policies, withheld=others))


@component
class CheetahData(DataSource):
    """The bundled stores of Cheetah-Vel, or others of its observations, policies and task names."""

    unchecked = "collect it anew with the installed simulator: hyprepro collect cheetah-vel"

    policies: str = setting("stores/cheetah-vel.policies.h5", "path of the policy store")
    trajectories: str = setting("stores/cheetah-vel.trajectories.h5", "path of the trajectory store")
    parents: str = setting("", "path of the store of the velocity-conditioned parent's policies; empty: none")

    def open_policies(self) -> PolicyStore:
        """The policy store, checked for Cheetah-Vel's layout, task names and the installed simulator's version."""
        return self._opened(PolicyStore.open(self.policies_path, CHEETAH_LAYOUT))

    def open_trajectories(self) -> TrajectoryStore:
        """The trajectory store, checked for Cheetah-Vel's spaces and the installed simulator's version."""
        store = super().open_trajectories()
        sizes, wanted = (store.observation_size, store.action_size), _SIZES
        if sizes != wanted:
            store.close()
            raise UserError(
                f"The store holds episodes of {sizes[0]} observations and {sizes[1]} actions; Cheetah-Vel has "
                f"{wanted[0]} and {wanted[1]}.",
                where=store.where,
                fix="bind CheetahData.trajectories to a store of Cheetah-Vel",
            )
        return store

    def files(self) -> VelocityFiles:
        """All stores as plain data for stages; errors as `DataSource.files`."""
        found = super().files()
        parents = None
        if self.parents:
            path = self.locate(self.parents, "parents")
            with self._opened(PolicyStore.open(path, CHEETAH_LAYOUT)) as store:
                parents = StoreFile(str(path), store.digest)
        return VelocityFiles(found.policies, found.trajectories, parents)

    def _opened(self, store: PolicyStore) -> PolicyStore:
        try:
            for task in store.tasks:
                task_velocity(task)
        except UserError as error:
            store.close()
            raise UserError(error.what, where=store.where, fix="bind a store of Cheetah-Vel") from None
        return self._accepted(store)


_SIZES = (CHEETAH_LAYOUT.observation_size, CHEETAH_LAYOUT.action_size)


Checkpoints = Literal["all", "last"]


def policies_of(store: PolicyStore, velocity: float, checkpoints: Checkpoints = "all") -> NDArray[np.float32]:
    """Stored policies of a velocity, of whatever split, by their training step `[n, P]`: all, or the last alone."""
    task = velocity_task(velocity)
    order = store.meta(task)["step"].argsort(kind="stable")
    return store.read(task, order if checkpoints == "all" else order[-1:])


def neighbours(velocities: tuple[float, ...], target: float) -> tuple[float, float, float]:
    """The training velocities around a target, and its place between them.

    Returns:
        The next slower and the next faster one, and the share of the way from the first to the second; at the ends of
        the range the same velocity twice and 0.
    """
    slower = [velocity for velocity in velocities if velocity <= target]
    faster = [velocity for velocity in velocities if velocity >= target]
    if not slower or not faster:
        only = (slower or faster)[-1 if slower else 0]
        return only, only, 0.0
    low, high = slower[-1], faster[0]
    return low, high, (target - low) / (high - low) if high > low else 0.0

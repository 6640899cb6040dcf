"""Cheetah-Vel and its stores: policies and episodes by velocity, and the parent that the experts grew from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hyprepro.component import component, setting
from hyprepro.domains.base import RETURN, Condition, Data, Domain, Metric, Query, Start
from hyprepro.domains.cheetah_vel.tasks import HORIZON, LARGEST_VELOCITY, check_velocity, task_velocity, velocity_task
from hyprepro.domains.metaworld.domain import DataSource
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT, PolicyLayout
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.policy_store import PolicyStore

if TYPE_CHECKING:
    from hyprepro.stores.trajectory_store import TrajectoryStore


@component
class CheetahVel(Domain):
    """Cheetah-Vel: HalfCheetah at a target velocity, one number; an episode's return is what counts."""

    label: ClassVar[str] = "cheetah-vel"
    layout: ClassVar[PolicyLayout] = CHEETAH_LAYOUT
    horizon: ClassVar[int] = HORIZON
    metric: ClassVar[Metric] = RETURN
    condition: ClassVar[Condition] = "parameter"
    told: ClassVar[str] = "velocity"
    ranges: ClassVar[tuple[tuple[float, float], ...]] = ((0.0, LARGEST_VELOCITY),)

    def parameter(self, task: str) -> tuple[float, ...]:
        """The target velocity, in m/s."""
        return (task_velocity(task),)

    def task_name(self, parameter: tuple[float, ...]) -> str:
        """The name of a target velocity."""
        return velocity_task(check_velocity(*parameter))

    def query(self, data: StoreFiles, task: str, count: int, split: str) -> Query:
        """The target velocity; a method deploys as many controllers as its own settings say."""
        return Query(task, self.parameter(task))

    def start(self, use: str, base_seed: int, task: str, index: int) -> Start:
        """Start noise from a seed of the use's range; a task and use has a block of a thousand."""
        if not 0 <= index < _BLOCK:
            raise ValueError(f"0 to {_BLOCK - 1} are starts, not {index}")
        digest = hashlib.sha256(f"{base_seed}/{task}".encode()).digest()
        block = int.from_bytes(digest[:8], "big") % (len(STARTS[use]) // _BLOCK)
        return Start("noise", STARTS[use].start + block * _BLOCK + index)


STARTS = {"validation": range(3_000_000, 4_000_000), "test": range(4_000_000, 5_000_000)}
"""Seeds of start noise, a range for each use; those below are for collection."""

_BLOCK = 1_000


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

    def files(self) -> Data:
        """All stores as plain data for stages; errors as `DataSource.files`."""
        parents = None
        if self.parents:
            path = self.locate(self.parents, "parents")
            with self._opened(PolicyStore.open(path, CHEETAH_LAYOUT)) as store:
                parents = StoreFile(str(path), store.digest)
        return replace(super().files(), parents=parents)

    @property
    def domain(self) -> Domain:
        """What the stores are of."""
        return CheetahVel()

    def _opened(self, store: PolicyStore) -> PolicyStore:
        try:
            for task in store.tasks:
                task_velocity(task)
        except UserError as error:
            store.close()
            raise UserError(error.what, where=store.where, fix="bind a store of Cheetah-Vel") from None
        return self._accepted(store)


_SIZES = (CHEETAH_LAYOUT.observation_size, CHEETAH_LAYOUT.action_size)


def training_velocities(data: Data) -> tuple[float, ...]:
    """The velocities that are trained on, ascending, in m/s."""
    return tuple(sorted(velocity for (velocity,) in data.trained().values()))

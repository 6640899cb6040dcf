"""Reading the tiny stores in the tests of methods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.base import Query
from hyprepro.policies.controllers import Controllers, PolicyControllers, Session
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.prompts import Prompts, read_prompts
from tests.cheetah_stores import velocity_task


def prompts_of(data: StoreFiles, task: str, split: str = "test") -> Prompts:
    with data.open_trajectories() as store:
        return read_prompts(store, task, split)


def stored(data: StoreFiles, task: str, rows: NDArray[np.int64] | list[int]) -> NDArray[np.float32]:
    with data.open_policies() as store:
        return store.read(task, rows)


def params_of(controllers: Controllers) -> NDArray[np.float32]:
    assert isinstance(controllers, PolicyControllers)
    return controllers.params


def prompted(prompts: Prompts) -> Query:
    return Query(prompts.task, (), prompts, len(prompts))


def asked(velocity: float) -> Query:
    return Query(velocity_task(velocity), (velocity,))


def named(velocities: tuple[float, ...]) -> list[str]:
    return [velocity_task(velocity) for velocity in velocities]


def begun(controllers: Controllers, rows: list[int]) -> Session:
    """A session with an episode of each of the controllers in a slot."""
    session = controllers.session(len(rows))
    for slot, row in enumerate(rows):
        session.assign(slot, row)
    return session

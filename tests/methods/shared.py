"""Reading the tiny stores in the tests of methods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyprepro.policies.controllers import Controllers, PolicyControllers
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.prompts import Prompts, read_prompts


def prompts_of(data: StoreFiles, task: str, split: str = "test") -> Prompts:
    with data.open_trajectories() as store:
        return read_prompts(store, task, split)


def stored(data: StoreFiles, task: str, rows: NDArray[np.int64] | list[int]) -> NDArray[np.float32]:
    with data.open_policies() as store:
        return store.read(task, rows)


def params_of(controllers: Controllers) -> NDArray[np.float32]:
    assert isinstance(controllers, PolicyControllers)
    return controllers.params

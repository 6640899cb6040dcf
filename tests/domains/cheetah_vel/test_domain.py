"""The stores of Cheetah-Vel, and those that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.cheetah_vel.domain import CheetahData
from hyprepro.domains.cheetah_vel.tasks import velocity_task
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.training_data import training_tasks
from tests.cheetah_stores import CheetahStores


def test_what_is_not_trained_on_is_withheld(cheetah_stores: CheetahStores) -> None:
    files = cheetah_stores.data.files().trained_on((0.375, 1.5))
    with PolicyStore.of(files.policies) as store:
        assert training_tasks(store) == [velocity_task(0.375), velocity_task(1.5)]
        assert store.count(velocity_task(1.2), "test"), "ceilings are still there"
    assert files.policies != cheetah_stores.data.files().policies, "part of every key"


def test_the_parents(cheetah_stores: CheetahStores) -> None:
    with cheetah_stores.data.files().open_parents() as store:
        assert store.layout == CHEETAH_LAYOUT
    without = cheetah_stores.data.model_copy(update={"parents": ""}).files()
    with pytest.raises(UserError, match="are not bound") as error:
        without.open_parents()
    assert "CheetahData.parents" in error.value.where


@pytest.mark.parametrize("field", ["policies", "trajectories", "parents"])
def test_a_missing_store(cheetah_stores: CheetahStores, field: str) -> None:
    data = cheetah_stores.data.model_copy(update={field: "nowhere.h5"})
    with pytest.raises(UserError, match=r"no store at 'nowhere\.h5'") as error:
        data.files()
    assert field in error.value.where


def test_policies_of_another_layout(cheetah_stores: CheetahStores, tiny_stores: object) -> None:
    data = cheetah_stores.data.model_copy(update={"policies": str(tiny_stores.policies)})  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="another layout: 39 -> 128"):
        data.files()


def test_episodes_of_another_observation(cheetah_stores: CheetahStores, tiny_stores: object) -> None:
    data = cheetah_stores.data.model_copy(update={"trajectories": str(tiny_stores.trajectories)})  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="39 observations and 4 actions; Cheetah-Vel has 17 and 6"):
        data.files()


def test_tasks_that_are_no_velocities(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with PolicyStoreWriter(path, CHEETAH_LAYOUT, {}) as writer:
        writer.append("velocity-9.000", np.zeros((1, CHEETAH_LAYOUT.size)), 0, 0, np.nan, 1, 0.0, "train")
    data = CheetahData(policies=str(path), trajectories=str(cheetah_stores.trajectories))
    with pytest.raises(UserError, match="outside 0 to 3") as error:
        data.files()
    assert str(path) in error.value.where

"""The stores of Cheetah-Vel, and those that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.base import Start, Use
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.domains.parameter import STARTS
from hyprepro.errors import UserError
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from tests.cheetah_stores import CheetahStores, velocity_task


def test_what_is_not_trained_on_is_withheld(cheetah_stores: CheetahStores) -> None:
    files = cheetah_stores.domain.data().trained_on(["velocity-0.375", "velocity-1.500"])
    with PolicyStore.of(files.policies) as store:
        assert store.training_tasks() == [velocity_task(0.375), velocity_task(1.5)]
        assert store.count(velocity_task(1.2), "test"), "ceilings are still there"
    assert files.policies != cheetah_stores.domain.data().policies, "part of every key"


def test_the_parents(cheetah_stores: CheetahStores) -> None:
    with cheetah_stores.domain.data().open_parents() as store:
        assert store.layout == CHEETAH_LAYOUT
    without = cheetah_stores.domain.model_copy(update={"parents": ""}).data()
    with pytest.raises(UserError, match="are not bound") as error:
        without.open_parents()
    assert "CheetahVel.parents" in error.value.where


@pytest.mark.parametrize("field", ["policies", "trajectories", "parents"])
def test_a_missing_store(cheetah_stores: CheetahStores, field: str) -> None:
    data = cheetah_stores.domain.model_copy(update={field: "nowhere.h5"})
    with pytest.raises(UserError, match=r"no store at 'nowhere\.h5'") as error:
        data.data()
    assert field in error.value.where


def test_policies_of_another_layout(cheetah_stores: CheetahStores, tiny_stores: object) -> None:
    data = cheetah_stores.domain.model_copy(update={"policies": str(tiny_stores.policies)})  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="another layout: 39 -> 128"):
        data.data()


def test_episodes_of_another_observation(cheetah_stores: CheetahStores, tiny_stores: object) -> None:
    data = cheetah_stores.domain.model_copy(update={"trajectories": str(tiny_stores.trajectories)})  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="39 observations and 4 actions; Cheetah-Vel has 17 and 6"):
        data.data()


def test_tasks_that_are_no_velocities(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with PolicyStoreWriter(path, CHEETAH_LAYOUT, {}) as writer:
        writer.append("velocity-9.000", np.zeros((1, CHEETAH_LAYOUT.size)), 0, 0, np.nan, 1, 0.0, "train")
    data = CheetahVel(policies=str(path), trajectories=str(cheetah_stores.trajectories))
    with pytest.raises(UserError, match="outside 0 to 3") as error:
        data.data()
    assert str(path) in error.value.where


def test_starts_are_the_same_for_all_methods_and_others_for_each_velocity_and_use() -> None:
    domain = CheetahVel()

    def starts(use: Use, base_seed: int, task: str) -> list[Start]:
        return [domain.start(use, base_seed, task, index) for index in range(10)]

    found = starts("test", 0, "velocity-1.200")
    assert len(set(found)) == 10
    assert all(start.seed in STARTS["test"] for start in found)
    others = [starts("test", 1, "velocity-1.200"), starts("test", 0, "velocity-0.600")]
    others.append(starts("validation", 0, "velocity-1.200"))
    assert not any(set(found) & set(other) for other in others)
    with pytest.raises(UserError, match="1000 starts"):
        domain.start("test", 0, "velocity-1.200", 1000)


def test_a_task_is_given_by_its_name_or_its_number() -> None:
    assert CheetahVel().named(1.2) == CheetahVel().named("velocity-1.200") == "velocity-1.200"
    with pytest.raises(UserError, match="none of the 40") as error:
        CheetahVel().named(1.21)
    assert error.value.closest == "1.2"
    with pytest.raises(UserError, match="names no velocity"):
        CheetahVel().named("fast")

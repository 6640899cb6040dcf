"""The ceilings: what is deployed, and what of the test task is looked at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.autoencoder import PCAAutoencoder
from hyprepro.methods.ceilings import AutoencoderCeiling, DomainRandomisation, Expert, OneForAll, Parent
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.methods.shared import asked, named, params_of, prompted, prompts_of, stored


def test_the_expert_deploys_the_policies_that_recorded_the_prompts(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "door-open")
    got = params_of(Expert().deploy(None, data, prompted(prompts), 0))
    assert np.array_equal(got, stored(data, "door-open", prompts.policy_rows))
    assert prompts.policy_rows.tolist() == [6, 7, 6, 7, 6]


def test_the_expert_has_nothing_to_train(tiny_stores: TinyStores) -> None:
    assert Expert().training(tiny_stores.domain.data(), 0) is None


@pytest.mark.parametrize("change", [{"policy_rows": np.array([6, -1])}, {"task": "window-open"}])
def test_a_policy_that_is_not_stored_is_a_mistake(tiny_stores: TinyStores, change: dict[str, object]) -> None:
    data = tiny_stores.domain.data()
    prompts = dataclasses.replace(prompts_of(data, "reach").subset([0, 1]), **change)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not stored") as caught:
        Expert().deploy(None, data, prompted(prompts), 0)
    assert "Expert" in caught.value.fix


def test_the_autoencoder_ceiling_is_the_reconstruction_of_each_prompts_own_policy(
    tiny_stores: TinyStores, tmp_path: Path
) -> None:
    data = tiny_stores.domain.data()
    # As many components as policies, none held out, no shrinkage: training policies come back, test policies do not.
    method = AutoencoderCeiling(autoencoder=PCAAutoencoder(latent_size=12, validation_share=0.0, input_noise=0.0))
    stage = method.training(data, seed=0)
    trained = stage.load(ArtifactCache(tmp_path).make(stage))
    seen = prompts_of(data, "reach", "train")
    got = params_of(method.deploy(trained, data, prompted(seen), 0))
    np.testing.assert_allclose(got, stored(data, "reach", seen.policy_rows), atol=1e-4)
    unseen = prompts_of(data, "reach", "test")
    error = np.abs(
        params_of(method.deploy(trained, data, prompted(unseen), 0)) - stored(data, "reach", unseen.policy_rows)
    )
    assert 1e-3 < error.mean() < 0.05


def test_all_seeds_share_one_autoencoder(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    assert AutoencoderCeiling().training(data, 0).key == AutoencoderCeiling().training(data, 1).key


@pytest.fixture(scope="module")
def velocities(cheetah_stores: CheetahStores) -> Data:
    return cheetah_stores.domain.data().trained_on(named((0.375, 1.05, 1.5, 2.325)))


def test_of_a_velocity_the_expert_deploys_the_stored_policies_by_age(velocities: Data) -> None:
    known = stored(velocities, "velocity-1.200", [0, 1, 2])
    assert np.array_equal(params_of(Expert().deploy(None, velocities, asked(1.2), 0)), known)
    assert np.array_equal(params_of(Expert(checkpoints="last").deploy(None, velocities, asked(1.2), 0)), known[2:])


def test_of_a_velocity_the_autoencoder_has_not_seen_the_policies(velocities: Data, tmp_path: Path) -> None:
    method = AutoencoderCeiling(autoencoder=PCAAutoencoder(latent_size=12, validation_share=0.0, input_noise=0.0))
    stage = method.training(velocities, 0)
    trained = stage.load(ArtifactCache(tmp_path).make(stage))
    seen, unseen = (params_of(method.deploy(trained, velocities, asked(target), 0)) for target in (1.05, 1.2))
    np.testing.assert_allclose(seen, stored(velocities, "velocity-1.050", [0, 1, 2]), atol=1e-4)
    assert unseen.shape == seen.shape
    assert not np.allclose(unseen, stored(velocities, "velocity-1.200", [0, 1, 2]), atol=1e-4)


def test_a_velocity_that_the_store_does_not_have(velocities: Data) -> None:
    with pytest.raises(UserError, match=r"no task 'velocity-1\.234'"):
        Expert().deploy(None, velocities, asked(1.234), 0)


def test_the_parent_of_a_velocity(velocities: Data) -> None:
    with velocities.open_parents() as store:
        wanted = store.read("velocity-1.200", [0])
    assert np.array_equal(params_of(Parent().deploy(None, velocities, asked(1.2), 0)), wanted)


def test_the_parent_of_prompts_stands_for_each_of_them(tiny_stores: TinyStores) -> None:
    data = dataclasses.replace(tiny_stores.domain.data(), parents=tiny_stores.domain.data().policies)
    query = prompted(prompts_of(data, "reach"))
    Parent().require(data)
    with data.open_parents() as store:
        last = store.read("reach", [int(store.meta("reach")["step"].argmax())])
    wanted = np.repeat(last, query.n, axis=0)
    assert np.array_equal(params_of(Parent().deploy(None, data, query, 0)), wanted)


def test_a_parent_that_is_not_bound_is_a_mistake(tiny_stores: TinyStores) -> None:
    with pytest.raises(UserError, match="not bound"):
        Parent().require(tiny_stores.domain.data())


def randomised(stores: CheetahStores, path: Path, practised: tuple[str, ...]) -> Data:
    """The stores with one policy for all velocities, which has practised some."""
    with PolicyStoreWriter(path, CHEETAH_LAYOUT, {"route": "synthetic"}, "float32") as writer:
        for task in stores.domain.sweep:
            split = "train" if task in practised else "test"
            writer.append(task, np.ones((1, CHEETAH_LAYOUT.size)), 0, 1, np.nan, 1, 0.0, split)
    return stores.domain.model_copy(update={"randomised": str(path)}).data()


def fewer_tasks(data: Data, path: Path) -> Path:
    """A store of the experts of all tasks but one."""
    with (
        data.open_policies() as store,
        PolicyStoreWriter(path, store.layout, {"route": "synthetic"}, "float32") as part,
    ):
        for task in store.tasks[1:]:
            row = store.rows(task)[:1]
            part.append(task, store.read(task, row), 0, 1, np.nan, 1, 0.0, "train")
    return path


def test_one_policy_is_deployed_where_it_has_practised_what_it_says(
    cheetah_stores: CheetahStores, tmp_path: Path
) -> None:
    domain = cheetah_stores.domain
    data = randomised(cheetah_stores, tmp_path / "trained.h5", domain.training)
    DomainRandomisation().require(data)
    assert (params_of(DomainRandomisation().deploy(None, data, asked(1.2), 0)) == 1).all()
    with pytest.raises(UserError, match=r"those tested too; that of its store has not practised velocity-0\.225"):
        OneForAll().require(data)
    whole = randomised(cheetah_stores, tmp_path / "whole.h5", domain.sweep)
    OneForAll().require(whole)
    with PolicyStore.open(fewer_tasks(whole, tmp_path / "subset.h5")) as subset:
        OneForAll().require(dataclasses.replace(whole, policies=StoreFile(str(subset.path), subset.digest)))
    with pytest.raises(
        UserError, match=r"and no others; that of its store has practised velocity-0\.225 too"
    ) as caught:
        DomainRandomisation().require(whole)
    assert "CheetahVel.randomised" in caught.value.where
    fewer = randomised(cheetah_stores, tmp_path / "fewer.h5", domain.training[1:])
    with pytest.raises(UserError, match="that of its store has not practised velocity"):
        DomainRandomisation().require(fewer)


def test_of_withheld_tasks_it_has_practised_what_is_tested(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    domain = randomised(cheetah_stores, tmp_path / "trained.h5", cheetah_stores.domain.training).domain
    with pytest.raises(UserError, match=r"has practised velocity-1\.500 too"):
        DomainRandomisation().require(domain.data(["velocity-1.500"]))


@pytest.mark.parametrize("method", [DomainRandomisation(), OneForAll()], ids=lambda each: each.label)
def test_policies_that_are_told_the_task_are_not_one_for_all(
    cheetah_stores: CheetahStores, method: DomainRandomisation
) -> None:
    domain = cheetah_stores.domain.model_copy(update={"randomised": str(cheetah_stores.parents)})
    with pytest.raises(UserError, match=r"its store has another one for velocity-\S+ than for velocity"):
        method.require(domain.data())

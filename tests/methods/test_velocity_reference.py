"""The reference rows of Table 4: what is deployed, and what of the test velocity is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from hyprepro.domains.base import Data
from hyprepro.domains.cheetah_vel.domain import neighbours
from hyprepro.domains.cheetah_vel.tasks import velocity_task
from hyprepro.engine.stage import Report
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.methods.velocity_reference import (
    NearestVelocity,
    VelocityAutoencoderCeiling,
    VelocityExpert,
    VelocityInterpolation,
    VelocityParent,
)
from tests.cheetah_stores import CheetahStores
from tests.methods.shared import asked, named

KNOWN = (0.375, 1.05, 1.5, 2.325)
TARGET = 1.2


@pytest.fixture(scope="module")
def files(cheetah_stores: CheetahStores) -> Data:
    return cheetah_stores.domain.data().trained_on(named(KNOWN))


def stored(files: Data, velocity: float) -> np.ndarray:
    with files.open_policies() as store:
        return store.read(velocity_task(velocity), [0, 1, 2])


def test_the_expert(files: Data) -> None:
    every = VelocityExpert().deploy(None, files, asked(TARGET), 0)
    assert np.array_equal(every.params, stored(files, TARGET))
    last = VelocityExpert(checkpoints="last").deploy(None, files, asked(TARGET), 0)
    assert np.array_equal(last.params, stored(files, TARGET)[2:])


@pytest.mark.parametrize(("target", "nearest"), [(1.2, 1.05), (1.35, 1.5), (0.075, 0.375), (3.0, 2.325), (1.275, 1.05)])
def test_the_nearest_velocity(files: Data, target: float, nearest: float) -> None:
    found = NearestVelocity(checkpoints="all").deploy(None, files, asked(target), 0)
    assert np.array_equal(found.params, stored(files, nearest))


def test_interpolated_weights(files: Data) -> None:
    found = VelocityInterpolation(space="weights").deploy(None, files, asked(TARGET), 0)
    low, high = stored(files, 1.05)[2], stored(files, 1.5)[2]
    np.testing.assert_allclose(found.params, [low + (high - low) / 3], atol=1e-6)


def test_interpolated_latents_and_the_autoencoder(files: Data, tmp_path: object) -> None:
    autoencoder = LinearAutoencoder(latent_size=16, steps=0, input_noise=0.0)
    method = VelocityInterpolation(autoencoder=autoencoder)
    stage = method.training(files, 0)
    assert stage is not None
    assert stage.key == VelocityAutoencoderCeiling(autoencoder=autoencoder).training(files, 0).key
    stage.run(tmp_path, {}, Report())  # type: ignore[arg-type]
    trained = stage.load(tmp_path)  # type: ignore[arg-type]
    found = method.deploy(trained, files, asked(TARGET), 0)
    low, high = stored(files, 1.05)[2], stored(files, 1.5)[2]
    # Twelve policies span fewer directions than the latents have.
    np.testing.assert_allclose(found.params, [low + (high - low) / 3], atol=2e-3)
    ceiling = VelocityAutoencoderCeiling(autoencoder=autoencoder).deploy(trained, files, asked(TARGET), 0)
    assert ceiling.params.shape == (3, low.size)
    assert not np.allclose(ceiling.params, stored(files, TARGET), atol=1e-4), "the autoencoder has not seen them"


def test_the_parent(files: Data) -> None:
    found = VelocityParent().deploy(None, files, asked(TARGET), 0)
    with files.open_parents() as store:
        assert np.array_equal(found.params, store.read(velocity_task(TARGET), [0]))


def test_a_velocity_that_the_store_does_not_have(files: Data) -> None:
    with pytest.raises(UserError, match=r"no task 'velocity-1\.234'"):
        VelocityExpert().deploy(None, files, asked(1.234), 0)


@pytest.mark.parametrize(
    ("target", "found"),
    [(1.2, (1.05, 1.5, 1 / 3)), (1.5, (1.5, 1.5, 0.0)), (0.1, (0.375, 0.375, 0.0)), (2.9, (2.325, 2.325, 0.0))],
)
def test_neighbours(target: float, found: tuple[float, float, float]) -> None:
    assert neighbours(KNOWN, target) == pytest.approx(found)

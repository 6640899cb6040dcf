"""Gen-HypRL on velocities: what it trains on, and what it generates."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import execute
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.conditions import CENTER, DEVIATION
from hyprepro.gen_hyprl.generators import MLPUNetGenerator
from hyprepro.gen_hyprl.hypformer import HypFormer, MeanAggregator
from hyprepro.gen_hyprl.hyplatent import HypLatent
from hyprepro.methods.base import Method
from hyprepro.methods.velocity_gen_hyprl import GeneratedVelocity, GenHypRLVelocity, GenHypRLVelocityWithoutHypFormer
from tests.cheetah_stores import CHECKPOINTS, CheetahStores
from tests.methods.shared import asked, named

KNOWN = (0.375, 0.75, 1.05, 1.5, 1.95, 2.325)
PARTS = {
    "autoencoder": LinearAutoencoder(latent_size=16, steps=5, input_noise=0.1),
    "hyplatent": HypLatent(noise_size=4, steps=150, batch_size=16),
    "draws": 5,
}


@pytest.fixture(scope="module")
def files(cheetah_stores: CheetahStores) -> Data:
    return cheetah_stores.domain.data().trained_on(named(KNOWN))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


def deployed(method: GeneratedVelocity, files: Data, cache: ArtifactCache, target: float, seed: int = 0):
    stage = method.training(files, seed)
    execute([stage], cache, 0)
    return method.deploy(stage.load(cache.path_of(stage)), files, asked(target), seed)


def test_the_generator_follows_the_velocity(files: Data, cache: ArtifactCache) -> None:
    method = GenHypRLVelocityWithoutHypFormer(**PARTS)
    means = {target: deployed(method, files, cache, target).params.mean(0) for target in (0.6, 1.8)}
    with files.open_policies() as store:
        true = {target: store.read(f"velocity-{target:.3f}", [0]).mean(0) for target in means}
    near, far = np.linalg.norm(means[0.6] - true[0.6]), np.linalg.norm(means[0.6] - true[1.8])
    assert near < 0.5 * far
    assert np.linalg.norm(means[1.8] - true[1.8]) < 0.5 * np.linalg.norm(means[1.8] - true[0.6])


def test_draws_differ_and_are_repeated_with_the_seed(files: Data, cache: ArtifactCache) -> None:
    method = GenHypRLVelocityWithoutHypFormer(**PARTS)
    once, again = (deployed(method, files, cache, 1.2).params for _ in range(2))
    assert np.array_equal(once, again)
    assert once.shape[0] == 5
    assert np.abs(once - once.mean(0)).max() > 0


@pytest.mark.parametrize(
    "method",
    [
        GenHypRLVelocity(**PARTS, hypformer=HypFormer(steps=10, width=16, heads=4, bank=8)),
        GenHypRLVelocity(**PARTS, hypformer=MeanAggregator()),
        GenHypRLVelocityWithoutHypFormer(
            **{**PARTS, "hyplatent": HypLatent(generator=MLPUNetGenerator(widths=(32,)), noise_size=4, steps=5)}
        ),
    ],
    ids=["hypformer", "mean", "mlp-unet"],
)
def test_other_parts(method: GeneratedVelocity, files: Data, cache: ArtifactCache) -> None:
    assert np.isfinite(deployed(method, files, cache, 1.2).params).all()


def test_it_is_trained_on_the_training_velocities_alone(files: Data, cache: ArtifactCache) -> None:
    stage = GenHypRLVelocityWithoutHypFormer(**PARTS).training(files, 0)
    execute([stage], cache, 0)
    latents = stage.generator.latents
    train, held_out = latents.load(cache.path_of(latents))
    seen = np.concatenate([part.h[:, 0] * DEVIATION + CENTER for part in (train, held_out)])
    assert np.unique(seen.round(3)) == pytest.approx(KNOWN)
    assert len(seen) == len(KNOWN) * CHECKPOINTS
    assert train.v.shape == (len(train), 0)


def test_the_last_checkpoints_alone(files: Data, cache: ArtifactCache) -> None:
    stage = GenHypRLVelocityWithoutHypFormer(**PARTS, checkpoints=1).training(files, 0)
    execute([stage.generator.latents], cache, 0)
    latents = stage.generator.latents
    assert sum(len(part) for part in latents.load(cache.path_of(latents))) == len(KNOWN)


def test_mixtures_of_neighbours(files: Data, cache: ArtifactCache) -> None:
    plain, mixed = (
        GenHypRLVelocityWithoutHypFormer(**PARTS, between=count).training(files, 0).generator.latents
        for count in (0, 2)
    )
    execute([plain, mixed], cache, 0)
    (known, held_out), (found, same) = (each.load(cache.path_of(each)) for each in (plain, mixed))
    assert np.array_equal(held_out.h, same.h), "nothing is validated on mixtures"
    assert np.array_equal(found.h[: len(known)], known.h)
    velocities = found.h[len(known) :, 0].numpy() * DEVIATION + CENTER
    between = [low + (high - low) * k / 3 for low, high in pairwise(KNOWN) for k in (1, 2)]
    assert np.unique(velocities.round(4)) == pytest.approx(between, abs=1e-4)
    first = np.flatnonzero(np.isclose(velocities, between[0], atol=1e-4))[-1] + len(known)
    ends = [known.latents[known.task == number][-1] for number in (0, 1)]
    np.testing.assert_allclose(found.latents[first], ends[0] + (ends[1] - ends[0]) / 3, atol=1e-4)


def test_methods_name_what_they_know() -> None:
    for method in (GenHypRLVelocity(), GenHypRLVelocityWithoutHypFormer()):
        assert isinstance(method, Method)
        assert "velocity" in method.information
    assert GenHypRLVelocity(row="mine").name == "mine"


def test_artifacts_are_whole(files: Data, cache: ArtifactCache, tmp_path: Path) -> None:
    stage = GenHypRLVelocityWithoutHypFormer(**PARTS).training(files, 0)
    execute([stage], cache, 0)
    moved = tmp_path / "elsewhere"
    cache.path_of(stage).rename(moved)
    assert stage.load(moved).autoencoder.layout.size == 6092

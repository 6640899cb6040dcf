from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.gen_hyprl.autoencoder import LinearAutoencoder
from hyprepro.gen_hyprl.embedding import TrainBehaviorEmbedding
from hyprepro.methods.retrieval import Interpolation, MeanPolicy, Retrieval
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.methods.shared import asked, named, params_of, prompted, prompts_of, stored


@dataclass
class Projection:
    """A stand-in for a trained embedding: random projections of what it is given."""

    scale: float = 1.0

    def embed(self, tau: Tensor, tau_hat: Tensor) -> tuple[Tensor, Tensor]:
        draws = torch.Generator().manual_seed(0)
        phi, psi = (torch.randn(part.shape[1], 16, generator=draws) for part in (tau, tau_hat))
        return self.scale * tau @ phi, tau_hat @ psi


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("condition", ["h_and_v", "h"])
@pytest.mark.parametrize("task", ["door-open", "reach"])
def test_a_training_prompt_retrieves_its_own_policy(
    tiny_stores: TinyStores, task: str, condition: str, distance: str
) -> None:
    data = tiny_stores.domain.data()
    method = Retrieval(condition=condition, distance=distance)
    prompts = prompts_of(data, task, "train")
    got = params_of(method.deploy(Projection(), data, prompted(prompts), 0))
    assert np.array_equal(got, stored(data, task, prompts.policy_rows))


def test_h_alone_ignores_the_outcome_and_both_do_not(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    prompts = prompts_of(data, "reach", "train")
    swapped = prompts.subset(np.roll(np.arange(len(prompts)), 1))
    mixed = type(prompts)(**{**vars(prompts), "tau_hat": swapped.tau_hat})
    own = stored(data, "reach", prompts.policy_rows)
    faint = Projection(scale=1e-3)  # h is of no weight beside v
    assert np.array_equal(params_of(Retrieval(condition="h").deploy(faint, data, prompted(mixed), 0)), own)
    by_outcome = params_of(Retrieval(condition="h_and_v").deploy(faint, data, prompted(mixed), 0))
    assert np.array_equal(by_outcome, stored(data, "reach", swapped.policy_rows))


def test_test_prompts_get_training_policies_only(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    got = params_of(Retrieval().deploy(Projection(), data, prompted(prompts_of(data, "reach")), 0))
    known = np.concatenate([stored(data, task, list(range(6))) for task in ("door-open", "reach")])
    assert all((row == known).all(axis=1).any() for row in got)


def test_trains_the_embedding_once_for_all_seeds(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    stage = Retrieval().training(data, 3)
    assert isinstance(stage, TrainBehaviorEmbedding)
    assert stage.key == Retrieval().training(data, 4).key


@pytest.fixture(scope="module")
def velocities(cheetah_stores: CheetahStores) -> Data:
    return cheetah_stores.domain.data().trained_on(named((0.375, 1.05, 1.5, 2.325)))


@pytest.mark.parametrize(("target", "nearest"), [(1.2, 1.05), (1.35, 1.5), (0.075, 0.375), (3.0, 2.325), (1.275, 1.05)])
def test_a_velocity_retrieves_the_nearest_one_that_is_trained_on(
    velocities: Data, target: float, nearest: float
) -> None:
    known = stored(velocities, f"velocity-{nearest:.3f}", [0, 1, 2])
    assert Retrieval().training(velocities, 0) is None
    every = Retrieval(checkpoints="all").deploy(None, velocities, asked(target), 0)
    assert np.array_equal(params_of(every), known)
    assert np.array_equal(params_of(Retrieval().deploy(None, velocities, asked(target), 0)), known[2:])


def mixed(velocities: Data) -> np.ndarray:
    low, high = (stored(velocities, task, [2]) for task in ("velocity-1.050", "velocity-1.500"))
    return low + (high - low) / 3


def test_interpolated_weights(velocities: Data) -> None:
    method = Interpolation(space="weights")
    assert method.training(velocities, 0) is None
    found = params_of(method.deploy(None, velocities, asked(1.2), 0))
    np.testing.assert_allclose(found, mixed(velocities), atol=1e-6)


@pytest.mark.parametrize("target", [0.075, 1.05, 3.0])
def test_at_or_beyond_a_trained_velocity_that_one_s_own_policy(velocities: Data, target: float) -> None:
    nearest = min((0.375, 1.05, 2.325), key=lambda each: abs(each - target))
    found = params_of(Interpolation(space="weights").deploy(None, velocities, asked(target), 0))
    assert np.array_equal(found, stored(velocities, f"velocity-{nearest:.3f}", [2]))


def test_interpolated_latents(velocities: Data, tmp_path: Path) -> None:
    # Twelve policies span fewer directions than the latents have.
    method = Interpolation(autoencoder=LinearAutoencoder(latent_size=16, steps=0, input_noise=0.0))
    stage = method.training(velocities, 0)
    assert stage is not None
    trained = stage.load(ArtifactCache(tmp_path).make(stage))
    found = params_of(method.deploy(trained, velocities, asked(1.2), 0))
    np.testing.assert_allclose(found, mixed(velocities), atol=2e-3)


def test_the_mean_policy_of_a_velocity_is_that_of_all_unless_it_is_trained_on(velocities: Data) -> None:
    known = [stored(velocities, task, [0, 1, 2]) for task in velocities.trained()]
    found = params_of(MeanPolicy().deploy(None, velocities, asked(1.2), 0))
    np.testing.assert_allclose(found, np.concatenate(known).mean(0, keepdims=True), atol=1e-6)
    own = params_of(MeanPolicy().deploy(None, velocities, asked(1.05), 0))
    np.testing.assert_allclose(own, known[1].mean(0, keepdims=True), atol=1e-6)

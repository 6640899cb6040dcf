from __future__ import annotations

from pathlib import Path

import numpy as np

from hyprepro.engine.cache import ArtifactCache
from hyprepro.gen_hyprl.autoencoder import PCAAutoencoder
from hyprepro.methods.ceilings import AutoencoderCeiling
from tests.conftest import TinyStores
from tests.methods.shared import params_of, prompted, prompts_of, stored


def test_deploys_the_reconstruction_of_each_prompts_own_policy(tiny_stores: TinyStores, tmp_path: Path) -> None:
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

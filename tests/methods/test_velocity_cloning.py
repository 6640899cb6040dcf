"""The velocity-conditioned clone: it learns, and folds into an ordinary policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.engine.stage import METRICS, Report, read_metrics
from hyprepro.errors import UserError
from hyprepro.methods.velocity_cloning import VelocityCloning
from hyprepro.methods.velocity_cloning_net import read_pairs
from hyprepro.policies.forward import StackedPolicies
from tests.cheetah_stores import CheetahStores
from tests.methods.shared import asked, named

KNOWN = (0.375, 1.05, 1.5)


def test_it_learns_and_folds(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    files = cheetah_stores.domain.data().trained_on(named(KNOWN))
    method = VelocityCloning(steps=150, batch_size=64)
    stage = method.training(files, 0)
    stage.run(tmp_path, {}, Report(tmp_path / METRICS))
    errors = [line["validation_error"] for line in read_metrics(tmp_path / METRICS) if "validation_error" in line]
    assert errors[-1] < 0.3 * errors[0]
    trained = stage.load(tmp_path)
    controllers = method.deploy(trained, files, asked(1.2), 0)
    observations = np.random.default_rng(0).normal(size=(5, 17)).astype(np.float32)
    folded = StackedPolicies(trained.layout, controllers.params[[0] * 5]).act(np.arange(5), observations)
    with torch.no_grad():
        wanted = trained(torch.from_numpy(observations), torch.full((5,), 1.2))
    np.testing.assert_allclose(folded, wanted.numpy(), atol=1e-5)


def test_it_reads_the_training_velocities_alone(cheetah_stores: CheetahStores) -> None:
    files = cheetah_stores.domain.data().trained_on(named(KNOWN))
    for episodes, count in (("expert", 600), ("offline", 600), ("both", 1200)):
        pairs = read_pairs(files, episodes)
        assert pairs.observations.shape == (count, 17)
        assert pairs.velocities.unique().tolist() == pytest.approx(KNOWN)


def test_a_velocity_without_episodes(cheetah_stores: CheetahStores, monkeypatch: pytest.MonkeyPatch) -> None:
    files = cheetah_stores.domain.data().trained_on(named(KNOWN))
    with files.open_trajectories() as store:
        monkeypatch.setattr(type(store), "episodes", lambda *arguments: iter(()))
        with pytest.raises(UserError, match=r"no episode of velocity-0\.375 in the split validation"):
            read_pairs(files, "expert")

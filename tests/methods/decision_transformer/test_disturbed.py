"""Episodes under disturbed actions, in the real simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report
from hyprepro.methods.decision_transformer.disturbed import DisturbedEpisodes
from hyprepro.policies.controllers import PolicyControllers
from tests.conftest import TINY_POLICIES, TINY_TASKS, TinyStores


@pytest.mark.sim
def test_every_training_policy_is_recorded_beside_its_path(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    stage = DisturbedEpisodes(1, 0.3, 62, data.policies)
    cache = ArtifactCache(tmp_path / "cache")
    found = stage.load(cache.make(stage))
    assert set(found) == set(TINY_TASKS)
    reach = found["reach"]
    assert reach["length"].tolist() == [62] * TINY_POLICIES["train"]  # random policies do not succeed
    with data.open_policies() as store:
        params = store.read("reach", store.rows("reach", "train"))
    session = PolicyControllers(store.layout, params).session(1)
    session.assign(0, 1)
    own = session.act(reach["observations"][62:63])[0]
    np.testing.assert_allclose(reach["own_actions"][62], own, atol=1e-6)
    noise = reach["actions"] - reach["own_actions"]
    assert 0.2 < noise.std() < 0.4
    assert np.abs(reach["actions"]).max() <= 1

    work = tmp_path / "resumed"
    work.mkdir()
    stage.run(work, {}, Report())
    (work / "checkpoint-reach.npz").unlink()  # killed in its second task
    stage.run(work, {}, Report())
    assert (work / "episodes.npz").read_bytes() == (cache.path_of(stage) / "episodes.npz").read_bytes()

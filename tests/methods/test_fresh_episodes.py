"""Fresh episodes: whose they are, from where they start, and who learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.domains.base import Data
from hyprepro.domains.cheetah_vel.domain import CheetahVel
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.methods.cloning import ConditionedCloning
from hyprepro.methods.fresh_episodes import FreshEpisodes
from hyprepro.methods.hypernetwork_net import steps_of_tasks
from hyprepro.methods.hyperzero import HyperZero
from hyprepro.methods.hypogen import HyPoGen
from hyprepro.policies.forward import StackedPolicies
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import make
from tests.methods.shared import named

KNOWN = (0.375, 1.05, 1.5)


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


METHODS = pytest.mark.parametrize("kind", [ConditionedCloning, HyperZero, HyPoGen])


@pytest.fixture(scope="module")
def data(cheetah_stores: CheetahStores) -> Data:
    return cheetah_stores.domain.data().for_training.trained_on(named(KNOWN))


def test_they_are_the_last_stored_policies_without_noise(data: Data, cache: ArtifactCache) -> None:
    stage = FreshEpisodes(data, 2)
    found = stage.load(make(stage, cache))
    assert [row for row, _ in found] == [0, 0, 1, 1, 2, 2]
    starts = np.stack([episode.observations[0] for _, episode in found])
    assert len(np.unique(starts, axis=0)) == len(found), "each start once"
    with data.open_policies() as store, data.open_trajectories() as known:
        for row, episode in found:
            task = named(KNOWN)[row]
            assert episode.task == task
            assert episode.observations.shape == (len(episode.actions) + 1, 17)
            assert not episode.terminated
            expert = StackedPolicies(store.layout, store.read(task, store.rows(task, "train")[-1:]))
            wanted = expert.act(np.zeros(len(episode.actions), dtype=int), episode.observations[:-1])
            np.testing.assert_allclose(episode.actions, wanted, atol=1e-5)
            for stored in known.episodes(task, "validation"):
                assert not np.allclose(stored.observations[0], episode.observations[0])


@METHODS
def test_a_training_reads_them_beside_the_stored_ones(kind: Any, data: Data, cache: ArtifactCache) -> None:
    method = kind(episodes="expert", fresh_episodes=2)
    stage = method.training(data, 0)
    episodes = stage.episodes({"fresh": make(stage.fresh, cache)})
    without = kind(episodes="expert").training(data, 0).episodes({})
    assert len(episodes) == len(without) + 2 * len(KNOWN)
    assert stage.key != kind(episodes="expert", fresh_episodes=3).training(data, 0).key
    if kind is not ConditionedCloning:
        steps, _ = steps_of_tasks(stage, episodes)
        assert steps.rows.bincount().tolist() == [600, 600, 600], "200 of them stored"
    assert "stored expert episodes and 2 fresh ones of each expert" in method.information(CheetahVel())


@METHODS
def test_prompts_have_none(kind: Any, tiny_stores: TinyStores) -> None:
    with pytest.raises(UserError, match="asks for fresh episodes, and Meta-World tells its tasks by prompts"):
        kind(fresh_episodes=1).require(tiny_stores.domain.data())

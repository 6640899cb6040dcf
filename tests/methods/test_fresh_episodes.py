"""Fresh episodes: whose they are, from where they start, and who learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyprepro.collect.parameter.loop import start_seed
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
from tests.gen_hyprl.test_stages import EMBEDDING, make
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


def test_an_episode_ends_where_the_environment_ended_it(data: Data, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"observations": (2, 6, 17), "actions": (2, 5, 6), "rewards": (2, 5)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for number in range(len(KNOWN)):
        np.savez(tmp_path / f"{number}.npz", **arrays, steps=np.array([3, 5]), ended=np.array([True, False]))
    (_, short), (_, whole), *_ = FreshEpisodes(data, 2).load(tmp_path)
    assert (len(short.observations), len(short.actions), len(short.rewards), short.terminated) == (4, 3, 3, True)
    assert (len(whole.observations), len(whole.actions), whole.terminated) == (6, 5, False)


def test_they_are_made_in_parts(data: Data, cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch) -> None:
    from hyprepro.collect.parameter import rollouts

    whole = FreshEpisodes(data, 3).load(make(FreshEpisodes(data, 3), cache))
    monkeypatch.setattr(rollouts, "AT_ONCE", 2)
    parts = FreshEpisodes(data, 3).load(make(FreshEpisodes(data, 3), ArtifactCache(cache.root / "other")))
    for (row, one), (other, two) in zip(whole, parts, strict=True):
        assert row == other
        assert one.observations.shape == two.observations.shape
        np.testing.assert_allclose(one.observations[:5], two.observations[:5], atol=1e-4)  # rounding grows from there


def test_nothing_is_evaluated_from_their_starts(data: Data) -> None:
    fresh = {start_seed("fresh", index) for index in range(40 * 1000)}
    assert len(fresh) == 40_000, "a thousand of each velocity, and none twice"
    for use in ("evaluation", "scoring", "recheck", "episodes", "parent", "experts"):
        assert fresh.isdisjoint(start_seed(use, index) for index in range(40_000))
    starts = (data.domain.start("test", 0, named(KNOWN)[0], index).seed for index in range(1_000))
    assert fresh.isdisjoint(starts)


@METHODS
def test_an_embedding_that_is_not_used_trains_nothing_anew(kind: Any, data: Data) -> None:
    assert kind(embedding=EMBEDDING).training(data, 0).key == kind().training(data, 0).key


@METHODS
def test_prompts_have_none(kind: Any, tiny_stores: TinyStores) -> None:
    with pytest.raises(UserError, match="asks for fresh episodes, and Meta-World tells its tasks by prompts"):
        kind(fresh_episodes=1).require(tiny_stores.domain.data())

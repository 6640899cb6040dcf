"""Whole episodes as windows for a Decision Transformer, and the data that it must refuse."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from hyprepro.domains.base import Data
from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.errors import UserError
from hyprepro.methods.decision_transformer.training import EpisodeSet, TrajectoryData, trajectory_data
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStoreWriter
from tests.conftest import TINY_PROMPTS, TINY_STEPS, TinyStores

CONTEXT = 20


@pytest.fixture(scope="module")
def files(tiny_stores: TinyStores) -> Data:
    return tiny_stores.domain.data()


@pytest.fixture(scope="module")
def data(files: Data) -> TrajectoryData:
    return trajectory_data(files, CONTEXT, 5, {})


@pytest.fixture(scope="module")
def episodes(data: TrajectoryData) -> EpisodeSet:
    return data.training


def test_only_training_episodes_are_read(files: Data, episodes: EpisodeSet) -> None:
    # The tiny validation episodes are of test policies, so they are left out too.
    assert len(episodes.start) == 2 * TINY_PROMPTS["train"]
    assert episodes.longest == TINY_STEPS
    with files.open_trajectories() as store:
        first = store.episode("door-open", int(store.ids("door-open", "train")[0]))
    assert np.array_equal(episodes.steps.states[:TINY_STEPS].numpy(), first.observations[:-1])


def test_returns_to_go_count_in_mean_returns_of_the_task(data: TrajectoryData) -> None:
    episodes = data.training
    returns = episodes.steps.to_go[episodes.start, 0]
    for task in range(2):
        assert float(returns[episodes.task == task].mean()) == pytest.approx(1.0, abs=1e-5)
    first = episodes.steps.to_go[:TINY_STEPS, 0]
    assert (first.diff() <= 0).all()
    wanted = data.wanted
    assert float(wanted[0]) == pytest.approx(1.0, abs=1e-5)
    assert (wanted.diff() <= 0).all()


def test_windows_are_pieces_of_one_episode_and_prompts_of_another_of_its_task(episodes: EpisodeSet) -> None:
    torch.manual_seed(0)
    window, targets, prompt = episodes.random_windows(200, CONTEXT)
    assert torch.equal(targets, window.actions)
    assert (window.steps.diff(dim=1) == 1).all()
    assert set(window.steps[:, 0].tolist()) >= {0, TINY_STEPS - CONTEXT}
    owner = (episodes.steps.states[None, episodes.start] == prompt.states[:, :1]).all(2).int().argmax(1)
    row = (episodes.steps.states[None] == window.states[:, :1]).all(2).int().argmax(1)
    source = (row[:, None] >= episodes.start).sum(1) - 1
    assert (owner != source).all()
    assert torch.equal(episodes.task[owner], episodes.task[source])


def test_every_step_is_drawn_about_alike(episodes: EpisodeSet) -> None:
    torch.manual_seed(0)
    counts = torch.bincount(episodes.random_windows(4000, CONTEXT)[0].steps.flatten(), minlength=TINY_STEPS).double()
    middle = counts[CONTEXT : TINY_STEPS - CONTEXT].mean()
    assert counts[0] / middle > 0.8


def test_tiles_cover_each_episode_once(episodes: EpisodeSet) -> None:
    window, _, prompt = episodes.tiled_windows(CONTEXT)
    assert window.steps[:, 0].tolist() == [0, 20, 40] * len(episodes.start)
    assert not torch.equal(prompt.states[0], episodes.prompts.states[0])


def test_recorded_episodes_join_with_their_own_targets_and_stored_prompts(files: Data) -> None:
    rng = np.random.default_rng(0)
    more = {
        "observations": rng.normal(size=(130, 39)).astype(np.float32),
        "actions": np.ones((130, 4), np.float32),
        "own_actions": np.full((130, 4), 0.5, np.float32),
        "rewards": np.ones(130, np.float32),
        "length": np.array([60, 70]),
    }
    plain, joined = (trajectory_data(files, CONTEXT, 5, recorded) for recorded in ({}, {"door-open": more}))
    first = TINY_PROMPTS["train"]
    found = joined.training
    assert found.longest == 70
    assert found.length[first : first + 2].tolist() == [60, 70]
    assert found.task.tolist() == [0] * (first + 2) + [1] * first
    torch.manual_seed(0)
    window, targets, prompt = found.random_windows(300, CONTEXT)
    is_recorded = (window.actions == 1).all(2).all(1)
    assert 10 < int(is_recorded.sum()) < 100
    assert (targets[is_recorded] == 0.5).all()
    assert torch.equal(targets[~is_recorded], window.actions[~is_recorded])
    ours = (plain.training.prompts.states[None, :first] == prompt.states[is_recorded][:, None]).all(3).all(2)
    assert ours.any(1).all(), "prompts are stored episodes of the task"
    assert torch.equal(joined.wanted[:TINY_STEPS], plain.wanted), "what is asked for is what the stored episodes reach"


def stores(folder: Path, rewards: float) -> Data:
    rng = np.random.default_rng(0)
    domain = MetaWorld(policies=str(folder / "p.h5"), trajectories=str(folder / "t.h5"))
    with PolicyStoreWriter(folder / "p.h5", METAWORLD_LAYOUT, {"route": "synthetic"}) as writer:
        params = rng.normal(0, 0.1, (1, METAWORLD_LAYOUT.size))
        writer.append("reach", params, np.zeros(1), np.zeros(1), 1.0, 1, 1.0, "train")
        digest = writer.close()
    with TrajectoryStoreWriter(folder / "t.h5", {"route": "synthetic"}, digest) as episodes:
        for seed in range(2):
            steps = np.full(62, rewards)
            episodes.append("reach", rng.normal(size=(63, 39)), np.zeros((62, 4)), steps, 59, seed, 0, "train")
    return domain.data()


def test_an_episode_shorter_than_the_context_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="62 steps is shorter than the context of 63") as caught:
        trajectory_data(stores(tmp_path, 1.0), 63, 5, {})
    assert "PromptedTransformer.context=62" in caught.value.fix
    assert "reach, episode 0" in caught.value.where


@pytest.mark.parametrize("reward", [0.0, -1.0])
def test_returns_that_say_nothing_are_refused(tmp_path: Path, reward: float) -> None:
    with pytest.raises(UserError, match="must be finite and positive"):
        trajectory_data(stores(tmp_path, reward), CONTEXT, 5, {})


def test_returns_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    files = stores(tmp_path, 1.0)
    with h5py.File(files.trajectories.path, "r+") as store:
        store["trajectories/reach/rewards"][70] = np.nan
    with pytest.raises(UserError, match="not finite") as caught:
        trajectory_data(files, CONTEXT, 5, {})
    assert "reach/rewards" in caught.value.where

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyprepro.errors import UserError
from hyprepro.policies.forward import StackedPolicies
from hyprepro.stores.prompts import prompt_from_episode, read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter
from tests.conftest import TinyStores


def numbered(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Observation t is filled with t, action t with -t."""
    observations = np.repeat(np.arange(steps + 1)[:, None], 39, axis=1)
    actions = -np.repeat(np.arange(steps)[:, None], 4, axis=1)
    return observations.astype(np.float32), actions.astype(np.float32)


def test_a_prompt_is_twenty_blocks_of_a_state_and_three_actions_and_the_states_from_success_on() -> None:
    tau, tau_hat = prompt_from_episode(*numbered(80), success_step=64)
    assert (tau.shape, tau_hat.shape, tau.dtype) == ((1020,), (117,), np.float32)
    blocks = tau.reshape(20, 51)
    np.testing.assert_array_equal(blocks[:, 0], 3 * np.arange(20))
    np.testing.assert_array_equal(blocks[:, 38], 3 * np.arange(20))
    np.testing.assert_array_equal(-blocks[:, 39:].reshape(60, 4)[:, 2], np.arange(60))
    np.testing.assert_array_equal(tau_hat.reshape(3, 39)[:, 7], [65, 66, 67])


def test_success_may_come_before_the_prompts_end() -> None:
    _, tau_hat = prompt_from_episode(*numbered(60), success_step=4)
    np.testing.assert_array_equal(tau_hat[::39], [5, 6, 7])


@pytest.mark.parametrize(("steps", "success_step"), [(59, 10), (80, -1), (80, 78), (60, 58)])
def test_an_episode_that_is_too_short_or_fails_is_no_prompt(steps: int, success_step: int) -> None:
    with pytest.raises(UserError, match="cannot be a prompt"):
        prompt_from_episode(*numbered(steps), success_step)


def test_the_shortest_episode_is_a_prompt() -> None:
    _, tau_hat = prompt_from_episode(*numbered(60), success_step=57)
    assert tau_hat[-1] == 60


def test_prompts_are_read_with_their_sources(tiny_stores: TinyStores) -> None:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        prompts = read_prompts(store, "reach", "test")
        episodes = list(store.episodes("reach", "test"))
        assert len(read_prompts(store, "reach", "train", limit=7)) == 7
    assert len(prompts) == 5
    np.testing.assert_array_equal(prompts.policy_rows, [6, 7, 6, 7, 6])
    np.testing.assert_array_equal(prompts.episode_ids, [16, 17, 18, 19, 20])
    for number, episode in enumerate(episodes):
        np.testing.assert_array_equal(prompts.states[number], episode.observations[:60:3])
        np.testing.assert_array_equal(prompts.actions[number].reshape(60, 4), episode.actions[:60])
    assert np.shares_memory(prompts.states, prompts.tau)
    assert np.shares_memory(prompts.actions, prompts.tau)


def test_a_subset_keeps_rows_together(tiny_stores: TinyStores) -> None:
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        prompts = read_prompts(store, "door-open", "train")
    part = prompts.subset([3, 0])
    assert (part.task, part.split, len(part)) == ("door-open", "train", 2)
    for name in ("tau", "tau_hat", "policy_rows", "episode_ids"):
        np.testing.assert_array_equal(getattr(part, name), getattr(prompts, name)[[3, 0]])


def test_the_tiny_prompts_are_those_of_their_policies(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain
    with data.open_policies() as policies, data.open_trajectories() as trajectories:
        prompts = read_prompts(trajectories, "reach", "validation")
        stacked = StackedPolicies(policies.layout, policies.read("reach", prompts.policy_rows))
    for block in range(20):
        acted = stacked.act(np.arange(4), prompts.states[:, block])
        np.testing.assert_allclose(acted, prompts.actions[:, block, 0], atol=1e-6)


def test_what_is_missing_is_a_user_error(tmp_path: Path) -> None:
    observations, actions = numbered(80)
    with TrajectoryStoreWriter(tmp_path / "t.h5", {}) as writer:
        writer.append("reach", observations, actions, np.zeros(80), -1, 0, -1, "train")
    with TrajectoryStore.open(tmp_path / "t.h5") as store:
        with pytest.raises(UserError, match="no test episode of reach"):
            read_prompts(store, "reach", "test")
        with pytest.raises(UserError, match="cannot be a prompt") as caught:
            read_prompts(store, "reach", "train")
        assert "reach, episode 0" in caught.value.where


def test_another_observation_size_is_a_user_error(tmp_path: Path) -> None:
    with TrajectoryStoreWriter(tmp_path / "t.h5", {}, observation_size=17, action_size=6) as writer:
        writer.append("run", np.zeros((61, 17)), np.zeros((60, 6)), np.zeros(60), 1, 0, -1, "test")
    with TrajectoryStore.open(tmp_path / "t.h5") as store, pytest.raises(UserError, match="observations of 39"):
        read_prompts(store, "run", "test")

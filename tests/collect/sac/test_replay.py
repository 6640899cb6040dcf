"""The replay: what is drawn from it, in memory and from a file, and what a run that was killed finds in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.collect.sac.replay import Replay, Room
from hyprepro.collect.sac.update import Batch

CAPACITY, SPARE = 6, 4


def add(replay: Replay, first: int, last: int) -> None:
    """Transitions `first` to `last`, told apart by every field, for two agents."""
    for number in range(first, last):
        value = np.array([[number + 1], [-number - 1]], dtype=np.float32)
        replay.add(
            observations=value * [1, 2, 3],
            actions=value,
            rewards=value[:, 0],
            next_observations=value * [4, 5, 6],
            dones=value[:, 0] + 0.5,
            expert_actions=value - 0.25,
        )


def drawn(replay: Replay, seed: int = 0, size: int = 100) -> Batch:
    return replay.sample(size, np.random.default_rng(seed))


def assert_equal(one: Batch, other: Batch) -> None:
    for name, tensor in vars(one).items():
        torch.testing.assert_close(tensor, getattr(other, name), rtol=0, atol=0)


def in_file(folder: Path, is_new: bool = True) -> Replay:
    return Replay(2, CAPACITY, 3, 1, slots=CAPACITY + SPARE, file=folder / "replay.npy", is_new=is_new)


def test_the_latest_transitions_are_drawn_whole() -> None:
    replay = Replay(2, 4, 3, 1)
    add(replay, 0, 6)
    batch = drawn(replay, size=200)
    assert batch.rewards.shape == (2, 200)
    assert set(batch.rewards[0].tolist()) == {3.0, 4.0, 5.0, 6.0}
    sign = torch.tensor([1.0, -1.0])[:, None]
    assert torch.equal(batch.rewards.sign(), sign.expand(2, 200)), "agents do not mix"
    torch.testing.assert_close(batch.observations, batch.rewards[:, :, None] * torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(batch.next_observations, batch.rewards[:, :, None] * torch.tensor([4.0, 5.0, 6.0]))
    torch.testing.assert_close(batch.dones, batch.rewards + 0.5)
    torch.testing.assert_close(batch.expert_actions[:, :, 0], batch.actions[:, :, 0] - 0.25)


@pytest.mark.parametrize("count", [3, CAPACITY, CAPACITY + SPARE, 29])
def test_where_transitions_lie_does_not_change_what_is_drawn(tmp_path: Path, count: int) -> None:
    plain, filed = Replay(2, CAPACITY, 3, 1), in_file(tmp_path)
    add(plain, 0, count)
    add(filed, 0, count)
    assert_equal(drawn(filed), drawn(plain))


@pytest.mark.parametrize("saved", [2, 9, 23])
def test_a_file_goes_back_to_the_last_checkpoint_whatever_was_written_after(tmp_path: Path, saved: int) -> None:
    replay = in_file(tmp_path)
    while replay.added < saved:
        if replay.overwrites(1):
            replay.saved()
        add(replay, replay.added, replay.added + 1)
    replay.saved()
    before = drawn(replay)
    while not replay.overwrites(1):
        add(replay, replay.added, replay.added + 1)
    assert replay.added >= saved + SPARE
    again = in_file(tmp_path, is_new=False)
    again.restore(saved)
    assert_equal(drawn(again), before)
    add(again, saved, replay.added)
    assert_equal(drawn(again, 1), drawn(replay, 1))


def test_the_room_is_for_what_will_be_drawn_and_little_more() -> None:
    assert Room.of(20_000, 16_800, 150) == (16_800, 16_800)  # never comes round
    assert Room.of(1_000_000, 1_005_000, 500) == (1_000_000, 1_005_000)
    assert Room.of(80_000, 1_005_000, 500) == (80_000, 90_000)
    assert Room.of(10, 1_000, 20) == (10, 90)

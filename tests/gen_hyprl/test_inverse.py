"""The inverse model of the hand: what it learns, what it reads, and that a turned world is the same to it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report
from hyprepro.engine.training import train
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.inverse import TrainInverse, TurnedInverse
from hyprepro.gen_hyprl.inverse_net import INPUTS, VECTORS, InverseJob, InverseNetwork, Moves, moves_of, turned
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import make


def moves(count: int, along: int | None = None, seed: int = 0) -> Moves:
    """An action is half the way to go; with `along` the way leads along one axis alone."""
    inputs = torch.randn(count, INPUTS, generator=torch.Generator().manual_seed(seed))
    if along is not None:
        others = [axis for axis in range(3) if axis != along]
        inputs[:, [4 + axis for axis in others]] = 0
    actions = torch.cat([torch.tanh(inputs[:, 4:7] / 2), torch.ones(count, 1)], dim=1)
    return Moves(inputs, actions)


def learnt(settings: TurnedInverse, known: Moves, folder: Path) -> InverseNetwork:
    job = train(partial(InverseJob, settings, *known), settings.steps, folder, Report(), 0)
    return job.kept.requires_grad_(False)


def error(network: InverseNetwork, asked: Moves) -> Tensor:
    difference: Tensor = network(asked.inputs) - asked.actions
    return difference.square().mean()


def test_ways_along_one_axis_teach_those_along_the_other(tmp_path: Path) -> None:
    known, asked = moves(2000, along=0), moves(200, along=1, seed=1)
    settings = TurnedInverse(hidden=(32,), steps=400, batch_size=64, learning_rate=1e-2)
    found = {
        is_turned: error(learnt(settings.model_copy(update={"turned": is_turned}), known, tmp_path), asked)
        for is_turned in (True, False)
    }
    assert found[True] < 0.02
    assert found[False] > 3 * found[True]


@given(seed=st.integers(0, 1000))
def test_a_turn_changes_directions_along_the_table_alone(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        before = moves(20, seed=seed)
        after = turned(before)
    pairs = [(before.inputs[:, some], after.inputs[:, some]) for some in VECTORS] + [(before.actions, after.actions)]
    for old, new in pairs:
        torch.testing.assert_close(old[:, :2].norm(dim=1), new[:, :2].norm(dim=1))
        torch.testing.assert_close(old[:, 2:], new[:, 2:])
    step, way = (new[:, :2] for _, new in pairs[:2])
    old_step, old_way = (old[:, :2] for old, _ in pairs[:2])
    torch.testing.assert_close((step * way).sum(1), (old_step * old_way).sum(1), atol=1e-5, rtol=1e-4)


def test_it_reads_the_training_tasks_alone(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    both, one = (moves_of(each.for_training, data.domain.scene(), 5) for each in (data, data.trained_on(["reach"])))
    assert len(both.inputs) == 2 * len(one.inputs) > 0
    stage = TrainInverse(TurnedInverse(steps=2, hidden=(8,)), data.for_training)
    network = stage.load(make(stage, ArtifactCache(tmp_path)))
    assert network(both.inputs).shape == both.actions.shape


def test_the_way_is_that_to_a_frame_so_many_steps_ahead(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    with data.open_trajectories() as store:
        episode = next(iter(store.episodes("door-open", "train")))
    found = moves_of(data.for_training, data.domain.scene(), 5)
    seen = torch.from_numpy(episode.observations)
    assert torch.equal(found.inputs[0, 4:7], seen[5, :3] - seen[0, :3])
    assert torch.equal(found.inputs[3, :3], seen[3, :3] - seen[3, 18:21])


def test_episodes_that_are_too_short_teach_nothing(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    with pytest.raises(UserError, match="no training episode to learn an inverse model of the hand"):
        moves_of(data.for_training, data.domain.scene(), 5000)

"""The model of the world: what it learns, and what it knows of its own ignorance."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report
from hyprepro.engine.training import train
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.world import EnsembleDynamics, TrainDynamics
from hyprepro.gen_hyprl.world_net import DynamicsEnsemble, DynamicsJob, Steps, steps_of
from hyprepro.stores.files import StoreFiles
from hyprepro.stores.prompts import PROMPTS_ONLY
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import make

SMALL = EnsembleDynamics(members=3, hidden=(32,), steps=300, batch_size=64, learning_rate=1e-2, input_noise=0.0)


@pytest.fixture(scope="module")
def steps() -> Steps:
    """Changes that are a linear function of what they depend on."""
    inputs = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    return Steps(inputs, inputs[:, :2] - 0.5 * inputs[:, 2:], inputs[:, :3])


@pytest.fixture(scope="module")
def learnt(steps: Steps, tmp_path_factory: pytest.TempPathFactory) -> DynamicsEnsemble:
    job = train(partial(DynamicsJob, SMALL, *steps), SMALL.steps, tmp_path_factory.mktemp("job"), Report(), 0)
    return job.kept.requires_grad_(False)


def test_what_can_be_foretold_is_learnt(learnt: DynamicsEnsemble, steps: Steps) -> None:
    assert learnt.errors(steps.inputs, steps.changes).mean() < 0.1
    assert learnt.errors(steps.inputs, -steps.changes).mean() > 1


def test_its_members_disagree_where_nothing_was_seen(learnt: DynamicsEnsemble, steps: Steps) -> None:
    near, far = (learnt.change(scale * steps.inputs)[1].mean() for scale in (1, 20))
    assert far > 3 * near


def test_no_change_is_larger_than_any_seen(learnt: DynamicsEnsemble, steps: Steps) -> None:
    change, _ = learnt.change(1000 * steps.inputs)
    assert (change <= steps.changes.amax(0)).all()
    assert (change >= steps.changes.amin(0)).all()


def test_it_reads_the_training_tasks_alone(tiny_stores: TinyStores, tmp_path: Path) -> None:
    data = tiny_stores.domain.data()
    both, one = (steps_of(each.for_training, data.domain.scene()) for each in (data, data.trained_on(["reach"])))
    assert len(both.inputs) == 2 * len(one.inputs) > 0
    stage = TrainDynamics(EnsembleDynamics(steps=2, hidden=(8,)), data.for_training)
    network, scene = stage.load(make(stage, ArtifactCache(tmp_path))), data.domain.scene()
    assert network.change(both.inputs)[0].shape == (len(both.inputs), scene.change_size)
    other = replace(stage, data=data.trained_on(["reach"]).for_training)
    assert other.key != stage.key


def test_a_store_of_prompts_alone_is_refused(tiny_stores: TinyStores) -> None:
    data = tiny_stores.domain.data()
    store = data.open_trajectories()
    store.route = {**store.route, PROMPTS_ONLY: True}
    stores = cast(StoreFiles, SimpleNamespace(open_policies=data.open_policies, open_trajectories=lambda: store))
    with pytest.raises(UserError, match="holds prompts only"):
        steps_of(stores, data.domain.scene())

"""The training run's number as a condition: what is trained on it, which run is chosen, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.base import Data
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.training import frozen, seeded
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.conditions import LatentSamples, with_runs
from hyprepro.gen_hyprl.runs import DrawnRun, GivenRun, NearestRun, RunChoice, RunTable
from hyprepro.methods.gen_hyprl import LatentMethod
from hyprepro.methods.regressor import MLPRegressor
from hyprepro.methods.regressor_net import RegressorJob
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.prompts import read_prompts
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.gen_hyprl.test_stages import EMBEDDING, MAA, REGRESSOR, WHOLE, WITHOUT, make
from tests.methods.shared import params_of, prompted

EACH = pytest.mark.parametrize("method", [WHOLE, WITHOUT, REGRESSOR, MAA], ids=lambda method: method.label)
SIZE = EMBEDDING.embedding_size


@pytest.fixture(scope="module")
def data(tiny_stores: TinyStores) -> Data:
    return tiny_stores.domain.data()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


def told(method: LatentMethod, code: str = "one_hot", choice: RunChoice | None = None) -> LatentMethod:
    return method.model_copy(update={"run_code": code, "run_choice": choice or NearestRun()})


def deployed(method: LatentMethod, data: Data, cache: ArtifactCache) -> np.ndarray:
    stage = method.training(data, 0)
    with data.open_trajectories() as store:
        prompts = read_prompts(store, "reach", "test")
    return params_of(method.deploy(stage.load(make(stage, cache)), data, prompted(prompts), 0))


@pytest.mark.parametrize(("code", "length", "different"), [("one_hot", 2, 2), ("embedding", 2 * SIZE, 4)])
def test_h_tells_the_run_of_each_sample_and_nothing_else_changes(
    code: str, length: int, different: int, data: Data, cache: ArtifactCache
) -> None:
    plain, stage = WITHOUT.encoded(data), told(WITHOUT, code).encoded(data)
    (without, _), (samples, held_out) = (each.load(make(each, cache)) for each in (plain, stage))
    assert samples.h.shape[1] == samples.v.shape[1] == held_out.h.shape[1] == SIZE + length
    assert torch.equal(samples.h[:, :SIZE], without.h)
    assert torch.equal(samples.v[:, :SIZE], without.v)
    assert not samples.v[:, SIZE:].any()
    assert torch.equal(samples.latents, without.latents)
    with data.open_policies() as store:  # six training policies a task, of two runs in turn
        runs = torch.from_numpy(np.concatenate([store.meta(task)["seed"][:6] for task in store.tasks]))
    run_of_each = 2 * samples.task + runs[samples.policy]
    codes = {(int(run), tuple(code)) for run, code in zip(run_of_each, samples.h[:, SIZE:].tolist(), strict=True)}
    assert len(codes) == 4, "one code a run"
    assert len({code for _, code in codes}) == different, "numbers are those of a task"


@EACH
def test_every_generator_takes_the_run_and_another_run_is_another_policy(
    method: LatentMethod, data: Data, cache: ArtifactCache
) -> None:
    given = [told(method, choice=GivenRun(number=number)) for number in (0, 1)]
    assert given[0].training(data, 0).key == given[1].training(data, 0).key != method.training(data, 0).key
    one, other = (deployed(each, data, cache) for each in given)
    assert np.isfinite(one).all()
    assert not np.array_equal(one, other)
    assert np.array_equal(deployed(given[0], data, cache), one)


@pytest.mark.parametrize("code", ["one_hot", "embedding"])
def test_whatever_chooses_chooses_a_run_of_the_task(code: str, data: Data, cache: ArtifactCache) -> None:
    given = [deployed(told(REGRESSOR, code, GivenRun(number=number)), data, cache) for number in (0, 1)]
    for choice in (NearestRun(), DrawnRun()):
        params = deployed(told(REGRESSOR, code, choice), data, cache)
        either = [np.isclose(params, each, atol=1e-6).all(axis=1) for each in given]
        assert np.logical_or(*either).all()


TABLE = RunTable(
    "one_hot",
    task=torch.tensor([0, 0, 0, 1]),
    number=torch.tensor([0, 1, 2, 0]),
    h=torch.tensor([[0.0], [1.0], [2.0], [9.0]]),
    v=torch.zeros(4, 1),
)


def test_the_nearest_run_a_drawn_one_and_a_given_one() -> None:
    h, v, draws = torch.tensor([[0.1], [1.8], [7.0]]), torch.zeros(3, 1), torch.Generator().manual_seed(0)
    assert NearestRun().choose(TABLE, h, v, draws).tolist() == [0, 2, 3]
    drawn = [DrawnRun().choose(TABLE, h, v, draws).tolist() for _ in range(60)]
    assert {each[0] for each in drawn} == {each[1] for each in drawn} == {0, 1, 2}
    assert {each[2] for each in drawn} == {3}, "the other task has one run"
    assert GivenRun(number=1).choose(TABLE, h[:2], v[:2], draws).tolist() == [1, 1]


def test_a_number_that_no_training_knew_is_refused(data: Data) -> None:
    with pytest.raises(UserError, match="No training knew a run 2; the training runs of a task are 0 to 1") as caught:
        told(REGRESSOR, choice=GivenRun(number=2)).training(data, 0)
    assert "GivenRun.number=1" in caught.value.fix
    h = torch.tensor([[7.0]])
    with pytest.raises(UserError, match="has no run 2, only 0 to 0"):
        GivenRun(number=2).choose(TABLE, h, torch.zeros(1, 1), torch.Generator())
    with pytest.raises(UserError, match="No training knew a run 3"):
        GivenRun(number=3).choose(TABLE, h, torch.zeros(1, 1), torch.Generator())


def test_a_store_that_knows_no_runs_is_refused(tiny_stores: TinyStores, tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    with PolicyStore.open(tiny_stores.policies) as store, PolicyStoreWriter(path, METAWORLD_LAYOUT, {}) as writer:
        writer.append("reach", store.read("reach", [0, 1]), -1, 0, 1.0, 1, 0.0, "train")
    data = tiny_stores.domain.data()
    unknown = dataclasses.replace(data, policies=dataclasses.replace(data.policies, path=str(path)))
    with pytest.raises(UserError, match="does not say which training run"):
        told(REGRESSOR).training(unknown, 0)


def test_tasks_told_by_numbers(cheetah_stores: CheetahStores, cache: ArtifactCache) -> None:
    data = cheetah_stores.domain.data()
    stage = told(WITHOUT).encoded(data)
    samples, _ = stage.load(make(stage, cache))
    assert samples.h.shape[1] > 1
    assert samples.v.shape[1] == 0
    for change, where in (({"run_code": "embedding"}, "run_code"), ({"run_code": "one_hot", "between": 2}, "between")):
        with pytest.raises(UserError, match="cannot tell the training run") as caught:
            WITHOUT.model_copy(update=change).training(data, 0)
        assert where in caught.value.where


def test_told_the_run_a_squared_error_no_longer_averages_two_runs() -> None:
    modes = torch.randn(2, 2, 8, generator=torch.Generator().manual_seed(0))
    same, run = torch.zeros(64, 4), torch.arange(64) % 2
    samples = LatentSamples(same, same, run, modes, torch.zeros(64, dtype=torch.long), run)
    apart = {}
    for code in ("none", "one_hot"):
        (train, _), _ = with_runs(code, (samples, samples))
        settings = MLPRegressor(hidden=(16,), steps=200, dropout=0.0, learning_rate=1e-2, batch_size=32)
        with seeded(0):
            job = RegressorJob(settings, train, train)
            for step in range(settings.steps):
                job.step(step)
        predicted = frozen(job.kept).predict(train.h, train.v)
        apart[code] = float((predicted - modes[run]).flatten(1).norm(dim=1).mean() / (modes[0] - modes[1]).norm())
    assert apart["one_hot"] < 0.1 < 0.4 < apart["none"]

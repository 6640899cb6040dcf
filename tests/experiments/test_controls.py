"""What stands in the place of a prompt or a policy, and the training policies that policies are held against."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.domains.base import Data, Query
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import StoreFile
from hyprepro.errors import UserError
from hyprepro.experiments.controls import Control, NeighbourMean, NoisePrompt, NoisyCopy, OtherTask, ShuffledPrompt
from hyprepro.experiments.known import Known, KnownPolicies
from hyprepro.gen_hyprl.alignment import reordered
from hyprepro.gen_hyprl.choices import MatchedBy
from hyprepro.policies.controllers import LayeredControllers, PolicyControllers
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
from tests.conftest import TinyStores
from tests.methods.shared import params_of

TASKS = ("door-open", "reach")


@pytest.fixture(scope="module")
def data(tiny_stores: TinyStores) -> Data:
    return tiny_stores.domain.data()


@pytest.fixture(scope="module")
def query(data: Data) -> Query:
    return data.domain.query(data, "reach", 4, "test")


def made(data: Data, folder: Path, by: MatchedBy = "weights", limit: int = 100) -> Known:
    stage = KnownPolicies.of(data, by, limit)
    return stage.load(ArtifactCache(folder).make(stage))


@pytest.fixture(scope="module")
def known(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Known:
    return made(data, tmp_path_factory.mktemp("known"))


def test_another_tasks_prompts_are_those_of_the_next_task_or_of_a_named_one(data: Data, query: Query) -> None:
    assert OtherTask().for_task("reach", (*TASKS, "window-open")).task == "window-open"
    assert OtherTask(task="door-open").for_task("reach", ("reach",)).task == "door-open"
    control = OtherTask().for_task("reach", TASKS)
    shown = control.shown(query, data, "test")
    assert control.task == "door-open"
    assert shown.task == "reach"
    assert (shown.shown.task, len(shown.shown)) == ("door-open", 4)


@pytest.mark.parametrize(("control", "tasks"), [(OtherTask(), ("reach",)), (OtherTask(task="reach"), TASKS)])
def test_a_control_without_another_task_is_refused(control: OtherTask, tasks: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="no other task than reach") as caught:
        control.for_task("reach", tasks)
    assert "AuditRecipe.controls" in caught.value.fix


def test_a_shuffled_prompt_has_its_own_numbers_in_another_order(data: Data, query: Query) -> None:
    own, shown = query.shown, ShuffledPrompt().shown(query, data, "test").shown
    assert np.array_equal(np.sort(own.tau, axis=1), np.sort(shown.tau, axis=1))
    assert np.array_equal(own.tau_hat, shown.tau_hat)
    for name, rows in (("states", 20), ("actions", 60)):
        before, after = (getattr(each, name).reshape(4, rows, -1) for each in (own, shown))
        assert not np.array_equal(before, after)
        for one, other in zip(before, after, strict=True):
            assert sorted(map(tuple, one)) == sorted(map(tuple, other)), f"{name} stay whole"
    assert np.array_equal(ShuffledPrompt().shown(query, data, "test").shown.tau, shown.tau)


def test_noise_has_the_mean_and_deviation_of_training_prompts(data: Data) -> None:
    query = data.domain.query(data, "reach", 5, "test")
    tau = np.concatenate([data.domain.query(data, task, 12, "train").shown.tau for task in TASKS])
    noise = NoisePrompt().shown(query, data, "test").shown.tau
    scaled = (noise - tau.mean(axis=0)) / np.maximum(tau.std(axis=0), 1e-9)
    assert abs(scaled.mean()) < 0.1
    assert 0.9 < scaled.std() < 1.1
    assert not np.array_equal(noise[0], noise[1])


@pytest.mark.parametrize("by", ["weights", "activations"])
def test_a_copy_whose_hidden_units_were_exchanged_is_found(by: MatchedBy, data: Data, tmp_path: Path) -> None:
    known = made(data, tmp_path, by)
    draws = torch.Generator().manual_seed(0)
    orders = [torch.rand(1, width, generator=draws).argsort(1) for width in METAWORLD_LAYOUT.widths]
    moved = reordered(METAWORLD_LAYOUT, known.params[[7]], *orders)
    near = known.near(torch.cat([known.params[[7]], moved]), 3)
    assert near.index[:, 0].tolist() == [7, 7]
    assert near.distance[:, 0].tolist() == [0, 0]
    assert torch.equal(near.params[1, 0], moved[0]), "in the order of the policy that asks"
    assert (near.distance.diff(dim=1) >= 0).all()


def test_distances_are_shares_of_a_training_parameter(known: Known) -> None:
    noise = 0.01 * torch.randn(1, METAWORLD_LAYOUT.size, generator=torch.Generator().manual_seed(0))
    (distance,) = known.near(known.params[[0]] + noise, 1).distance[:, 0]
    assert float(distance) == pytest.approx(float(noise.square().mean().sqrt()) / known.scale, rel=1e-3)
    apart = known.nearest_other(torch.tensor([0]))
    every = (known.params[1:] - known.params[0]).double().square().mean(1).sqrt() / known.scale
    assert float(apart[0]) == pytest.approx(float(every.min()), rel=1e-6)


def test_the_share_of_one_run_tells_a_policy_of_it_from_a_mixture(known: Known) -> None:
    own = known.task == 1
    means = [known.params[own & (known.run == run)].mean(0) for run in (0, 1)]
    shares = known.run_share(torch.stack([means[1], (means[0] + means[1]) / 2]), torch.tensor([1, 1]))
    assert shares.tolist() == pytest.approx([1.0, 0.5], abs=1e-3)


def test_at_most_so_many_of_each_task_are_known(data: Data, tmp_path: Path) -> None:
    known = made(data, tmp_path, limit=3)
    assert known.task.tolist() == [0, 0, 0, 1, 1, 1]
    assert known.tasks == TASKS


@pytest.mark.parametrize("control", [NoisyCopy(), NeighbourMean(neighbours=3)])
def test_what_needs_no_generator(control: Control, known: Known, query: Query) -> None:
    noise = 0.02 * torch.randn(4, METAWORLD_LAYOUT.size, generator=torch.Generator().manual_seed(0))
    generated = known.params[6:10] + noise
    acting = control.acting(PolicyControllers(METAWORLD_LAYOUT, generated), "toy", query, known)
    params, near = torch.from_numpy(params_of(acting)), known.near(generated, 3)
    if isinstance(control, NoisyCopy):
        apart = [(each - near.params[:, 0]).norm(dim=1) for each in (params, generated)]
        assert torch.allclose(*apart, rtol=1e-4)
        assert not torch.allclose(params, generated, atol=1e-3)
    else:
        assert torch.allclose(params, near.params.mean(1))


def test_a_method_that_writes_no_policies_is_refused(known: Known, query: Query) -> None:
    with pytest.raises(UserError, match="transformer does not write policies"):
        NoisyCopy().acting(LayeredControllers([], 4), "transformer", query, known)


def test_a_store_that_knows_no_runs_has_one_a_task(tiny_stores: TinyStores, tmp_path: Path) -> None:
    with PolicyStoreWriter(tmp_path / "p.h5", METAWORLD_LAYOUT, {}) as writer:
        draws = np.random.default_rng(0).normal(0, 0.1, (3, METAWORLD_LAYOUT.size))
        writer.append("reach", draws, -1, 0, 1.0, 1, 0.0, "train")
    domain = tiny_stores.domain.model_copy(update={"policies": str(tmp_path / "p.h5")})
    data = tiny_stores.domain.data()
    with domain.open_policies() as store:
        file = StoreFile(str(store.path), store.digest)
    known = made(dataclasses.replace(data, policies=file), tmp_path / "cache")
    assert known.run.tolist() == [0, 0, 0]

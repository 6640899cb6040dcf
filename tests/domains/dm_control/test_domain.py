"""The suite's cheetah as a domain: contexts and splits as published, steps as dm_control's own, and a collection."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.config import files
from hyprepro.config.registry import resolve
from hyprepro.domains.base import Start
from hyprepro.domains.dm_control.domain import CheetahLength, CheetahSpeed, CheetahSpeedLength, ControlCheetah
from hyprepro.domains.dm_control.tasks import SPLITS, run_reward
from hyprepro.domains.parameter import ParameterDomain
from hyprepro.errors import UserError
from hyprepro.methods.ceilings import DomainRandomisation, Expert, OneForAll
from hyprepro.methods.retrieval import Greatest
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter
from tests.methods.shared import params_of

DOMAINS: tuple[ControlCheetah, ...] = (CheetahSpeed(), CheetahLength(), CheetahSpeedLength())
EACH = pytest.mark.parametrize("domain", DOMAINS, ids=lambda each: each.label)


@pytest.fixture
def suite() -> Any:
    return pytest.importorskip("dm_control.suite", reason="takes pip install 'hyprepro[control]'")


def stores_of(folder: Path, kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """Paths of stores of all speeds: a policy and an episode of each, some kept for testing, and the policy for all."""
    paths: dict[str, Any] = {name: str(folder / f"{name}.h5") for name in ("policies", "trajectories", "randomised")}
    layout, tasks = CheetahSpeed.layout, CheetahSpeed().sweep
    for name in ("randomised", "policies"):
        with PolicyStoreWriter(Path(paths[name]), layout, {"route": "synthetic"}, "float32") as writer:
            for row, task in enumerate(tasks):
                value = 0.001 * (1 if name == "randomised" else row)
                params = np.full((1, layout.size), value, dtype=np.float32)
                writer.append(task, params, 0, 1, np.nan, 1, 0.0, "test" if task in kept else "train")
            digest = writer.close()
    with TrajectoryStoreWriter(Path(paths["trajectories"]), {"route": "synthetic"}, digest, 17, 6) as writer:
        for task in tasks:
            writer.append(task, np.zeros((3, 17)), np.zeros((2, 6)), np.zeros(2), -1, 2_000_000, 0, "validation")
    return paths


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return stores_of(tmp_path_factory.mktemp("whole"))


def test_one_collection_of_all_contexts_serves_every_split(whole: dict[str, Any]) -> None:
    trained = set()
    for share, split in product((0.8, 0.5, 0.95), SPLITS):
        domain = CheetahSpeed(**whole, test_share=share, split=split)
        data = domain.data()
        assert set(data.trained()) == set(domain.training)
        assert not set(data.for_training.policies.tasks) & set(domain.tested)
        query = data.domain.query(data, domain.tested[0], 1, "test")
        expert = params_of(Expert().deploy(None, data, query, 0))
        assert expert[0, 0] == np.float32(0.001 * domain.sweep.index(domain.tested[0])), "which is there as a ceiling"
        trained.add(domain.training)
    assert len(trained) == 15


def test_a_context_of_the_split_may_be_withheld_besides(whole: dict[str, Any]) -> None:
    domain = CheetahSpeed(**whole)
    data = domain.data([domain.training[0]])
    assert set(data.trained()) == set(domain.training[1:])


def test_stores_that_keep_another_split_for_testing_are_refused(tmp_path: Path) -> None:
    stores = stores_of(tmp_path, CheetahSpeed(split=123).tested)
    assert len(CheetahSpeed(**stores, split=123).data().trained()) == 8
    with pytest.raises(UserError, match=r"trains on speed--10\.000, and the stores keep it for testing") as caught:
        CheetahSpeed(**stores, split=233).data()
    assert "hyprepro collect dm-cheetah-speed" in caught.value.fix


def test_the_shipped_collections_are_of_all_contexts() -> None:
    for domain in DOMAINS:
        collection = resolve(files.named_file("collections", domain.label), slot="collection").recipe
        assert isinstance(collection, ParameterCollection)
        assert (collection.train_tasks, collection.test_tasks) == (domain.sweep, ())


@EACH
def test_experts_may_grow_from_a_parent_where_it_knows_of_no_tested_context(domain: ControlCheetah) -> None:
    name = files.named_file("collections", domain.label)
    bindings = ["ParameterCollection.route='parent'"]
    with pytest.raises(UserError, match="other experts would know of its steps") as caught:
        resolve(name, slot="collection", bindings=bindings).recipe.check()
    assert "ParameterCollection.test=None" in caught.value.fix
    collection = resolve(name, slot="collection", bindings=[*bindings, "ParameterCollection.test=None"]).recipe
    assert isinstance(collection, ParameterCollection)
    collection.check()
    assert (collection.train_tasks, collection.test_tasks) == (domain.training, domain.tested)


def test_one_policy_for_all_says_that_it_has_practised_the_tested_ones(whole: dict[str, Any]) -> None:
    domain = CheetahSpeed(**whole)
    data, (tested, *_) = domain.data(), domain.tested
    found = params_of(OneForAll().deploy(None, data, domain.query(data, tested, 1, "test"), 0))
    assert found.shape == (1, domain.layout.size)
    assert "tested too" in OneForAll().information(domain)
    OneForAll().require(data)
    with pytest.raises(UserError, match=r"no others; that of its store has practised speed--?\d") as caught:
        DomainRandomisation().require(data)
    assert "CheetahSpeed.randomised" in caught.value.where


@EACH
def test_a_fifth_of_the_contexts_is_trained_on_in_each_of_five_splits(domain: ControlCheetah) -> None:
    domain.check()
    count = len(domain.sweep)
    splits = [domain.model_copy(update={"split": split}) for split in SPLITS]
    assert {len(each.tested) for each in splits} == {int(0.8 * count)}
    assert len({each.training for each in splits}) == len(SPLITS)
    for each in splits:
        assert set(each.training) == set(each.sweep) - set(each.tested)
        assert each.training_subset(2)[0] in each.training


def test_an_episode_is_the_suites_ten_seconds() -> None:
    assert {domain.horizon for domain in DOMAINS} == {1000}
    assert not any(domain.ends for domain in DOMAINS), "which is a truncation"


def test_how_many_contexts_there_are_and_what_they_are_called() -> None:
    assert [(len(domain.sweep), len(domain.training)) for domain in DOMAINS] == [(40, 8), (41, 9), (45, 9)]
    assert [domain.sweep[-1] for domain in DOMAINS] == ["speed-10.000", "length-0.700", "context-5.000-0.700"]
    assert [domain.context(domain.sweep[0]) for domain in DOMAINS] == [(-10.0, 0.5), (1.0, 0.3), (1.0, 0.3)]
    assert [domain.relabels for domain in DOMAINS] == [True, False, False], "a torso is no matter of reward"


def test_a_half_is_trained_on_where_that_is_asked_for() -> None:
    assert len(CheetahSpeed(test_share=0.5).training) == 20


def test_few_are_trained_on_where_that_is_asked_for() -> None:
    assert [len(domain.model_copy(update={"test_share": 0.95}).training) for domain in DOMAINS] == [2, 3, 3]
    CheetahSpeed(test_share=0.95).check()


def test_a_split_without_test_contexts_is_refused() -> None:
    with pytest.raises(UserError, match="would be for testing") as caught:
        CheetahSpeed(test_share=0.01).check()
    assert "CheetahSpeed.test_share" in caught.value.where


@pytest.mark.parametrize(
    ("domain", "task", "text"),
    [
        (CheetahSpeed(), "speed-11.000", "outside -10 to 10"),
        (CheetahSpeed(), "speed-0.000", "no direction"),
        (CheetahSpeedLength(), "context-2.000-0.900", "outside 0.3 to 0.7"),
        (CheetahSpeedLength(), "context-2.000", "2 numbers, not 1"),
        (CheetahLength(), "speed-1.000", "names no length"),
    ],
)
def test_a_context_out_of_range_is_refused(domain: ParameterDomain, task: str, text: str) -> None:
    with pytest.raises(UserError, match=text):
        domain.parameter(task)


def test_the_target_is_one_sided() -> None:
    targets = np.array([speed for (speed,) in CheetahSpeed().grid])
    earned = run_reward(np.full(40, 8.0), targets)
    assert (earned[20:36] == 1.0).all(), "8 m/s earns everything at every target up to 8"
    assert (earned[:20] == 0.0).all(), "and nothing where it is to run back"
    assert earned[[37, 39]].tolist() == pytest.approx([0.9, 0.82])
    np.testing.assert_allclose(run_reward(np.full(40, -8.0), -targets), earned)
    assert run_reward(np.array([0.0, -1.0]), 2.0).tolist() == pytest.approx([0.1, 0.0])
    rewards = CheetahSpeed().rewards(torch.tensor([3.0, 1.0]), None, torch.tensor([[3.0], [2.0]]))
    assert rewards.tolist() == pytest.approx([1.0, 0.55])


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "dm_control"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dm_control", None)
    monkeypatch.delitem(sys.modules, "hyprepro.domains.dm_control.env", raising=False)
    with pytest.raises(UserError, match="dm_control is not installed") as caught:
        CheetahSpeed().simulator("speed-1.000", 1)
    assert "hyprepro[control]" in caught.value.fix


@pytest.mark.sim
def test_the_usual_cheetah_is_the_suites_own(suite: Any) -> None:
    from dm_control.utils import rewards

    theirs = suite.load("cheetah", "run", task_kwargs={"random": 7})
    ours = CheetahSpeed().simulator("speed-2.000", 1)
    first = theirs.reset()
    np.testing.assert_array_equal(
        ours.reset(0, Start("fresh", 7)), np.concatenate([first.observation["position"], first.observation["velocity"]])
    )
    for action in np.random.default_rng(0).uniform(-1.5, 1.5, (30, 6)).astype(np.float32):
        known, found = theirs.step(action), ours.step(action[None], [0])
        np.testing.assert_array_equal(found.observations[0], np.concatenate(list(known.observation.values())))
        assert found.signals is not None
        assert found.rewards is not None
        wanted = rewards.tolerance(found.signals[0], (2.0, np.inf), margin=2.0, value_at_margin=0.1, sigmoid="linear")
        assert found.rewards[0] == pytest.approx(wanted)


@pytest.mark.sim
def test_an_episode_follows_from_its_start_alone_and_a_torso_changes_it(suite: Any) -> None:
    simulator = CheetahLength().simulators(["length-0.300", "length-0.700", "length-0.300"])
    firsts = [simulator.reset(slot, Start("fresh", 5)) for slot in range(3)]
    np.testing.assert_array_equal(firsts[0], firsts[2])
    assert not np.array_equal(firsts[0], firsts[1])
    models = [simulator.physics(slot).model for slot in (0, 1)]
    assert [model.body_mass.sum() for model in models] == pytest.approx([14, 14])
    assert models[0].body_mass[1] < models[1].body_mass[1], "a longer torso takes mass from the legs"
    action = np.full((3, 6), 0.5, dtype=np.float32)
    simulator.step(action, [0])
    simulator.step(action, [0, 1])
    again = simulator.reset(0, Start("fresh", 5))
    np.testing.assert_array_equal(again, firsts[0])


@pytest.mark.sim
def test_the_collector_trains_experts_and_records_whole_episodes(
    suite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlCheetah, "horizon", 50)  # half a second in the place of ten
    line = ["collect", "dm-cheetah-smoke", "--out", str(tmp_path), "--cache", str(tmp_path / "cache"), "--workers", "0"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    kinds = ("policies", "trajectories")
    names: dict[str, Any] = {name: str(tmp_path / f"dm-cheetah-smoke.{name}.h5") for name in kinds}
    with PolicyStore.open(names["policies"]) as store, TrajectoryStore.open(names["trajectories"]) as episodes:
        assert store.tasks == ("speed--2.500", "speed-2.000", "speed-3.500")
        assert Counter(store.meta(task)["split"][0] for task in store.tasks) == {"train": 2, "test": 1}
        lengths = {len(each.actions) for task in episodes.tasks for each in episodes.episodes(task)}
        assert lengths == {50}, "to the end, whatever happens"
        assert not any(each.terminated for task in episodes.tasks for each in episodes.episodes(task))
        fastest = store.read("speed-3.500", store.rows("speed-3.500", "train")[-1:])
    data = CheetahSpeed(**names, split=123).data()
    assert list(data.trained()) == ["speed--2.500", "speed-3.500"]
    query = data.domain.query(data, "speed-2.000", 1, "test")
    found = Greatest().generate(None, data, query, 0)
    np.testing.assert_array_equal(found.params.numpy(), fastest)
    back = Greatest().generate(None, data, data.domain.query(data, "speed--1.000", 1, "test"), 0)
    assert not np.array_equal(back.params.numpy(), fastest), "which runs forwards"

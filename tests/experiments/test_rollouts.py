from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from hyprepro.domains.metaworld.steppers import StepperName
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.experiments.protocols import (
    HeldProtocol,
    PaperProtocol,
    Protocol,
    StrictProtocol,
    ValidationProtocol,
)
from hyprepro.experiments.rollouts import Rollouts
from hyprepro.experiments.run import stepper_used
from hyprepro.methods.ceilings import Expert
from tests.conftest import TinyStores, build_tiny_stores

PAPER, STRICT = PaperProtocol(env_seeds=(720,)), StrictProtocol()


def expert_rollouts(stores: TinyStores, prompts: int = 2, protocol: Protocol = STRICT) -> Rollouts:
    data = stores.domain.data()
    return Rollouts.of(Expert(), data, task="reach", split="seen", protocol=protocol, seed=7, prompts=prompts)


@pytest.mark.sim
@pytest.mark.parametrize("protocol", [PAPER, STRICT])
def test_a_rollout_stage_writes_one_record_a_trial(protocol: Protocol, tiny_stores: TinyStores, tmp_path: Path) -> None:
    stage = expert_rollouts(tiny_stores, protocol=protocol)
    cache = ArtifactCache(tmp_path / "first")
    records = stage.load(cache.make(stage))
    trials = protocol.trials(stage.data.domain, "reach", 2)
    assert [(r.protocol, r.policy, r.start) for r in records] == [(t.protocol, t.policy, t.start.label) for t in trials]
    assert {(r.method, r.variant, r.seed, r.split, r.task) for r in records} == {("expert", "", 0, "seen", "reach")}
    assert all(r.steps == 500 or r.success for r in records)
    again = ArtifactCache(tmp_path / "second")
    again.make(stage)
    assert again.manifest(stage)["digest"] == cache.manifest(stage)["digest"]


@pytest.mark.sim
@pytest.mark.parametrize("stepper", ["fast", "metaworld"])
def test_an_evaluation_tells_what_stepped_it(stepper: StepperName, tiny_stores: TinyStores, tmp_path: Path) -> None:
    stage = expert_rollouts(tiny_stores, prompts=1)
    data = dataclasses.replace(stage.data, domain=stage.data.domain.model_copy(update={"stepper": stepper}))
    stage = dataclasses.replace(stage, data=data, protocol=PAPER)
    cache = ArtifactCache(tmp_path)
    assert stage.stepped_by(cache.make(stage)) == stepper
    assert stepper_used([stage], cache) == {"stepper": stepper}
    assert stepper_used([], cache) == {}


def test_more_prompts_than_there_are_is_a_mistake(tiny_stores: TinyStores, tmp_path: Path) -> None:
    stage = expert_rollouts(tiny_stores, prompts=6)
    with pytest.raises(UserError, match="5 test prompts of reach") as caught:
        ArtifactCache(tmp_path).make(stage)
    assert caught.value.fix == "-b Recipe.prompts_per_task=5"


def test_every_kind_of_prompts_is_asked_by_its_own_policies(tmp_path: Path) -> None:
    """A store of both kinds: policies 6 and 7 are of the training runs 0 and 1, policies 8 and 9 of run 2."""
    stores = build_tiny_stores(tmp_path, unseen=2)
    data = stores.domain.data()
    for runs, rows in (("training", {6, 7}), ("unseen", {8, 9})):
        shown = dataclasses.replace(data, prompt_runs=runs)
        query = stores.domain.query(shown, "reach", 5, "test")
        assert set(query.shown.policy_rows.tolist()) == rows
        assert shown.for_training == data.for_training
        assert shown.described() != data.described()
    with pytest.raises(UserError, match="two kinds of test prompts of reach: 5 from training runs and 5 from runs"):
        stores.domain.query(data, "reach", 5, "test")


def test_the_key_follows_contents_and_settings_not_places(tiny_stores: TinyStores, tmp_path: Path) -> None:
    stage = expert_rollouts(tiny_stores)
    moved = TinyStores(tmp_path / "p.h5", tmp_path / "t.h5")
    shutil.copy(tiny_stores.policies, moved.policies)
    shutil.copy(tiny_stores.trajectories, moved.trajectories)
    assert expert_rollouts(moved).key == stage.key
    others = [{"task": "door-open"}, {"prompts": 3}, {"seed": 1}, {"protocol": PAPER}]
    keys = {dataclasses.replace(stage, **change).key for change in others}
    assert len(keys - {stage.key}) == len(others)


def test_evaluations_of_one_task_share_a_worker_and_say_what_they_do(tiny_stores: TinyStores) -> None:
    stage = expert_rollouts(tiny_stores)
    assert stage.affinity == "reach"
    assert stage.label == "rollouts expert reach, strict"
    assert (
        dataclasses.replace(stage, protocol=ValidationProtocol()).label == "rollouts expert reach on validation starts"
    )
    assert stage.cost == pytest.approx(0.08 * 2)


@pytest.mark.sim
def test_success_that_holds_is_counted_on_the_strict_starts(tiny_stores: TinyStores, tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)
    strict, held = (expert_rollouts(tiny_stores, protocol=each) for each in (STRICT, HeldProtocol()))
    ended, whole = (stage.load(cache.make(stage)) for stage in (strict, held))
    assert [(each.policy, each.start) for each in ended] == [(each.policy, each.start) for each in whole]
    assert {(each.protocol, each.steps) for each in whole} == {("held", None)}
    assert all(
        after.success is not None and after.success <= before.success
        for before, after in zip(ended, whole, strict=True)
    )


def test_success_that_holds_is_asked_of_domains_that_have_success() -> None:
    from hyprepro.experiments.choice import choose

    recipe = choose("table4", "smoke", bindings=["Recipe.protocols=(@HeldProtocol(),)"]).recipe
    with pytest.raises(UserError, match="HeldProtocol does not fit"):
        recipe.targets(recipe.data())

"""Collecting end to end at toy size, in the real simulator: stores, data card, resume, routes, trainers, errors."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.collect.metaworld.clones import CloneExperts
from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.collect.metaworld.settings import Agent, CloneSettings, Selection
from hyprepro.collect.metaworld.training import TrainSAC, start_actors
from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.settings import SACSettings, SACTraining
from hyprepro.domains.metaworld.tasks import SEEN_TASKS
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report
from hyprepro.errors import UserError
from hyprepro.stores import atomic
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.prompts import read_prompts
from hyprepro.stores.trajectory_store import TrajectoryStore

CLONING = CloneSettings(parent_rounds=1, rounds=1, episodes=2, updates=60, final_updates=120, episode_steps=100)
SAC = SACSettings(batch_size=16, normalise_q=True, cloning_weight=5.0)
TRAINING = SACTraining(
    sac=SAC, updates=24, critic_updates=8, checkpoint_every=4, first_steps=20, episode_steps=20, replay=200
)
CLONES = CloneExperts(CLONING, "clones", ("reach",), (), 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    """Shared by the tests of this module: the clones are made once."""
    torch.set_num_threads(1)
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


def trained(stage: TrainSAC, cache: ArtifactCache, work: Path, report: Report | None = None) -> Any:
    inputs = {"clones": cache.make(stage.clones)}
    work.mkdir(exist_ok=True)
    stage.run(work, inputs, report or Report())
    return stage.load(work)


def test_the_command_line_collects_both_stores_and_a_card(tmp_path, monkeypatch):
    bindings = [
        "CloneSettings.updates=200",
        "CloneSettings.final_updates=800",
        "MetaWorldCollection.seen_tasks=('door-unlock',)",
    ]
    arguments = [
        "collect",
        "metaworld-smoke",
        "--out",
        str(tmp_path),
        "--cache",
        str(tmp_path / "cache"),
        "--workers",
        "0",
    ]
    for binding in bindings:
        arguments += ["-b", binding]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    policies = PolicyStore.open(tmp_path / "metaworld-smoke.policies.h5")
    trajectories = TrajectoryStore.open(tmp_path / "metaworld-smoke.trajectories.h5")
    assert policies.verify() == []
    assert trajectories.verify() == []
    assert policies.route["name"] == "clones"
    assert trajectories.policies_digest == policies.digest
    assert policies.count("door-unlock", "train") == 2
    assert policies.count("drawer-close", "train") == 0  # an unseen task trains nothing
    meta = policies.meta("door-unlock")
    train, test = meta["split"] == "train", meta["split"] == "test"
    assert not set(meta["seed"][train]) & set(meta["seed"][test])  # test prompts come from a run of their own
    table = trajectories.table("door-unlock")
    goals = {split: set(table["seed"][table["split"] == split]) for split in ("train", "validation", "test")}
    assert not goals["train"] & goals["test"]
    assert not goals["validation"] & (goals["train"] | goals["test"])
    prompts = read_prompts(trajectories, "door-unlock", "test")
    assert len(prompts) == 2
    assert set(prompts.policy_rows) <= set(np.flatnonzero(test))
    card = (tmp_path / "metaworld-smoke.md").read_text()
    assert policies.digest in card
    assert policies.route["summary"] in card
    again = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert "0 stages to do" in again.output
    assert_nothing_is_lost_when_writing_fails(arguments, tmp_path, monkeypatch)


def assert_nothing_is_lost_when_writing_fails(arguments: list[str], out: Path, monkeypatch: Any) -> None:
    """Two collectors at one store, then a full disk: one clear error each, and the stores are what they were."""
    names = ("metaworld-smoke.policies.h5", "metaworld-smoke.trajectories.h5")
    before = {name: (out / name).read_bytes() for name in names}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in names:
        other = atomic.AtomicFile(out / name)
        done = CliRunner().invoke(app, arguments)
        other.discard()
        assert done.exit_code == 2
        assert "Another process is writing this store" in done.output
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "extend", full)
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "The disk is full" in done.output
    assert {path.name: path.read_bytes() for path in out.glob("*.h5*")} == before
    for name, store in zip(names, (PolicyStore, TrajectoryStore), strict=True):
        with store.open(out / name) as found:
            assert found.verify() == []


def test_an_interrupted_run_of_sac_gives_the_same_policies(cache, tmp_path, monkeypatch):
    stage = TrainSAC(CLONES, TRAINING, ("reach", "reach"), (0, 1))
    whole, updates = trained(stage, cache, tmp_path / "whole")
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", math.inf)

    class Stop(Report):
        """Dies after the second episode, as a killed process would: without a chance to save."""

        def progress(self, step: int, total: int, **metrics: float) -> None:
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(stage, cache, tmp_path / "killed", Stop())
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    continued, _ = trained(stage, cache, tmp_path / "killed")
    np.testing.assert_array_equal(continued, whole)
    assert updates.tolist() == [8, 12, 16, 20, 24]
    assert not np.array_equal(whole[0, 0], whole[-1, 0])
    assert not np.array_equal(whole[-1, 0], whole[-1, 1])  # two SAC seeds of one task


def test_sac_begins_at_the_clone(cache):
    stage = TrainSAC(CLONES, TRAINING, ("reach",), (0,))
    clones = CLONES.load(cache.make(CLONES))
    start = start_actors(stage, clones)
    assert start is not None
    torch.testing.assert_close(start["mean.weight"][0], clones.actors["mean.weight"][0])


def test_from_scratch_no_clone_is_used(cache, tmp_path):
    """Of a task that is not in Make-An-Agent's split."""
    scratch = CloneExperts(CLONING, "scratch", ("hammer",), (), 0)
    plain = TRAINING.model_copy(update={"sac": SACSettings(batch_size=16), "critic_updates": 0})
    stage = TrainSAC(scratch, plain, ("hammer",), (0,))
    assert start_actors(stage, scratch.load(cache.make(scratch))) is None
    params, updates = trained(stage, cache, tmp_path / "scratch")
    assert params.shape == (7, 1, 22_664)
    assert updates[-1] == 24
    assert np.isfinite(params).all()


def test_the_reference_trainer_gives_the_same_kind_of_policies(cache, tmp_path):
    plain = TRAINING.model_copy(
        update={"trainer": "stable-baselines3", "sac": SACSettings(batch_size=16), "critic_updates": 0}
    )
    params, updates = trained(TrainSAC(CLONES, plain, ("reach",), (0,)), cache, tmp_path / "sb3")
    ours = TRAINING.model_copy(update={"sac": SACSettings(batch_size=16), "critic_updates": 0})
    batched, our_updates = trained(TrainSAC(CLONES, ours, ("reach",), (0,)), cache, tmp_path / "ours")
    assert updates.tolist() == our_updates.tolist()
    np.testing.assert_array_equal(params[0], batched[0])  # both begin with the clone ...
    assert 0 < np.abs(params[-1] - params[0]).max() < 1  # ... and move away from it


def test_the_reference_trainer_refuses_what_it_does_not_have(cache, tmp_path):
    stage = TrainSAC(CLONES, TRAINING.model_copy(update={"trainer": "stable-baselines3"}), ("reach",), (0,))
    with pytest.raises(UserError, match="cloning term"):
        trained(stage, cache, tmp_path / "refused")


def test_no_acceptable_checkpoint_is_a_clear_error(tmp_path):
    arguments = ["collect", "metaworld-smoke", "--out", str(tmp_path), "--cache", str(tmp_path / "c"), "--workers", "0"]
    small = ["CloneSettings.updates=1", "CloneSettings.final_updates=1", "Selection.acceptance=1.0"]
    small += ["MetaWorldCollection.seen_tasks=('dial-turn',)", "MetaWorldCollection.unseen_tasks=()"]
    for binding in small:
        arguments += ["-b", binding]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output
    assert "No checkpoint of any run" in done.output
    assert "dial-turn, run 0" in done.output
    assert not list(tmp_path.glob("*.h5"))


def test_a_wrong_task_is_answered_with_the_closest():
    done = CliRunner().invoke(app, ["collect", "metaworld-smoke", "-b", "MetaWorldCollection.seen_tasks=('door-opn',)"])
    assert done.exit_code == 2
    assert "door-open" in done.output


def test_any_task_of_metaworld_can_be_collected():
    tasks = "MetaWorldCollection.seen_tasks=('hammer','assembly')"
    done = CliRunner().invoke(app, ["collect", "metaworld", "--dry-run", "-b", tasks])
    assert done.exit_code == 0, done.output
    assert "policies and prompts of hammer" in done.output
    assert "policies and prompts of assembly" in done.output


@pytest.mark.parametrize(
    "binding", ["MetaWorldCollection.seen_tasks=('door-opn',)", "MetaWorldCollection.seed=-1", "SACTraining.updates=0"]
)
def test_bad_settings_are_one_panel(binding):
    done = CliRunner().invoke(app, ["collect", "metaworld-smoke", "--dry-run", "-b", binding])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


def test_the_default_collection_covers_the_issue():
    collection = MetaWorldCollection()
    agents = collection.agents()
    assert len(agents) == 10 * 4 + 8
    assert Agent("door-lock", 3) in agents
    stages = collection.stages()
    assert [stage.task for stage in stages][:10] == list(SEEN_TASKS)
    selection = Selection()
    assert selection.train_seeds * selection.train_policies >= 60
    assert selection.test_prompts == 100

"""Collecting Cheetah-Vel end to end at toy size, in the real simulator: stores, card, resume, routes, refusals."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.collect.parameter.collection import ParameterCollection
from hyprepro.collect.parameter.experts import TrainExperts
from hyprepro.collect.parameter.loop import start_seed
from hyprepro.collect.parameter.memory import Memory
from hyprepro.collect.parameter.parent import conditions
from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.networks import actor_forward
from hyprepro.config import files
from hyprepro.config.registry import resolve
from hyprepro.domains.cheetah_vel.env import CheetahVel
from hyprepro.domains.cheetah_vel.tasks import velocity_reward
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report
from hyprepro.policies.forward import StackedPolicies
from hyprepro.policies.layout import CHEETAH_LAYOUT
from hyprepro.stores.info import store_info
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.collect.parameter.tiny import DOMAIN, EXPERTS, FEW, PARENT, made

ENDS = ("velocity-0.300", "velocity-2.550")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    """Shared by the tests of this module: the parent is trained once."""
    torch.set_num_threads(1)
    return ArtifactCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory, cache: ArtifactCache) -> Path:
    """What the command writes."""
    out = tmp_path_factory.mktemp("stores")
    arguments = ["collect", "cheetah-vel-smoke", "--out", str(out), "--cache", str(cache.root), "--workers", "0"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert "0 stages to do" in again.output
    return out


def test_the_command_line_writes_stores_of_every_velocity(collected: Path) -> None:
    with (
        PolicyStore.open(collected / "cheetah-vel-smoke.policies.h5", CHEETAH_LAYOUT) as policies,
        TrajectoryStore.open(collected / "cheetah-vel-smoke.trajectories.h5") as episodes,
    ):
        assert (
            policies.tasks == episodes.tasks == ("velocity-0.300", "velocity-1.050", "velocity-1.200", "velocity-2.550")
        )
        assert policies.verify() == episodes.verify() == []
        assert episodes.policies_digest == policies.digest
        for task in policies.tasks:
            split, meta = "test" if task == "velocity-1.200" else "train", policies.meta(task)
            assert meta["split"].tolist() == [split] * 2
            assert np.isnan(meta["success"]).all()
            assert episodes.table(task)["split"].tolist() == [split] * 4 + ["validation"] * 2
            assert episodes.table(task)["policy_row"].tolist() == [-1, -1, -1, 0, 0, 1]
        assert policies.route["name"] == "parent"


def test_recorded_returns_and_episodes_are_those_of_gymnasiums_environment(collected: Path) -> None:
    task = "velocity-2.550"
    with (
        PolicyStore.open(collected / "cheetah-vel-smoke.policies.h5") as policies,
        TrajectoryStore.open(collected / "cheetah-vel-smoke.trajectories.h5") as episodes,
    ):
        params, recorded = policies.read(task, [1]), float(policies.meta(task)["return"][1])
        prompt = episodes.episode(task, 5)
    env, policy = CheetahVel(*DOMAIN.parameter(task)), StackedPolicies(CHEETAH_LAYOUT, params)
    totals = []
    for seed in [start_seed("scoring", i) for i in range(2)] + [prompt.goal_seed]:
        observation, _ = env.reset(seed=seed)
        rewards = []
        for step in range(200):
            action = policy.act(np.array([0]), observation[None])[0]
            if seed == prompt.goal_seed:
                np.testing.assert_allclose(prompt.observations[step], observation, rtol=2e-3)
                np.testing.assert_allclose(prompt.actions[step], action, rtol=2e-3)
            observation, reward, *_ = env.step(action)
            rewards.append(reward)
        totals.append(sum(rewards))
        if seed == prompt.goal_seed:
            np.testing.assert_allclose(prompt.rewards, rewards, rtol=2e-3)
    assert recorded == pytest.approx(np.mean(totals[:2]), abs=1e-3)


def test_the_folded_parent_and_its_curve_are_stored(collected: Path) -> None:
    with PolicyStore.open(collected / "cheetah-vel-smoke-parent.policies.h5") as parent:
        assert [parent.count(task) for task in parent.tasks] == [1] * 4
        assert parent.meta("velocity-1.200")["split"].tolist() == ["test"]
        assert parent.route["curve"]["updates"] == [0, 20, 40, 60]
    card = (collected / "cheetah-vel-smoke.md").read_text()
    assert "| 1.200 | test | 2 |" in card
    assert (collected / "cheetah-vel-smoke.svg").read_text().startswith("<?xml")


def test_what_is_recorded_stands_when_measured_again_and_a_false_return_does_not(
    collected: Path, tmp_path: Path
) -> None:
    import h5py

    from hyprepro.collect.recheck import recheck_returns

    path = collected / "cheetah-vel-smoke.policies.h5"
    done = CliRunner().invoke(app, ["store", "verify", str(path), "--rollouts", "1", "--task", "velocity-0.300"])
    assert done.exit_code == 0, done.output
    wrong = tmp_path / "wrong.h5"
    wrong.write_bytes(path.read_bytes())
    with h5py.File(wrong, "r+") as file:
        file["policies/velocity-0.300/return"][:] = -5.0
    with PolicyStore.open(wrong) as store:
        found = recheck_returns(DOMAIN, store, 1, 5, ["velocity-0.300"])
    assert found[0].contradicted
    shown = CliRunner().invoke(app, ["store", "info", str(path), "--plot", str(tmp_path / "returns.svg")])
    assert shown.exit_code == 0, shown.output
    assert "return: min" in shown.output
    assert (tmp_path / "returns.svg").exists()


class Stop(Report):
    """Dies at its n-th report, as a killed process would: without a chance to save."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def progress(self, step: int, total: int, **metrics: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_killed_parent_goes_on_to_the_same_networks(
    cache: ArtifactCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", math.inf)
    whole = made(PARENT, cache, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        made(PARENT, cache, tmp_path / "killed", Stop(4))  # in the last round, after a checkpoint
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    continued = made(PARENT, cache, tmp_path / "killed")
    for name, tensor in whole.networks.actor.items():
        assert torch.equal(tensor, continued.networks.actor[name])
    np.testing.assert_array_equal(whole.curve.returns, continued.curve.returns)
    for name in ("observations", "actions", "signals", "ended", "parameters"):
        assert (tmp_path / "whole" / f"{name}.npy").read_bytes() == (tmp_path / "killed" / f"{name}.npy").read_bytes()


def test_killed_experts_go_on_to_the_same_policies(
    cache: ArtifactCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", math.inf)
    stage = TrainExperts(DOMAIN, PARENT, EXPERTS, ENDS, 0)
    whole = made(stage, cache, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        made(stage, cache, tmp_path / "killed", Stop(2))
    continued = made(stage, cache, tmp_path / "killed")
    np.testing.assert_array_equal(continued.params, whole.params)
    assert whole.updates.tolist() == [0, 5, 10, 15, 20]
    parent = PARENT.load(cache.make(PARENT))
    np.testing.assert_allclose(
        whole.params[0, 1], parent.policy(ENDS[1]), atol=1e-6
    )  # each begins as the folded parent
    assert np.abs(whole.params[-1] - whole.params[0]).max() > 1e-4


def test_a_killed_collection_goes_on_to_the_same_stores(collected: Path, cache: ArtifactCache, tmp_path: Path) -> None:
    """Kill -9 of the command while the experts train, its parent being finished."""
    for parent in cache.root.glob("parameter-parent-*"):
        shutil.copytree(parent, tmp_path / "cache" / parent.name)
    arguments = ["collect", "cheetah-vel-smoke", "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    program = [sys.executable, "-c", "from hyprepro.cli import main; main()", *arguments, "--workers", "0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("started 3 experts" in line for line in process.stderr)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("*.h5"))
    done = CliRunner().invoke(app, [*arguments, "--workers", "0"])
    assert done.exit_code == 0, done.output
    for name in ("cheetah-vel-smoke.policies.h5", "cheetah-vel-smoke.trajectories.h5"):
        assert store_info(tmp_path / name)["digest"] == store_info(collected / name)["digest"]


def test_the_folded_parent_acts_as_the_parent_told_the_velocity(cache: ArtifactCache) -> None:
    parent = PARENT.load(cache.make(PARENT))
    raw = np.random.default_rng(0).normal(size=(20, 17)) * parent.normaliser.scale + parent.normaliser.mean
    seen = torch.from_numpy(parent.normaliser.apply(raw))
    for task in ("velocity-0.000", "velocity-0.600", "velocity-3.000"):
        told = conditions(DOMAIN, [task]).expand(20, 1)
        mean, _ = actor_forward(parent.networks.actor, torch.cat((seen, told), 1)[None])
        wanted = torch.tanh(mean)
        policy = StackedPolicies(CHEETAH_LAYOUT, parent.policy(task)[None])
        torch.testing.assert_close(policy.means(torch.from_numpy(raw).float()), wanted, rtol=1e-4, atol=1e-4)
    assert parent.networks.actor["linear1.weight"].shape[1] == 18


def test_a_parent_chases_its_own_velocities_only(
    cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: set[float] = set()

    def spied(speeds: Any, actions: Any, velocity: Any) -> Any:
        asked.update(np.unique(np.asarray(velocity, dtype=np.float64).round(3)).tolist())
        return velocity_reward(speeds, actions, velocity)

    monkeypatch.setattr("hyprepro.domains.cheetah_vel.domain.velocity_reward", spied)
    made(PARENT, cache, tmp_path / "spied")
    assert asked == {0.3, 1.05, 2.55}
    chased = Memory(DOMAIN, tmp_path / "spied", PARENT.rounds, 2).fields["parameters"]
    assert set(chased.astype(np.float64).round(3).ravel().tolist()) <= {0.3, 1.05, 2.55}


@pytest.mark.parametrize("sharing", ["none", "experts"])
def test_from_scratch_no_parent_is_needed(cache: ArtifactCache, tmp_path: Path, sharing: str) -> None:
    settings = EXPERTS.model_copy(update={"sharing": sharing})
    collection = ParameterCollection(
        domain=DOMAIN, train=(0.3, 2.55), test=(1.2,), route="scratch", experts=settings, selection=FEW
    )
    stages = collection.stages()
    assert [stage.kind for stage in stages] == ["parameter-harvest"] * 3
    found = made(stages[0], cache, tmp_path / "scratch")
    assert len(found.policies) == 2
    assert len(found.episodes) == 4
    assert found.episodes[0].split == "train"


def test_a_late_schedule_keeps_the_start_and_what_comes_after(cache: ArtifactCache, tmp_path: Path) -> None:
    whole = made(TrainExperts(DOMAIN, PARENT, EXPERTS, ENDS, 0), cache, tmp_path / "whole")
    late = EXPERTS.model_copy(update={"checkpoints_from": 12, "checkpoint_every": 4})
    found = made(TrainExperts(DOMAIN, PARENT, late, ENDS, 0), cache, tmp_path / "late")
    assert found.updates.tolist() == [0, 12, 16, 20]
    np.testing.assert_array_equal(found.params[[0, -1]], whole.params[[0, -1]])


@pytest.mark.parametrize(
    ("binding", "complaint"),
    [
        ("ParameterCollection.train=(0.225, 0.3)\nParameterCollection.test=(0.225,)", "contain velocity-0.225"),
        ("ParameterCollection.train=(0.3, 0.31)", "none of the 40 velocities"),
        ("ParameterCollection.train=('reach',)", "names no velocity"),
        ("ParameterCollection.train=(0.3, 0.3)", "twice"),
        ("ParameterCollection.train=()\nParameterCollection.test=()", "velocity-0.225 is trained on and is"),
        ("CheetahVel.first=-0.5", "outside 0 to 3"),
        ("CheetahVel.last=4.0", "outside 0 to 3"),
        ("CheetahVel.last=0.05", "must rise"),
        ("ParameterCollection.domain=@MetaWorld()", "not by numbers"),
        ("ParameterCollection.train=()\nParameterCollection.test=()", '-b "ParameterCollection.test=None"'),
        ("ParameterCollection.route='scratch'\nExpertTraining.sharing='all'", "no parent"),
        ("ParameterCollection.route='scratch'\nExpertTraining.sharing=None", "no parent"),
        ("ParentTraining.updates=0", "at least 1"),
        ("ExpertTraining.checkpoints_from=30_000", "no policy is kept"),
        ("ParameterSelection.stride=0", "at least 1"),
        ("ParameterSelection.acceptance=-1.0", "at least 0"),
    ],
)
def test_bad_settings_are_one_panel(binding: str, complaint: str) -> None:
    arguments = ["collect", "cheetah-vel-smoke", "--dry-run"]
    for line in binding.splitlines():
        arguments += ["-b", line]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output
    assert complaint in " ".join(done.output.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_a_dry_run_measures_time_and_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hyprepro.collect.parameter.calibration.SECONDS", 0.3)
    arguments = ["collect", "cheetah-vel-smoke", "--dry-run", "--cache", str(tmp_path), "--workers", "2"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "7 stages to do" in done.output
    assert "MB of stores" in done.output


def test_the_default_collection_covers_the_issue() -> None:
    collection = ParameterCollection(domain=DOMAIN)
    assert len(collection.train_tasks) == 35
    assert [DOMAIN.parameter(task)[0] for task in collection.test_tasks] == [0.225, 0.6, 1.2, 1.8, 2.025]
    assert len(collection.stages()) == 40


def test_a_collection_with_tests_of_its_own_trains_on_no_task_that_the_domain_tests() -> None:
    collection = ParameterCollection(domain=DOMAIN, test=(0.3,))
    collection.check()
    assert set(collection.train_tasks) == set(DOMAIN.training) - {"velocity-0.300"}


@pytest.mark.parametrize(("name", "stored"), [("cheetah-vel", 16), ("cheetah-vel-full", 800)])
def test_shipped_collections_have_the_papers_schedule(name: str, stored: int) -> None:
    """40 velocities with 800 checkpoints each, one every 500 steps from step 150,000 on."""
    collection = resolve(files.named_file("collections", name), slot="collection").recipe
    assert isinstance(collection, ParameterCollection)
    training = collection.experts
    for stage in collection.stages():
        checkpoints = stage.experts.checkpoints[1:]
        steps = [training.first_rounds * 200 + round(u / training.updates_per_step) for u in checkpoints]
        assert steps == list(range(150_000, 550_000, 500))
        assert set(np.diff(stage.candidates)) == {collection.selection.stride}
        assert len(stage.candidates) >= collection.selection.policies == stored


def test_a_file_that_describes_no_collection_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.gin").write_text("ParameterSAC.batch_size = 8\n")
    done = CliRunner().invoke(app, ["collect", str(tmp_path / "other.gin"), "--dry-run"])
    assert done.exit_code == 2, done.output
    assert "binds no collection" in done.output
    assert "ParameterCollection" in done.output


def test_no_stage_depends_on_how_stores_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else rewording a card would train everything anew."""
    from hyprepro.engine import source

    read, seen = source._read, set()

    def spied(name: str, path: Path) -> Any:
        seen.add(name)
        return read(name, path)

    monkeypatch.setattr(source, "_read", spied)
    source._digest.cache_clear()
    source.source_digest({"hyprepro.collect.parameter.harvest", "hyprepro.collect.metaworld.harvest"})
    assert {"hyprepro.collect.parameter.settings", "hyprepro.collect.metaworld.settings"} <= seen
    assert not {name for name in seen if name.endswith((".card", "parameter.collection", ".calibration"))}

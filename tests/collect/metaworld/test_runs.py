"""Runs that know nothing of each other: routes from random weights, collected whole or in parts, killed and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.collect.metaworld import harvest
from hyprepro.collect.metaworld.clones import CloneExperts
from hyprepro.collect.metaworld.collection import MetaWorldCollection, limits, summary
from hyprepro.collect.metaworld.settings import Agent, CloneSettings, Selection
from hyprepro.collect.metaworld.training import start_actors
from hyprepro.collect.sac.settings import SACSettings, SACTraining
from hyprepro.config import files
from hyprepro.config.registry import resolve
from hyprepro.engine.cache import ArtifactCache
from hyprepro.stores.parts import merge
from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.runs import rows_of
from hyprepro.stores.trajectory_store import TrajectoryStore

SCRATCH = SACTraining(sac=SACSettings(cloning_weight=0.0))
SMALL = Selection(train_seeds=2, test_seeds=2)


def collection(**settings: Any) -> MetaWorldCollection:
    given = {"route": "independent", "seen_tasks": ("reach", "door-open"), "unseen_tasks": ("door-lock",)}
    return MetaWorldCollection(**{**given, "selection": SMALL, **settings})


def test_a_stack_holds_the_agents_of_one_run() -> None:
    stacks = {stage.runs[0].seeds: stage.runs[0].tasks for stage in collection().stages()}
    assert stacks == {
        (0, 0): ("reach", "door-open"),
        (1, 1): ("reach", "door-open"),
        (2, 2, 2): ("reach", "door-open", "door-lock"),
        (3, 3, 3): ("reach", "door-open", "door-lock"),
    }


def test_a_part_is_made_of_the_stages_of_the_whole() -> None:
    whole = [stage.key for stage in collection().stages()]
    parts = [[stage.key for stage in collection(runs=runs).stages()] for runs in ((0,), (3, 1), (2,))]
    assert sorted(key for part in parts for key in part) == sorted(whole)
    assert len(set(whole)) == len(whole) == 2 * 4 + 2


def test_a_part_says_which_it_is_and_the_whole_does_not() -> None:
    whole, part = collection().origin(), collection(runs=(3, 1)).origin()
    assert part == {**whole, "part": {"runs": [1, 3], "of": 4}}
    assert collection(runs=(3, 2, 1, 0)).origin() == whole


@pytest.mark.parametrize("route", ["independent", "scratch"])
def test_runs_from_random_weights_use_no_clone(route: str, tmp_path: Path) -> None:
    """Only the experts' states are looked at, and with parent and clones nothing is trained."""
    one = collection(
        route=route,
        seen_tasks=("reach",),
        unseen_tasks=(),
        cloning=CloneSettings(episodes=1, episode_steps=5),
        training=SCRATCH if route == "scratch" else SACTraining(),
    )
    stage = one.stages()[0].runs[0]
    clones = stage.clones.load(ArtifactCache(tmp_path).make(stage.clones))
    assert clones.actors == {}
    assert start_actors(stage, clones) is None


def test_the_shipped_collection_is_what_it_says() -> None:
    found = resolve(files.named_file("collections", "metaworld-independent"), slot="collection").recipe
    assert isinstance(found, MetaWorldCollection)
    selection = found.selection
    assert (selection.train_seeds, selection.train_policies, selection.test_seeds) == (10, 6, 2)
    assert len(found.seen_tasks) == 10
    assert found.agents().count(Agent("door-lock", 11)) == 1
    assert found.training.critic_updates == 0, "the clones' head start has no place without clones"
    assert "every run from random weights of its own" in summary(found)
    assert "parent" not in limits(found)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"route": "scratch"}, "has no demonstrations: .*route='independent'"),
        ({"training": SCRATCH}, "needs SACSettings.cloning_weight above 0"),
        ({"route": "clones", "runs": (0,)}, "collected together"),
        ({"runs": (0, 4)}, "names 4; each of 0 to 3"),
        ({"runs": (1, 1)}, "names 1; each of 0 to 3 may stand there once"),
        ({"runs": (-1,)}, "names -1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        collection(**settings)


def test_without_a_parent_every_task_has_a_network_of_its_own(tmp_path: Path) -> None:
    """And with one the clones of two tasks are near each other."""
    tasks, apart = ("reach", "door-open"), {}
    for rounds in (0, 1):
        small = CloneSettings(
            parent_rounds=rounds, rounds=1, episodes=1, episode_steps=10, updates=2, final_updates=2, batch_size=8
        )
        stage = CloneExperts(small, "clones", tasks, (), 0)
        weights = stage.load(ArtifactCache(tmp_path).make(stage)).actors["linear2.weight"]
        apart[rounds] = float((weights[0] - weights[1]).square().mean().sqrt() / weights.square().mean().sqrt())
        assert ("one parent" in limits(collection(route="clones", cloning=small))) == bool(rounds)
    assert apart[0] > 1.3, "unrelated networks are 1.41 apart"
    assert apart[1] < 0.3


TASK, KILLED_AT = "faucet-close", 450
SETTINGS = [
    f"MetaWorldCollection.seen_tasks=('{TASK}',)",
    "MetaWorldCollection.unseen_tasks=()",
    "CloneSettings.episodes=1",
    "CloneSettings.episode_steps=60",
    "SACSettings.learning_rate=1e-3",
    "SACSettings.batch_size=64",
    "SACTraining.updates=600",
    "SACTraining.checkpoint_every=100",
    "SACTraining.first_steps=100",
    "SACTraining.episode_steps=100",
    "SACTraining.replay=2000",
    "Selection.train_seeds=2",
    "Selection.train_policies=1",
    "Selection.train_stride=1",
    "Selection.test_seeds=1",
    "Selection.test_policies=1",
    "Selection.acceptance=0.0",
    "Selection.score_goals=1",
    "Selection.score_steps=20",
    "Selection.train_prompts=1",
    "Selection.validation_prompts=1",
    "Selection.test_prompts=2",
]

_KILLED = """
import os, signal, sys
from hyprepro.cli import app
from hyprepro.collect.sac import checkpoint, replay

add, last = replay.Replay.add, int(sys.argv[1])
def killed(self, **transition):
    add(self, **transition)
    if self.added == last:
        os.kill(os.getpid(), signal.SIGKILL)
replay.Replay.add = killed
checkpoint.SECONDS_BETWEEN_CHECKPOINTS, checkpoint.LARGEST_SHARE = 0.0, float("inf")
app(sys.argv[2:])
"""


def command(folder: Path, cache: Path, *more: str) -> list[str]:
    """The flags of a miniature collection."""
    flags = ["collect", "metaworld-independent", "--out", str(folder), "--cache", str(cache), "--workers", "0"]
    return flags + [part for binding in (*SETTINGS, *more) for part in ("-b", binding)]


def collected(folder: Path, cache: Path, *more: str) -> Path:
    """Collect; the name of both stores."""
    torch.set_num_threads(1)
    done = CliRunner().invoke(app, command(folder, cache, *more))
    assert done.exit_code == 0, done.output
    return folder / "metaworld-independent"


@pytest.mark.sim
def test_the_whole_and_its_parts_one_of_them_killed_give_the_same_stores(tmp_path: Path) -> None:
    own, other = tmp_path / "cache", tmp_path / "other"
    some = collected(tmp_path / "some", own, "MetaWorldCollection.runs=(0,1)")
    last = command(tmp_path / "last", other, "MetaWorldCollection.runs=(2,)")
    path = os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(KILLED_AT), *last],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not list((tmp_path / "last").glob("*"))
    assert list(other.glob("sac-*.partial/checkpoint.pt"))
    end = collected(tmp_path / "last", other, "MetaWorldCollection.runs=(2,)")
    whole = collected(tmp_path / "whole", own)
    merge([end, some], tmp_path / "joined")
    assert digests(tmp_path / "joined") == digests(whole)
    assert_runs_are_what_they_are_for(whole)


TWO = [
    f"MetaWorldCollection.seen_tasks=('{TASK}','reach')",
    "SACTraining.updates=4",
    "SACTraining.checkpoint_every=2",
    "SACTraining.first_steps=5",
    "SACTraining.episode_steps=5",
    "Selection.acceptance=0.5",
]


@pytest.mark.sim
def test_runs_that_do_not_get_there_stop_nothing_and_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one task every checkpoint is said to succeed, of the other none."""
    monkeypatch.setattr(harvest, "score", lambda task, *_: (float(task == TASK), 1.0))
    monkeypatch.setattr(harvest, "_TRIES", 1)  # policies of four updates give no prompts
    name = collected(tmp_path, tmp_path / "cache", *TWO)
    zoo = PolicyStore.open(f"{name}.policies.h5")
    assert zoo.tasks == (TASK,)
    assert set(zoo.route["unsolved"]) == {"reach"}
    assert set(zoo.route["unsolved"]["reach"]) == {"0", "1", "2"}
    card = name.with_suffix(".md").read_text()
    assert "reach, run 1: 0.00 at 5, 0.00 at 9, 0.00 at 13" in card
    assert "Of reach no run got there" in card


@pytest.mark.sim
def test_where_no_run_gets_there_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "score", lambda *_: (0.25, 1.0))
    done = CliRunner().invoke(app, command(tmp_path / "out", tmp_path / "cache", *TWO, "Selection.train_seeds=1"))
    assert done.exit_code == 2
    assert "No checkpoint of any run reaches a success rate of 0.5" in done.output
    assert "at best 0.25" in done.output
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.sim
def test_checkpoints_of_all_stages_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thirteen accepted ones of each run three are kept, of a training run the middle one for prompts."""
    monkeypatch.setattr(harvest, "score", lambda *_: (1.0, 1.0))
    monkeypatch.setattr(harvest, "_TRIES", 1)
    short = ["SACTraining.updates=12", "SACTraining.checkpoint_every=1", "SACTraining.first_steps=5"]
    short += ["SACTraining.episode_steps=5", "Selection.rule='spread'", "Selection.train_policies=2"]
    short += ["Selection.test_policies=3", "Selection.acceptance=0.5", "Selection.train_seeds=1"]
    name = collected(tmp_path, tmp_path / "cache", *short)
    meta = PolicyStore.open(f"{name}.policies.h5").meta(TASK)
    assert meta["seed"].tolist() == [0, 0, 0, 1, 1, 1]
    assert meta["split"].tolist() == ["train", "test", "train"] + ["test"] * 3
    assert meta["step"].tolist() == [5, 17, 29] * 2  # 0, 6 and 12 updates
    assert "of all stages of a run, evenly, checkpoints" in name.with_suffix(".md").read_text()


def digests(name: Path) -> list[str]:
    """Of both stores, after reading them whole."""
    stores = [PolicyStore.open(f"{name}.policies.h5"), TrajectoryStore.open(f"{name}.trajectories.h5")]
    assert [store.verify() for store in stores] == [[], []]
    return [store.digest for store in stores]


def assert_runs_are_what_they_are_for(name: Path) -> None:
    zoo, episodes = PolicyStore.open(f"{name}.policies.h5"), TrajectoryStore.open(f"{name}.trajectories.h5")
    meta = zoo.meta(TASK)
    assert meta["seed"].tolist() == [0, 0, 1, 1, 2]
    assert meta["split"].tolist() == ["test", "train"] * 2 + ["test"]
    assert meta["step"].tolist() == [1100, 1300, 1100, 1300, 1300]  # a sibling is an earlier checkpoint of its run
    assert rows_of(zoo, TASK, "unseen").tolist() == [4]
    params = zoo.read(TASK, zoo.rows(TASK))
    apart = np.sqrt(((params[[1, 1, 3]] - params[[3, 4, 4]]) ** 2).mean(1) / (params**2).mean())
    assert (apart > 1.0).all(), "runs share no start"
    assert np.sqrt(((params[0] - params[1]) ** 2).mean() / (params**2).mean()) < 0.5
    table = episodes.table(TASK)
    assert len(set(table["seed"].tolist())) == len(table["seed"]), "every prompt has a goal of its own"
    assert set(table["policy_row"][table["split"] == "test"].tolist()) == {0, 2, 4}
    assert set(table["policy_row"][table["split"] == "train"].tolist()) == {1, 3}

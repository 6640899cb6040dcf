"""EnvPool's own Meta-World, as its bench takes it to be: nox -s envpool."""

from __future__ import annotations

import json

import mujoco
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.envpool import PEER_ENVIRONMENTS, measure_task, offered_tasks, peer_id
from hyprepro.cli import app
from hyprepro.domains.metaworld.tasks import HORIZON, SEEN_TASKS, UNSEEN_TASKS

library = pytest.importorskip("envpool", reason="nox -s envpool")


def test_envpool_has_all_our_tasks() -> None:
    assert offered_tasks((), library.list_all_envs(), library.__version__) == ([*SEEN_TASKS, *UNSEEN_TASKS], [])


def test_an_episode_of_envpool_is_as_long_as_ours_so_no_reset_is_timed() -> None:
    pool = library.make_gymnasium(peer_id("reach"), num_envs=2, num_threads=1, seed=0, partially_observable=False)
    for _ in range(2):
        first = pool.reset()[0]
        assert first.shape == (2, 39)
        assert np.abs(first[:, 36:]).min(axis=1).tolist() != [0.0, 0.0], "the goal is shown"
        steps = [pool.step(np.zeros((2, 4), np.float32)) for _ in range(HORIZON)]
        ended = [bool((terminated | truncated).any()) for _, _, terminated, truncated, _ in steps]
        assert ended == [False] * (HORIZON - 1) + [True]
    pool.close()


def test_every_contestant_is_measured() -> None:
    speed = measure_task("reach", episodes=5, rounds=1)
    assert set(speed.peers) == set(PEER_ENVIRONMENTS)
    assert speed.peer == max(speed.peers.values())
    assert min(speed.ours, speed.rewards, speed.policy, *speed.peers.values()) > 100


def test_the_bench_says_that_the_simulators_differ() -> None:
    options = ["--envpool", "--task", "reach", "--episodes", "1", "--rounds", "1"]
    done = CliRunner().invoke(app, ["bench", "evaluation", *options, "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ratio"] == found["least_ratio"] == pytest.approx(found["ours"] / found["peer"], rel=1e-3)
    assert (found["lacking"], found["died"]) == ([], {})
    assert found["versions"]["mujoco"] == mujoco.__version__
    assert found["versions"]["envpool"] == library.__version__
    assert found["versions"]["envpool_mujoco"][0].isdigit()
    shown = CliRunner().invoke(app, ["bench", "evaluation", *options]).stdout
    assert f"MuJoCo {mujoco.__version__}" in shown
    assert f"its own MuJoCo {found['versions']['envpool_mujoco']}" in shown

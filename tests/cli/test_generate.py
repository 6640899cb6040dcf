"""`hyprepro generate` writes the policies that an evaluation ran, with their measured success."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hyprepro.stores.policy_store import PolicyStore
from hyprepro.stores.trajectory_store import TrajectoryStore

pytestmark = pytest.mark.sim


@pytest.fixture
def generate(hyprepro, tiny_stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Generates from the tiny stores at smoke scale: two prompts, one goal each."""
    monkeypatch.chdir(tmp_path)
    bindings = [
        f"DataSource.policies='{tiny_stores.policies}'",
        f"DataSource.trajectories='{tiny_stores.trajectories}'",
        "Recipe.methods=(@Expert(), @MSERegressor())",
        "Recipe.protocols=(@StrictProtocol(),)",
        "Recipe.prompts_per_task=2",
    ]
    options = [part for binding in bindings for part in ("-b", binding)]

    def invoke(*arguments: object):
        return hyprepro("generate", "table1", "--scale", "smoke", "--workers", 0, *options, *arguments)

    return invoke


def test_the_expert_row_is_each_prompts_own_policy(generate, tiny_stores, tmp_path: Path) -> None:
    outcome = generate("--method", "expert", "--out", tmp_path / "new.h5", "--json")
    assert outcome.json["policies"] == {"door-open": 2, "reach": 2}
    with (
        PolicyStore.open(tmp_path / "new.h5") as new,
        PolicyStore.open(tiny_stores.policies) as old,
        TrajectoryStore.open(tiny_stores.trajectories) as prompts,
    ):
        sources = [episode.policy_row for episode in prompts.episodes("reach", "test")][:2]
        np.testing.assert_array_equal(new.read("reach", np.arange(2)), old.read("reach", np.array(sources)))
        assert new.meta("reach")["episodes"].tolist() == [1, 1]
        assert new.route["method"] == "expert"
        assert new.verify() == []


def test_a_trained_method_for_one_task(generate, tmp_path: Path) -> None:
    outcome = generate("--method", "mse-regressor", "--task", "reach", "--out", tmp_path / "new.h5")
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout.split() == ["reach", "2", "policies"]


def test_mistakes_leave_no_file(generate, tmp_path: Path) -> None:
    out = tmp_path / "new.h5"
    assert "closest expert" in generate("--method", "exprt", "--out", out).assert_one_panel().words
    assert "closest reach" in generate("--method", "expert", "--task", "raech", "--out", out).assert_one_panel().words
    assert "seed 3" in generate("--method", "expert", "--seed", 3, "--out", out).assert_one_panel().words
    assert not out.exists()


def test_an_existing_file_is_left_alone(generate, tmp_path: Path) -> None:
    (tmp_path / "new.h5").write_text("mine")
    assert "exists already" in generate("--method", "expert", "--out", tmp_path / "new.h5").assert_one_panel().words
    assert (tmp_path / "new.h5").read_text() == "mine"

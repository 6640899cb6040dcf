"""`hyprepro generate` writes the policies that an evaluation ran, with their measured success."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hyprepro.stores.exchange.minari import export_minari
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStore
from tests.cheetah_stores import CheetahStores

pytestmark = pytest.mark.sim


@pytest.fixture
def generate(hyprepro, tiny_stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Generates from the tiny stores at smoke scale: two prompts, one goal each."""
    monkeypatch.chdir(tmp_path)
    bindings = [
        f"MetaWorld.policies='{tiny_stores.policies}'",
        f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
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


def test_the_store_says_what_it_was_made_from(hyprepro, generate, tiny_stores, tmp_path: Path) -> None:
    out = tmp_path / "new.h5"
    outcome = generate("--method", "expert", "--variant", "paper", "-b", "Recipe.seeds=2", "--out", out)
    assert outcome.code == 0, outcome.stderr
    assert "Recipe.seeds = 2; shipped: 1; at seeds" in outcome.stderr
    report = hyprepro("store", "info", out, "--json").json["route"]
    named = {name: report[name] for name in ("recipe", "scale", "variant", "method", "seed", "shipped")}
    assert named == {
        **{"recipe": "table1", "scale": "smoke", "variant": "paper", "method": "expert", "seed": 0},
        "shipped": "table1 --scale smoke --variant paper",
    }
    with PolicyStore.open(tiny_stores.policies) as policies, TrajectoryStore.open(tiny_stores.trajectories) as prompts:
        assert report["stores"] == {"policies": policies.digest, "trajectories": prompts.digest}
    shown = hyprepro("store", "info", out).stdout
    for words in (report["fingerprint"], *report["stores"].values(), "Recipe.seeds = 2; shipped: 1", "--variant paper"):
        assert words in shown
    generate("--method", "expert", "--variant", "paper", "-b", "Recipe.seeds=3", "--out", tmp_path / "other.h5")
    other = hyprepro("store", "info", tmp_path / "other.h5", "--json").json["route"]
    assert other["fingerprint"] != report["fingerprint"]


def test_a_store_with_an_origin_of_another_version_is_still_shown(hyprepro, tiny_stores, tmp_path: Path) -> None:
    with PolicyStore.open(tiny_stores.policies) as store:
        layout = store.layout
    for number, origin in enumerate(({}, {"changed": 3, "stores": []}, {"changed": [1], "recipe": None})):
        path = tmp_path / f"{number}.h5"
        PolicyStoreWriter(path, layout, {"route": "generated", **origin}).close()
        shown = hyprepro("store", "info", path)
        assert (shown.code, "recipe" in shown.stdout) == (0, True), shown.stderr


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


def test_policies_for_a_number_come_with_their_returns(hyprepro, cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    out, recipe = tmp_path / "new.h5", ["generate", "table4", "--scale", "smoke", "--workers", 0]
    chosen = ["-b", "Recipe.methods=(@Retrieval(),)", "-b", "Recipe.train=(10, 35)"]
    what = ["--method", "nearest-velocity", "--task", "velocity-1.200", "--out", out]
    outcome = hyprepro(*recipe, *what, *chosen, *cheetah_stores.bindings, "--cache", tmp_path / "cache")
    assert outcome.code == 0, outcome.stderr
    with PolicyStore.open(out) as new, PolicyStore.open(cheetah_stores.policies) as old:
        assert list(new.tasks) == ["velocity-1.200"]
        of_ten = old.read("velocity-1.050", [2])  # 1.125 and 1.275 m/s are of the 35, not of the 10
        assert np.array_equal(new.read("velocity-1.200", [0]), of_ten)
        meta = new.meta("velocity-1.200")
        assert np.isnan(meta["success"]).all()
        assert (meta["return"] < 0).all()


@pytest.fixture
def mine(tiny_stores, tmp_path: Path) -> Path:
    """A user's own file: the first test episode of reach."""
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        episode = next(store.episodes("reach", "test"))
    np.savez(
        tmp_path / "mine.npz",
        observations=episode.observations,
        actions=episode.actions,
        success=np.arange(len(episode.actions)) >= episode.success_step,
    )
    return tmp_path / "mine.npz"


def written(path: Path, task: str = "reach") -> np.ndarray:
    with PolicyStore.open(path) as store:
        return store.read(task, store.rows(task))


def test_a_prompt_of_ones_own_gives_what_the_stored_one_gives(generate, mine: Path, tmp_path: Path) -> None:
    stored, own = tmp_path / "stored.h5", tmp_path / "own.h5"
    generate("--method", "mse-regressor", "--task", "reach", "--out", stored)
    outcome = generate("--method", "mse-regressor", "--task", "reach", "--prompt", mine, "--out", own)
    assert (outcome.code, outcome.stdout.split()) == (0, ["reach", "1", "policies"]), outcome.stderr
    np.testing.assert_allclose(written(own)[0], written(stored)[0], rtol=1e-4, atol=1e-5)
    with PolicyStore.open(own) as store:
        assert store.meta("reach")["episodes"].tolist() == [1]
        assert (store.route["method"], store.verify()) == ("mse-regressor", [])


def test_prompts_of_all_kinds_at_once(
    generate, mine: Path, tiny_stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with TrajectoryStore.open(tiny_stores.trajectories) as store:
        export_minari(store, tmp_path / "sets", "validation")
    prompts = [part for each in (mine, "sets/reach-v0", tiny_stores.trajectories) for part in ("--prompt", each)]
    common = ("--method", "mse-regressor", "--json")
    outcome = generate(*common, "--task", "reach", *prompts, "--out", tmp_path / "new.h5")
    assert outcome.json["policies"] == {"reach": 1 + 4 + 5}, outcome.stderr
    unnamed = generate(*common, "--prompt", mine, "--out", tmp_path / "unnamed.h5")
    assert unnamed.json["policies"] == {"demonstration": 1}
    with PolicyStore.open(tmp_path / "unnamed.h5") as store:
        assert store.meta("demonstration")["episodes"].tolist() == [0]


def test_a_prompt_that_is_none_costs_no_training(generate, mine: Path, tmp_path: Path) -> None:
    content = dict(np.load(mine))
    bad, out = tmp_path / "bad.npz", tmp_path / "new.h5"
    common = ("--method", "mse-regressor", "--out", out)
    faults = {
        "it never succeeds": {"success": np.zeros(66, dtype=bool)},
        "fewer than 60 steps": {name: value[:50] for name, value in content.items()},
        "not finite": {"observations": np.full((67, 39), np.nan)},
        "expected [steps, 39]": {"observations": content["observations"][:, :17]},
        "Expected numbers": {"actions": np.array([None, {}], dtype=object)},
    }
    for words, changed in faults.items():
        np.savez(bad, **{**content, **changed})
        assert words in generate(*common, "--prompt", bad).assert_one_panel().words
    bad.write_bytes(mine.read_bytes()[:500])
    assert "damaged" in generate(*common, "--prompt", bad).assert_one_panel().words
    assert "no such file" in generate(*common, "--prompt", tmp_path / "none.npz").assert_one_panel().words
    misspelt = generate(*common, "--prompt", mine, "--task", "raech").assert_one_panel()
    assert "closest reach" in misspelt.words
    two = generate(*common, "--prompt", mine, "--task", "reach", "--task", "door-open").assert_one_panel()
    assert "at most one --task" in two.words
    number = generate(*common, "--parameter", 1.2).assert_one_panel()
    assert "shown a demonstration, and told no number" in number.words
    assert not out.exists()
    assert not (tmp_path / ".hyprepro").exists()


@pytest.fixture
def velocities(hyprepro, cheetah_stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Generates for Cheetah-Vel without any training: the policy of the nearest velocity."""
    monkeypatch.chdir(tmp_path)
    common = ["table4", "--scale", "smoke", "--workers", "0", "--method", "nearest-velocity", *cheetah_stores.bindings]

    def invoke(*arguments: object):
        return hyprepro("generate", *common, *arguments)

    return invoke


def test_any_velocity_by_its_number(velocities, mine: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.h5"
    outcome = velocities("--parameter", 1.23, "--parameter", 0.4, "--out", out, "--json")
    assert outcome.json["policies"] == {"velocity-1.230": 1, "velocity-0.400": 1}, outcome.stderr
    with PolicyStore.open(out) as store:
        assert store.meta("velocity-0.400")["episodes"].tolist() == [2]
    bad = ("--out", tmp_path / "bad.h5")
    assert "closest 3" in velocities("--parameter", 3.2, *bad).assert_one_panel().words
    assert "outside 0 to 3" in velocities("--parameter", "nan", *bad).assert_one_panel().words
    assert "shown no demonstration" in velocities("--prompt", mine, *bad).assert_one_panel().words
    both = velocities("--prompt", mine, "--parameter", 1, *bad).assert_one_panel()
    assert "--parameter X without one" in both.words
    assert not (tmp_path / "bad.h5").exists()


def test_a_task_that_the_method_refuses_is_left_out_and_named(hyprepro, shy: list[object], tmp_path: Path) -> None:
    command = ("generate", *shy, "--out")
    both = ("--task", "reach", "--task", "door-open")
    outcome = hyprepro(*command, tmp_path / "two.h5", *both)
    assert (outcome.code, outcome.stdout.split()) == (0, ["door-open", "2", "policies"]), outcome.stderr
    assert "Left out: reach, where shy cannot act: it does not reach." in outcome.stderr.splitlines()
    every = hyprepro(*command, tmp_path / "all.h5", "--json")
    assert every.json["policies"] == {"door-open": 2}, "of all tasks too"
    assert every.json["left_out"] == [{"tasks": ["reach"], "method": "shy", "why": "it does not reach"}]
    fine = hyprepro(*command, tmp_path / "one.h5", "--task", "door-open")
    assert (fine.code, "Left out" in fine.stderr) == (0, False)
    hyprepro(*command, tmp_path / "none.h5", "--task", "reach").assert_one_panel()

"""`hyprepro bench`: one object for programs, consistent in itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.adaptation import PEER, rows_of
from hyprepro.experiments.choice import choose
from hyprepro.gen_hyprl.adaptation import PromptAdaptation, RestartedAdaptation
from hyprepro.gen_hyprl.judges import ChosenAdaptation


def test_the_collector_bench_prints_one_consistent_object(hyprepro):
    options = ("--agents", 2, "--batch", 16, "--rounds", 2, "--seconds", 0.03)
    done = hyprepro("bench", "collector", "--json", "--variant", "64-wide", "--variant", "128-wide", *options)
    assert done.code == 0, done.stderr
    found = done.json
    assert {*found["variants"]} == {"64-wide", "128-wide"}
    assert found["ours"] == found["variants"]["64-wide"]["ours"]
    for name, each in found["variants"].items():
        assert each["ratio"] == pytest.approx(each["ours"] / each["peer"], rel=0.01)
        assert each["bound_share"] == pytest.approx(each["ours"] / each["bound"], rel=0.01)
        assert 0 < each["bound_share"] < 1
        assert (each["agents"], each["batch_size"], f"{each['hidden']}-wide") == (2, 16, name)
        assert {len(values) for values in each["rounds"].values()} == {2}
        inside = sum(value for part, value in each["parts"].items() if part != "simulator")
        assert inside == pytest.approx(1e6 / each["ours"], rel=0.01)


def test_the_multitask_bench_prints_one_consistent_object(hyprepro):
    options = ("--scale", "smoke", "--tasks", 3, "--rounds", 1, "--seconds", 0.02)
    done = hyprepro("bench", "multitask", "--json", "--method", "moore", "--method", "cagrad", *options)
    assert done.code == 0, done.stderr
    found = done.json
    assert {*found["methods"]} == {"moore", "cagrad"}
    assert found["ours"] == found["methods"]["moore"]["ours"]
    for each in found["methods"].values():
        assert each["times"] == pytest.approx(each["bound"] / each["ours"], rel=0.05)
        assert each["times"] > 0
        assert min(each["state_mb"], each["saved_mb"], each["parameters"]) > 0
    assert "moore" in hyprepro("bench", "multitask", "--method", "more").assert_one_panel().words


@pytest.mark.sim
def test_the_training_bench_prints_one_consistent_object(hyprepro):
    done = hyprepro("bench", "collector", "--training", "--agents", 2, "--rounds", 1, "--json")
    assert done.code == 0, done.stderr
    found = done.json
    assert found["agents"] == 2
    for name in ("ours", "bfloat16"):
        assert found[f"{name}_ratio"] == pytest.approx(found[name] / found["peer"], rel=0.01)


def test_the_adaptation_bench_tells_seconds_and_memory_of_each(hyprepro):
    done = hyprepro("bench", "adaptation", "--json", "--prompts", 1, "--rounds", 1)
    assert done.code == 0, done.stderr
    found = done.json
    for name in (found["peer"], "three starts", "warped demonstrations", "latents"):
        each = found[name]
        assert each["seconds"] > 0
        assert each["megabytes"] >= 0
        assert each["times"] == pytest.approx(each["seconds"] / found[found["peer"]]["seconds"], rel=0.05)


def test_the_adaptation_bench_knows_its_tasks(hyprepro):
    assert "reach-wall" in hyprepro("bench", "adaptation", "--task", "reach-wal").assert_one_panel().words


def test_the_adaptation_bench_takes_the_rows_of_a_recipe():
    _, fits = rows_of(choose("judges_a", "desktop"))
    assert isinstance(fits["judge: shown end"], ChosenAdaptation)  # ungated
    assert isinstance(fits["gen-hyprl"], RestartedAdaptation)
    assert fits[PEER] == PromptAdaptation()
    assert "make-an-agent" not in rows_of(choose("withheld_a", "desktop"))[1]  # nothing is fitted there


def test_the_adaptation_bench_knows_its_recipes(hyprepro):
    assert "judges_a" in hyprepro("bench", "adaptation", "--recipe", "judge_a").assert_one_panel().words
    for without in ("figure5", "table4"):
        words = hyprepro("bench", "adaptation", "--recipe", without).assert_one_panel().words
        assert f"No row of {without} fits policies to prompts" in words


@pytest.mark.parametrize("option", [("--variant", "64-wide"), ("--batch", 16)])
def test_the_training_bench_has_sizes_of_its_own(hyprepro, option):
    hyprepro("bench", "collector", "--training", *option).assert_one_panel()


def test_an_unknown_variant_is_one_panel(hyprepro):
    assert "128-wide" in hyprepro("bench", "collector", "--variant", "128").assert_one_panel().words


def test_an_impossible_number_of_agents_is_one_panel(hyprepro):
    hyprepro("bench", "collector", "--agents", 0).assert_one_panel()


def test_the_evaluation_bench_prints_its_share_of_bare_steps(hyprepro):
    tasks = ("reach", "door-lock")
    named = [word for task in tasks for word in ("--task", task)]
    done = hyprepro("bench", "evaluation", "--json", "--episodes", 1, "--rounds", 1, *named)
    assert done.code == 0, done.stderr
    found = done.json
    assert set(found["tasks"]) == set(tasks)
    for each in (found, *found["tasks"].values()):
        assert each["ratio"] == pytest.approx(each["ours"] / each["peer"], rel=0.01)
        assert each["bound_share"] == pytest.approx(each["ours"] / each["bound"], rel=0.01)
        assert 0.2 < each["bound_share"] < 1.3
    assert found["least_ratio"] == min(each["ratio"] for each in found["tasks"].values())
    assert found["least_ratio"] < found["ratio"] < max(each["ratio"] for each in found["tasks"].values())


def test_an_unknown_task_is_one_panel(hyprepro):
    assert "reach" in hyprepro("bench", "evaluation", "--task", "raech").assert_one_panel().words


def test_a_bench_against_envpool_says_what_to_install(hyprepro, monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    words = hyprepro("bench", "evaluation", "--envpool").assert_one_panel().words
    assert "EnvPool is not installed" in words
    assert "pip install 'hyprepro[envpool]'" in words
    assert "closest reach" in hyprepro("bench", "evaluation", "--envpool", "--task", "raech").assert_one_panel().words


def test_an_envpool_that_is_broken_is_one_panel_too(hyprepro, monkeypatch, tmp_path):
    (tmp_path / "envpool.py").write_text("import a_library_that_it_lacks\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "envpool", raising=False)
    assert "a_library_that_it_lacks" in hyprepro("bench", "evaluation", "--envpool").assert_one_panel().words


def test_the_generation_bench_prints_one_consistent_object(hyprepro):
    done = hyprepro("bench", "generation", "--json", "--scale", "smoke", "--prompts", 3, "--rounds", 2)
    assert done.code == 0, done.stderr
    found = done.json
    assert (found["name"], found["unit"], found["scale"], found["prompts"]) == ("generation", "policies/s", "smoke", 3)
    assert found["generator"] == "UNet1DGenerator"
    assert found["released"]["generator"] == "MLPUNetGenerator"
    for each in (found, found["released"]):
        assert each["ratio"] == pytest.approx(each["ours"] / each["peer"], rel=0.01)
        assert each["bound_share"] == pytest.approx(each["ours"] / each["bound"], rel=0.01)
        assert 0 < each["bound_share"] < 1.1
        assert set(each["further"]) == {"hyperzero", "hypogen"}
        assert min(each["further"].values()) > 0
        names = ("ours", "peer", "bound", *each["further"])
        assert {name: len(values) for name, values in each["rounds"].items()} == dict.fromkeys(names, 2)


def test_an_unknown_scale_is_one_panel(hyprepro):
    assert "desktop" in hyprepro("bench", "generation", "--scale", "desktp").assert_one_panel().words


def test_memory_of_random_batches_is_flat_as_the_store_grows(hyprepro):
    sizes = ("--policies", 10, "--factor", 1, "--factor", 100)
    done = hyprepro("bench", "store", "--json", *sizes, "--batch", 8, "--batches", 8, "--rounds", 5)
    assert done.code == 0, done.stderr
    found = done.json
    grown = found["policies_mb"]["100"] - found["policies_mb"]["1"]
    assert found["memory_mb"]["1"] > 20
    assert found["memory_mb"]["100"] - found["memory_mb"]["1"] < grown / 4
    assert found["ratio"] == pytest.approx(found["ours"] / found["peer"], rel=0.02)


@pytest.mark.sim
def test_the_learning_bench_writes_curves_of_both_trainers(hyprepro, tmp_path):
    options = ("--task", "reach", "--seeds", 2, "--updates", 2, "--points", 1, "--episodes", 1, "--workers", 0)
    done = hyprepro("bench", "learning", "--json", *options, "--cache", tmp_path / "cache", "--out", tmp_path / "out")
    assert done.code in (0, 1), done.stderr
    curves = done.json["tasks"]["reach"]
    assert curves["updates"] == [0, 2]
    for trainer in ("stacked", "stable-baselines3"):
        assert np.shape(curves[trainer]["seeds"]) == (2, 2)
        assert np.mean(curves[trainer]["seeds"], axis=0) == pytest.approx(curves[trainer]["mean"], abs=1e-3)
    assert done.code == (not done.json["overlaps"])
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"result.json", "learning.png", "learning.svg"}


def test_impossible_learning_is_one_panel(hyprepro):
    assert "reach" in hyprepro("bench", "learning", "--task", "raech").assert_one_panel().words
    hyprepro("bench", "learning", "--products", "float8").assert_one_panel()
    hyprepro("bench", "learning", "--updates", 3, "--points", 5).assert_one_panel()


def test_the_startup_bench_takes_turns_with_another_checkout(hyprepro):
    done = hyprepro("bench", "startup", "--against", Path(__file__).parents[2], "--rounds", 1, "--json")
    assert done.code == 0, done.stderr
    assert set(done.json["commands"]) == {"--help", "completion", "list", "run table1 --dry-run"}
    for each in done.json["commands"].values():
        assert each["ratio"] == pytest.approx(each["ours"] / each["peer"], rel=0.05)


def test_the_startup_bench_needs_a_checkout(hyprepro, tmp_path):
    assert "worktree" in hyprepro("bench", "startup", "--against", tmp_path).assert_one_panel().words

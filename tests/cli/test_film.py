"""`hyprepro film`: what is filmed is what is evaluated, of any domain, and mistakes leave no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyprepro.cli.film import Asked
from hyprepro.domains import camera
from hyprepro.domains.episodes import Episode, run_episodes
from hyprepro.errors import UserError
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.stores.policy_store import PolicyStore

pytestmark = pytest.mark.sim

SMALL = ("--width", 64, "--every", 100)


@pytest.fixture
def film(hyprepro, cheetah_stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Films Cheetah-Vel's synthetic policies at smoke scale."""
    monkeypatch.chdir(tmp_path)
    bindings = ["-b", "Recipe.methods=(@velocity/MSERegressor(), @Expert(), @Retrieval())", *cheetah_stores.bindings]

    def invoke(*arguments: object):
        return hyprepro("film", "table4", "--scale", "smoke", "--workers", 0, *bindings, *arguments)

    return invoke


def shown(path: Path) -> int:
    """Milliseconds of a GIF."""
    total = 0
    with Image.open(path) as film:
        for number in range(film.n_frames):
            film.seek(number)
            total += film.info["duration"]
    return total


@pytest.mark.usefixtures("renderer")
def test_experts_and_the_nearest_policies_are_filmed_without_training(film, cheetah_stores, tmp_path: Path) -> None:
    tasks, files = ("velocity-0.600", "velocity-1.800"), (tmp_path / "a.gif", tmp_path / "a.png")
    named = [word for task in tasks for word in ("--task", task)]
    outs = [word for file in files for word in ("--out", file)]
    outcome = film(*named, *outs, *SMALL, "--moments", 3, "--policy", 0, "--json")
    assert outcome.code == 0, outcome.stderr
    episodes = outcome.json["episodes"]
    assert [(each["task"], each["method"]) for each in episodes] == [
        (task, method) for task in tasks for method in ("expert", "nearest-velocity")
    ]
    domain = cheetah_stores.domain
    with PolicyStore.open(cheetah_stores.policies) as store:
        controllers = PolicyControllers(store.layout, store.read(tasks[1], [0]))
    start = domain.start("test", 0, tasks[1], 0)
    (expected,) = run_episodes(domain, tasks[1], controllers, [Episode(0, start)])
    assert episodes[2]["return"] == pytest.approx(expected.total)
    assert {each["steps"] for each in episodes} == {200}
    assert shown(files[0]) == 5000 * 3  # the steps 0, 100 and 200, five seconds each
    with Image.open(files[1]) as still:
        columns, rows = still.size[0] // 64, still.size[1] // (48 + 51)
    assert (columns, rows) == (3, 4)
    assert not (tmp_path / ".hyprepro" / "autoencoder").exists()


@pytest.mark.usefixtures("renderer")
def test_a_trained_method_stands_beside_them_and_is_trained_once(film, tmp_path: Path) -> None:
    common = ("--method", "mse-regressor", "--parameter", 1.234, *SMALL)
    first = film(*common, "--out", tmp_path / "a.png")
    assert first.code == 0, first.stderr
    assert "finished autoencoder" in first.stderr
    words = " ".join(first.stdout.split())
    assert "velocity 1.234 m/s expert none stored" in words
    assert "velocity 1.234 m/s mse-regressor step 200, return -" in words
    again = film(*common, "--alone", "--out", tmp_path / "b.png", "--json")
    assert [each["method"] for each in again.json["episodes"]] == ["mse-regressor"]
    assert "finished" not in again.stderr
    with Image.open(tmp_path / "b.png") as still:
        assert len(np.unique(np.asarray(still.convert("RGB")).reshape(-1, 3), axis=0)) > 20


@pytest.mark.usefixtures("renderer")
def test_meta_world_is_filmed_with_rewards_and_prompts(hyprepro, tiny_stores, tmp_path: Path) -> None:
    bindings = [
        f"MetaWorld.policies='{tiny_stores.policies}'",
        f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
        "Recipe.methods=(@Expert(), @Retrieval(), @AgreementRetrieval())",
        "Recipe.prompts_per_task=2",
    ]
    options = [part for binding in bindings for part in ("-b", binding)]
    common = ("film", "table1", "--scale", "smoke", *options, "--task", "reach", "--cache", tmp_path / "cache")
    out = tmp_path / "a.gif"
    outcome = hyprepro(*common, "--policy", 1, "--width", 64, "--every", 500, "--out", out)
    assert outcome.code == 0, outcome.stderr
    words = " ".join(outcome.stdout.split())
    for method in ("expert", "agreement-retrieval"):  # retrieval by embedding is trained, and nobody named it
        assert f"reach, prompt 1 {method} no success in 500 steps, return " in words
    assert shown(out) == 2 * 6250
    beyond = hyprepro(*common, "--policy", 2, "--out", tmp_path / "b.gif").assert_one_panel()
    assert "count from 0 to 1" in beyond.words
    assert not (tmp_path / "b.gif").exists()


def test_mistakes_are_refused_before_any_work(film, hyprepro, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "a.gif")
    assert "ends in .mp4, .gif" in film("--out", tmp_path / "a.avi").assert_one_panel().words
    assert "has no task 'reach'" in film("--task", "reach", *out).assert_one_panel().words
    assert "closest expert" in film("--method", "exprt", *out).assert_one_panel().words
    assert "closest track" in film("--camera", "trck", *out).assert_one_panel().words
    assert "closest 3" in film("--parameter", 3.5, *out).assert_one_panel().words
    assert "Say one of the two" in film("--parameter", 1, "--task", "x", *out).assert_one_panel().words
    assert "nobody to film" in film("--alone", *out).assert_one_panel().words
    assert "a film shows 64" in film("-b", "Recipe.sweep=True", *out).assert_one_panel().words
    assert "methods write policies" in hyprepro("film", "figure4", *out).assert_one_panel().words
    (tmp_path / "a.gif").write_text("mine")
    assert "exists already" in film(*out).assert_one_panel().words
    assert (tmp_path / "a.gif").read_text() == "mine"
    assert not (tmp_path / ".hyprepro").exists()


def test_without_a_renderer_it_says_what_to_install(film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "found_renderer", lambda: "")
    words = film("--method", "mse-regressor", "--out", tmp_path / "a.gif").assert_one_panel().words
    assert "apt-get install libosmesa6" in words
    assert not list(tmp_path.iterdir())


def test_a_task_that_a_row_cannot_act_in_is_left_out_or_refused(
    hyprepro, tiny_stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[tuple[str, str]]] = []

    def stop(shots: list[Asked], camera: str) -> None:
        asked.append([(each.stage.task, each.stage.method.name) for each in shots])
        raise UserError("So far.")

    monkeypatch.setattr("hyprepro.cli.film._check", stop)
    bindings = [
        f"MetaWorld.policies='{tiny_stores.policies}'",
        f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
        "Recipe.methods=(@MultiTaskSAC(), @Expert())",
        "SEEN=('door-open',)",
        "SEEN_BELOW=()",
        "UNSEEN=('reach',)",
        "Recipe.withheld=('reach',)",
        "Recipe.prompts_per_task=2",
    ]
    options = [part for binding in bindings for part in ("-b", binding)]
    common = ("multitask", "--scale", "smoke", *options, "--method", "mt-sac")
    film = ("film", *common, "--out", tmp_path / "a.gif")
    assert "So far" in hyprepro(*film).assert_one_panel().words
    assert asked == [[("door-open", "expert"), ("door-open", "mt-sac")]]
    refused = [(*film, "--task", "reach"), (*film, "--alone", "--task", "reach")]
    for words in (*refused, ("generate", *common, "--out", tmp_path / "a.h5", "--task", "reach")):
        said = hyprepro(*words).assert_one_panel().words
        assert "mt-sac cannot act in reach: it is told a task by its label" in said
        assert "Name a task that it has: door-open" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("renderer")
def test_a_task_that_a_row_refuses_is_left_out_of_the_film_and_named(
    hyprepro, shy: list[object], tmp_path: Path
) -> None:
    tasks, out = ("--task", "reach", "--task", "door-open"), tmp_path / "a.png"
    outcome = hyprepro("film", *shy, "--alone", *tasks, "--out", out, "--width", 64)
    assert outcome.code == 0, outcome.stderr
    assert "door-open, prompt 0" in outcome.stdout
    assert "reach" not in outcome.stdout
    assert "Left out: reach, where shy cannot act: it does not reach." in outcome.stderr.splitlines()
    assert out.exists()

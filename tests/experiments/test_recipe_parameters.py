"""Table 4 from the stores to the printed numbers, at smoke scale; and recipes that cannot be run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.domains.cheetah_vel.tasks import TEST_INDICES, velocity_grid
from hyprepro.domains.parameter import STARTS
from hyprepro.errors import UserError
from hyprepro.experiments.protocols import CommonStarts
from hyprepro.experiments.recipe import Recipe
from hyprepro.methods.base import Method
from hyprepro.methods.ceilings import Expert, Parent
from hyprepro.methods.retrieval import Retrieval
from hyprepro.reports.returns import ReturnTable
from hyprepro.stores.policy_store import PolicyStore, PolicyStoreWriter
from hyprepro.stores.trajectory_store import TrajectoryStore, TrajectoryStoreWriter
from tests.cheetah_stores import CheetahStores, velocity_task

pytestmark = pytest.mark.sim

TESTED = tuple(velocity_task(velocity_grid()[index]) for index in TEST_INDICES)
METHODS: tuple[Method, ...] = (Retrieval(row="gen-hyprl"), Expert())
Make = Callable[..., Recipe]


@pytest.fixture
def recipe(cheetah_stores: CheetahStores) -> Make:
    def make(**fields: Any) -> Recipe:
        settings: dict[str, Any] = {"methods": METHODS, "seeds": 2, "protocols": (CommonStarts(starts=3),), **fields}
        grid = {name: settings.pop(name) for name in ("first", "last") if name in settings}
        domain = cheetah_stores.domain.model_copy(update=grid)
        return Recipe(name="table4", title="Table 4", domain=domain, **settings)

    return make


def targets(recipe: Recipe) -> tuple[Any, ...]:
    return recipe.targets(recipe.data())


def test_the_evaluations(recipe: Make) -> None:
    found = targets(recipe(train=(35, 10)))
    assert [(each.method.label, each.n_train, each.task) for each in found] == [
        *(("retrieval", size, velocity) for size in (35, 10) for velocity in TESTED),
        *(("expert", None, velocity) for velocity in TESTED),
    ]
    assert {each.split for each in found} == {"test"}
    assert all(not set(each.data.trained()) & set(TESTED) for each in found)
    assert {stage.protocol for stage in found} == {CommonStarts(starts=3)}, "every method runs from the same starts"


def test_only_the_training_velocities_are_shown_to_a_method(recipe: Make) -> None:
    (stage, *_) = targets(recipe(train=(10,)))
    with PolicyStore.of(stage.data.policies) as store:
        assert len(store.training_tasks()) == 10


def test_withheld_velocities_are_tested_and_not_trained_on(recipe: Make) -> None:
    found = targets(recipe(withheld=(0.45, 1.5), train=(35,)))
    assert {each.task for each in found} == {"velocity-0.450", "velocity-1.500"}
    assert {each.split for each in found} == {"validation"}
    assert {each.n_train for each in found} == {33, None}
    starts = {trial.start for each in found for trial in each.trials(each.task, 1)}
    assert len(starts) == 6
    assert all(start.seed in STARTS["validation"] for start in starts)


def test_the_sweep_covers_the_grid(recipe: Make) -> None:
    found = targets(recipe(train=(10,), sweep=True))
    splits = [each.split for each in found if each.n_train]
    assert {split: splits.count(split) for split in ("test", "seen", "unseen")} == {"test": 5, "seen": 10, "unseen": 25}
    assert [each.split for each in found if not each.n_train].count("seen") == 35


@pytest.mark.parametrize(
    ("fields", "message", "where"),
    [
        ({"training": (0.45, 1.2, 1.5)}, r"contains velocity-1\.200, which is tested", "training"),
        ({"training": (0.45, -0.3)}, r"-0\.3 m/s lies outside 0 to 3", "training"),
        ({"training": (0.45, 3.5)}, r"3\.5 m/s lies outside 0 to 3", "training"),
        ({"training": (0.45, 1.51)}, r"1\.51 m/s is none of the 40 velocities", "training"),
        ({"training": (0.45, 0.45)}, "at least two tasks, each once", "training"),
        ({"withheld": (0.46,)}, r"0\.46 m/s is none of the 40", "withheld"),
        ({"withheld": (0.6,)}, "velocity-0.600 is for testing and cannot be withheld", "withheld"),
        ({"train": (40,)}, "40 training velocities", ""),
        ({"train": (10, 10)}, "each once", "train"),
        ({"first": -1.0}, "-1 m/s lies outside", ""),
        ({"first": 0.0}, r"no policies of velocity-0\.154", "velocity-0.154"),
        ({"methods": (*METHODS, *METHODS)}, "stands twice", "methods"),
    ],
)
def test_what_cannot_be_run(recipe: Make, fields: dict[str, Any], message: str, where: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        targets(recipe(**fields))
    assert where in error.value.where


def test_a_velocity_off_the_grid_names_the_nearest(recipe: Make) -> None:
    with pytest.raises(UserError) as error:
        targets(recipe(training=(0.45, 1.51)))
    assert error.value.closest == "1.5"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_table_4_at_smoke_scale(cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    line = ["--scale", "smoke", "--workers", 0, "--cache", tmp_path / "cache"]
    small = ["-b", "Recipe.train=(10,)", *cheetah_stores.bindings]
    outcome = invoke("run", "table4", *line, *small, "--out", tmp_path / "out")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.strip() == (tmp_path / "out/table.md").read_text().strip()
    result = json.loads((tmp_path / "out/result.json").read_text())
    averages = [r for r in result["rows"] if r["task"] is None and r["statistic"] == "mean"]
    assert {row["method"] for row in averages} >= {"gen-hyprl", "gen-hyprl-wo-hypformer", "expert", "velocity-cloning"}
    assert all(row["metric"] == "return" and row["split"] == "test" and row["value"] < 0 for row in averages)
    papers = {row["method"]: row["paper"] for row in averages if row["paper"] is not None}
    assert papers == {"gen-hyprl-wo-hypformer": -33.44}
    assert "| Gen-HypRL (w/o HypFormer) (10 seeds) |" in ReturnTable().side_by_side(result)
    again = invoke("run", "table4", *line, *small, "--out", tmp_path / "again", "--json")
    assert json.loads(again.stdout)["digest"] == result["digest"]
    assert json.loads(again.stdout)["provenance"]["stages_made"] == 0
    sweep = [*small, "-b", "Recipe.sweep=False"]
    swept = invoke("run", "velocities", *line, *sweep, "--out", tmp_path / "swept")
    assert swept.exit_code == 0, swept.output
    assert {path.name for path in (tmp_path / "swept").glob("velocities.*")} == {
        "velocities.csv",
        "velocities.png",
        "velocities.svg",
    }
    assert json.loads((tmp_path / "swept/result.json").read_text())["provenance"]["stages_made"] == 0, "all are shared"


def test_a_wrong_store_is_one_panel(tiny_stores: Any, cheetah_stores: CheetahStores, tmp_path: Path) -> None:
    binding = f"CheetahVel.policies='{tiny_stores.policies}'"
    out = tmp_path / "out"
    outcome = invoke("run", "table4", "--scale", "smoke", *cheetah_stores.bindings, "-b", binding, "--out", out)
    assert outcome.exit_code == 2
    assert "another layout" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not out.exists()


def test_the_parents_store_may_be_missing_where_nothing_needs_it(recipe: Make) -> None:
    mine = recipe(methods=(Expert(),))
    assert targets(mine.model_copy(update={"domain": mine.domain.model_copy(update={"parents": ""})}))


def test_a_parent_needs_its_store(recipe: Make) -> None:
    mine = recipe(methods=(Parent(),))
    without = mine.model_copy(update={"domain": mine.domain.model_copy(update={"parents": ""})})
    with pytest.raises(UserError, match="are not bound"):
        targets(without)


def one_context(stores: CheetahStores, folder: Path) -> list[str]:
    """Flags that bind stores of one training velocity, with one policy in all, beside those for testing."""
    kept = ("velocity-1.050", *TESTED)
    policies, trajectories = folder / "policies.h5", folder / "trajectories.h5"
    with PolicyStore.open(stores.policies) as old, PolicyStoreWriter(policies, old.layout, dict(old.route)) as new:
        for task in kept:
            split = "test" if task in TESTED else "train"
            new.append(task, old.read(task, [2]), 0, 1, math.nan, 1, -1.0, split)
        digest = new.close()
    with (
        TrajectoryStore.open(stores.trajectories) as old_episodes,
        TrajectoryStoreWriter(trajectories, {"route": "synthetic"}, digest, 17, 6) as episodes,
    ):
        for task in kept:
            for split in ("train", "validation", "test"):
                for each in old_episodes.episodes(task, split):
                    arrays = each.observations, each.actions, each.rewards
                    episodes.append(task, *arrays, -1, each.goal_seed, 0, split)
    places = {"policies": policies, "trajectories": trajectories, "parents": stores.parents}
    return [part for name, path in places.items() for part in ("-b", f"CheetahVel.{name}='{path}'")]


def test_one_training_context_with_one_policy_in_all_gives_a_whole_table(
    cheetah_stores: CheetahStores, tmp_path: Path
) -> None:
    """Nothing has a neighbour, a spread or a second policy to be held out."""
    out = tmp_path / "out"
    outcome = invoke(
        *("run", "hyperzero", "--scale", "smoke", *one_context(cheetah_stores, tmp_path), "-b", "Recipe.train=()"),
        *("-b", "Recipe.sweep=False", "--workers", "0", "--cache", tmp_path / "cache", "--out", out),
    )
    assert outcome.exit_code == 0, outcome.output
    rows = json.loads((out / "result.json").read_text())["rows"]
    names = {"gen-hyprl", "gen-hyprl-wo-hypformer", "hyperzero", "hypogen", "interpolation", "mean-policy", "expert"}
    assert names <= {row["method"] for row in rows if row["task"] in TESTED}
    assert all(math.isfinite(row["value"]) for row in rows)

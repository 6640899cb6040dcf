from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import STARTUP_SECONDS
from hyprepro.engine.schedule import Event
from hyprepro.errors import UserError
from hyprepro.experiments import run as pipeline
from hyprepro.experiments.protocols import PaperProtocol, StrictProtocol, ValidationProtocol
from hyprepro.experiments.recipe import Recipe
from hyprepro.experiments.run import plain_line, plan, results_folder, run_recipe
from hyprepro.experiments.told import training_seconds
from hyprepro.reports.records import read_records
from tests.conftest import TinyStores
from tests.engine.toy_stages import Chain
from tests.experiments.toy_methods import Shifted, Sources

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def recipe(tiny_stores: TinyStores) -> Recipe:
    return Recipe(
        name="table1",
        title="A toy table",
        seen=("door-open",),
        below=("reach",),
        scale="smoke",
        domain=tiny_stores.domain,
        methods=(Shifted(), Sources()),
        protocols=(PaperProtocol(env_seeds=(720,)), StrictProtocol(goals_per_policy=1)),
        seeds=2,
        prompts_per_task=2,
    )


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


@pytest.fixture(scope="module")
def once(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event], dict[str, Any]]:
    """One run: the folder of its cache and its result, its events, and what it returned."""
    folder = tmp_path_factory.mktemp("once")
    events: list[Event] = []
    result = run_recipe(recipe, folder / "out", ArtifactCache(folder / "cache"), 0, events.append, "Recipe.seeds = 2\n")
    return folder, events, result


@pytest.fixture
def finished(once: tuple[Path, list[Event], dict[str, Any]], tmp_path: Path) -> ArtifactCache:
    """A copy of the cache after that run; its result lies in tmp_path / "out"."""
    shutil.copytree(once[0], tmp_path, dirs_exist_ok=True)
    return ArtifactCache(tmp_path / "cache")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_plan_names_every_stage_once_after_its_inputs(recipe: Recipe, cache: ArtifactCache) -> None:
    planned = plan(recipe, cache)
    labels = [p.stage.label for p in planned.stages]
    assert labels.count("draw seed 0") == 1
    assert len(labels) == len(set(labels)) == 2 + (2 * 2 + 2) * 2  # draws; seeded and unseeded evaluations of two tasks
    for p in planned.stages:
        before = {q.stage.key for q in planned.stages[: planned.stages.index(p)]}
        assert {source.key for source in p.stage.inputs.values()} <= before
    assert {p.status for p in planned.stages} == {"to do"}
    assert not cache.root.exists()  # planning writes nothing


def test_the_expected_time_is_the_work_divided_or_the_longest_chain(recipe: Recipe, cache: ArtifactCache) -> None:
    planned = plan(recipe, cache)
    work = sum(p.seconds for p in planned.stages)
    seconds = {p.stage.key: p.seconds for p in planned.stages}
    chain = max(sum(seconds[s.key] for s in (p.stage, *p.stage.inputs.values())) for p in planned.stages)
    assert planned.expected_seconds(1) == pytest.approx(STARTUP_SECONDS + work)
    assert planned.expected_seconds(1000) == pytest.approx(STARTUP_SECONDS + chain)


def test_a_run_writes_the_records_of_every_method_task_protocol_and_seed(
    once: tuple[Path, list[Event], dict[str, Any]],
) -> None:
    folder, events, result = once
    records = read_records(folder / "out" / "records.csv.gz")
    cells = {(r.method, r.seed, r.task, r.protocol) for r in records}
    tasks, protocols = ("door-open", "reach"), ("paper", "strict")
    assert cells == {("gen-hyprl", s, t, p) for s in (0, 1) for t in tasks for p in protocols} | {
        ("expert", 0, t, p) for t in tasks for p in protocols
    }
    assert len(records) == len(cells) * 2
    assert {r.variant for r in records} == {"ours"}
    assert {r.split for r in records} == {"seen"}
    assert {e.kind for e in events} >= {"started", "finished"}
    assert result["provenance"]["stores"]["route"] == {"route": "synthetic"}
    assert result["provenance"]["stages_made"] == result["provenance"]["stages"] == 14
    assert result["provenance"]["stepper"] == "fast"
    assert result["rows"]
    assert (folder / "out" / "table.md").read_text()
    assert (folder / "out" / "operative_config.gin").read_text() == "Recipe.seeds = 2\n"


def test_a_second_run_makes_nothing_and_leaves_the_files_alone(
    recipe: Recipe, finished: ArtifactCache, tmp_path: Path, once: tuple[Path, list[Event], dict[str, Any]]
) -> None:
    before = contents(tmp_path / "out")
    events: list[Event] = []
    again = run_recipe(recipe, tmp_path / "out", finished, 0, events.append, "Recipe.seeds = 2\n")
    assert again == json.loads(json.dumps(once[2]))
    assert events == []
    assert contents(tmp_path / "out") == before
    assert {p.status for p in plan(recipe, finished).stages} == {"finished"}


def test_another_cache_and_worker_processes_give_the_same_digest(
    recipe: Recipe, cache: ArtifactCache, tmp_path: Path, once: tuple[Path, list[Event], dict[str, Any]]
) -> None:
    folder, _, one = once
    two = run_recipe(recipe, tmp_path / "out", cache, 2)
    assert one["digest"] == two["digest"]
    assert one["rows"] == two["rows"]
    assert (tmp_path / "out" / "records.csv.gz").read_bytes() == (folder / "out" / "records.csv.gz").read_bytes()


def test_changing_one_method_makes_only_what_follows_from_it(
    recipe: Recipe, finished: ArtifactCache, tmp_path: Path
) -> None:
    changed = recipe.model_copy(update={"methods": (Shifted(scale=0.02), Sources())})
    assert {p.stage.label.replace("rollouts ", "").split(" seed")[0] for p in plan(changed, finished).to_do} == {
        "draw",
        "gen-hyprl door-open",
        "gen-hyprl reach",
    }


def test_a_protocol_that_is_left_out_or_added_makes_no_other_anew(
    recipe: Recipe, finished: ArtifactCache, tmp_path: Path
) -> None:
    paper, strict = recipe.protocols
    assert plan(recipe.model_copy(update={"protocols": (strict,)}), finished).to_do == ()
    more = recipe.model_copy(update={"protocols": (paper, StrictProtocol(goals_per_policy=2))})
    assert {p.stage.label.rpartition(", ")[2] for p in plan(more, finished).to_do} == {"strict"}


def test_training_that_only_finished_evaluations_need_is_not_made_again(
    recipe: Recipe, finished: ArtifactCache, tmp_path: Path
) -> None:
    draw = next(p.stage for p in plan(recipe, finished).stages if p.stage.kind == "draw")
    (finished.path_of(draw) / "number.txt").unlink()
    statuses = {p.stage.label: p.status for p in plan(recipe, ArtifactCache(finished.root)).stages}
    assert statuses.pop(draw.label) == "not needed"
    assert set(statuses.values()) == {"finished"}


def test_a_task_without_prompts_is_named_with_the_closest(recipe: Recipe, cache: ArtifactCache) -> None:
    misspelt = recipe.model_copy(update={"seen": ("dor-open",)})
    with pytest.raises(UserError, match="dor-open") as caught:
        plan(misspelt, cache)
    assert caught.value.closest == "door-open"


def test_tasks_below_a_table_without_seen_tasks_are_refused(recipe: Recipe, cache: ArtifactCache) -> None:
    with pytest.raises(UserError, match="below has reach") as caught:
        plan(recipe.model_copy(update={"seen": (), "below": ("reach",)}), cache)
    assert "Recipe.seen=('reach',)" in caught.value.fix


@pytest.mark.parametrize(
    "values", [{"below": ("door-open",)}, {"seen": ("reach", "reach")}, {"methods": (Shifted(), Shifted(scale=0.1))}]
)
def test_what_stands_twice_is_refused(recipe: Recipe, cache: ArtifactCache, values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="stands twice"):
        plan(recipe.model_copy(update=values), cache)


def test_too_many_prompts_are_refused_before_any_work(recipe: Recipe, cache: ArtifactCache, tmp_path: Path) -> None:
    greedy = recipe.model_copy(update={"prompts_per_task": 50})
    with pytest.raises(UserError, match="5 test prompts of door-open") as caught:
        run_recipe(greedy, tmp_path / "out", cache, 0)
    assert "Recipe.prompts_per_task=5" in caught.value.fix
    assert not (tmp_path / "out").exists()
    assert not cache.root.exists()


def test_prompts_of_runs_that_the_store_does_not_have_are_refused_before_any_work(
    recipe: Recipe, cache: ArtifactCache
) -> None:
    """The tiny stores' test policies are of the runs that training policies are of."""
    with pytest.raises(UserError, match="no test prompts of door-open from runs that nothing is trained on"):
        plan(recipe.model_copy(update={"prompt_runs": "unseen"}), cache)
    assert plan(recipe.model_copy(update={"prompt_runs": "training"}), cache).to_do
    assert not cache.root.exists()


def test_another_kind_of_prompts_trains_nothing_again(recipe: Recipe, finished: ArtifactCache) -> None:
    todo = plan(recipe.model_copy(update={"prompt_runs": "training"}), finished).to_do
    assert {p.stage.kind for p in todo} == {"rollouts"}


def test_a_failing_method_leaves_the_earlier_result(recipe: Recipe, finished: ArtifactCache, tmp_path: Path) -> None:
    before = contents(tmp_path / "out")
    failing = recipe.model_copy(update={"methods": (Shifted(fails=True),)})
    with pytest.raises(UserError, match="cannot be deployed"):
        run_recipe(failing, tmp_path / "out", finished, 0)
    assert contents(tmp_path / "out") == before


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    recipe: Recipe, cache: ArtifactCache, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="A file stands where a folder is needed"):
        run_recipe(recipe, tmp_path / "file" / "out", cache, 0)
    assert not cache.root.exists()


def test_a_folder_without_permission_is_refused_before_any_work(
    recipe: Recipe, cache: ArtifactCache, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    user = os.geteuid()
    if user == 0:  # permissions do not bind root
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="This folder cannot be written to"):
            run_recipe(recipe, locked / "out", cache, 0)
    finally:
        os.seteuid(user)
    assert list(locked.iterdir()) == []
    assert not cache.root.exists()


def test_a_disk_that_fills_up_at_the_end_leaves_the_earlier_result(
    recipe: Recipe, finished: ArtifactCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(tmp_path / "out")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "results/records.csv.gz")

    monkeypatch.setattr(pipeline, "write_result", full)
    with pytest.raises(UserError, match="The disk is full"):
        run_recipe(recipe, tmp_path / "out", finished, 0)
    assert contents(tmp_path / "out") == before


def test_results_of_other_scales_variants_and_bindings_have_folders_of_their_own(recipe: Recipe) -> None:
    root = Path("results")
    paper = recipe.model_copy(update={"variant": "paper"})
    more = recipe.model_copy(update={"seeds": 3})
    assert results_folder(root, recipe) == root / "table1" / "smoke"
    assert results_folder(root, paper) == root / "table1" / "smoke-paper"
    custom = results_folder(root, recipe, is_custom=True)
    assert custom.name == f"smoke-custom-{recipe.fingerprint()[:8]}"
    assert results_folder(root, more, is_custom=True) != custom
    assert results_folder(root, paper, is_custom=True).name.startswith("smoke-paper-custom-")


@pytest.mark.parametrize(
    "values",
    [{"name": "../up"}, {"scale": "a/b"}, {"variant": ".."}, {"seeds": 0}, {"tasks": ()}, {"prompts_per_task": 0}],
)
def test_values_that_make_no_sense_are_refused(recipe: Recipe, values: dict[str, Any]) -> None:
    fields = {name: getattr(recipe, name) for name in Recipe.model_fields}
    with pytest.raises(ValidationError):
        Recipe(**{**fields, **values})


def test_plain_lines_say_what_happens() -> None:
    stage = Chain(name="x")
    assert plain_line(Event("started", stage, 0, 3)) == "[0/3] started chain x"
    assert plain_line(Event("waiting", stage, 0, 3)).endswith("another run is making it")
    line = plain_line(Event("progress", stage, 1, 3, 10, 100, {"loss": 0.12345}))
    assert line == "[1/3] progress chain x 10/100 loss 0.1235"


def test_a_recipe_without_tasks_is_refused(recipe: Recipe, cache: ArtifactCache) -> None:
    with pytest.raises(UserError, match="no tasks"):
        plan(recipe.model_copy(update={"seen": (), "below": ()}), cache)


def test_a_method_stands_twice_under_two_names(recipe: Recipe, cache: ArtifactCache) -> None:
    two = recipe.model_copy(update={"methods": (Shifted(), Shifted(scale=0.1, row="far"))})
    assert {stage.method.name for stage in plan(two, cache).rollouts} == {"gen-hyprl", "far"}


def test_picking_top_k_is_an_evaluation_of_its_own(recipe: Recipe, cache: ArtifactCache) -> None:
    before = {stage.key for stage in plan(recipe, cache).rollouts}
    picking = recipe.model_copy(update={"selection": ValidationProtocol(goals=1)})
    added = [stage for stage in plan(picking, cache).rollouts if stage.key not in before]
    assert {stage.method.name for stage in added} == {"gen-hyprl"}, "the other row is not among `selected`"
    assert len(added) == 4, "two seeds, two tasks"


def test_unseen_tasks_have_rows_of_their_own_split(recipe: Recipe, cache: ArtifactCache, tmp_path: Path) -> None:
    both = recipe.model_copy(update={"below": (), "unseen": ("reach",), "methods": (Sources(),)})
    rows = run_recipe(both, tmp_path / "out", cache, 0)["rows"]
    assert {(row["split"], row["task"]) for row in rows} == {
        ("seen", "door-open"), ("seen", None), ("unseen", "reach"), ("unseen", None),
    }  # fmt: skip


def test_withheld_tasks_count_as_unseen_and_in_the_keys(recipe: Recipe, cache: ArtifactCache) -> None:
    without = recipe.model_copy(update={"withheld": ("reach",)})
    with without.data().open_policies() as store:
        assert store.training_tasks() == ["door-open"]
        assert len(store.rows("reach")) > 0, "its policies are still there, as ceilings"
    withheld = plan(without, cache).rollouts
    assert not {stage.key for stage in withheld} & {stage.key for stage in plan(recipe, cache).rollouts}


def test_a_task_to_withhold_must_be_in_the_store(recipe: Recipe) -> None:
    with pytest.raises(UserError, match="no task 'raech'") as caught:
        recipe.model_copy(update={"withheld": ("raech",)}).data()
    assert caught.value.closest == "reach"


def test_a_result_says_what_the_training_of_a_seed_took(
    recipe: Recipe, finished: ArtifactCache, once: tuple[Path, list[Event], dict[str, Any]]
) -> None:
    stages = [planned.stage for planned in plan(recipe, finished).stages if planned.stage.kind == "draw"]
    seconds = [finished.manifest(stage)["seconds"] for stage in stages]
    assert len(seconds) == recipe.seeds
    took = {name: method["training_seconds"] for name, method in once[2]["methods"].items()}
    assert took == {"gen-hyprl": round(sum(seconds) / 2, 1), "expert": 0.0}


def test_the_training_time_of_a_stage_that_is_gone_is_unknown(recipe: Recipe, finished: ArtifactCache) -> None:
    drawn = next(planned.stage for planned in plan(recipe, finished).stages if planned.stage.kind == "draw")
    shutil.rmtree(finished.path_of(drawn))
    rollouts = plan(recipe, finished).rollouts
    assert training_seconds("gen-hyprl", rollouts, finished) is None
    assert training_seconds("expert", rollouts, finished) == 0.0

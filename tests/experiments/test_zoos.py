"""Zoos in a recipe: whose stages are asked for, how records and numbers are told apart, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.engine.cache import ArtifactCache
from hyprepro.errors import UserError
from hyprepro.experiments.protocols import StrictProtocol
from hyprepro.experiments.recipe import Recipe
from hyprepro.experiments.run import plan
from hyprepro.experiments.zoos import Zoo
from hyprepro.methods.ceilings import Expert
from hyprepro.methods.gen_hyprl import GenHypRL
from hyprepro.methods.retrieval import MeanPolicy
from hyprepro.reports.reading import read_result, stores_of
from hyprepro.reports.records import read_records
from hyprepro.reports.report import report_of
from hyprepro.reports.table1 import TaskTable
from hyprepro.reports.zoo_table import ZooTable
from tests.cheetah_stores import CheetahStores
from tests.conftest import TinyStores
from tests.experiments.zoo_stores import TASKS, bound, flags, two_kinds

BOTH = ("training", "unseen")
METHODS = (GenHypRL(row="three stages", adaptation=None), MeanPolicy(), Expert())


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> TinyStores:
    return two_kinds(tmp_path_factory.mktemp("independent"))


@pytest.fixture(scope="module")
def zoos(tiny_stores: TinyStores, independent: TinyStores) -> tuple[Zoo, ...]:
    return (
        Zoo(name="parent", domain=tiny_stores.domain),
        Zoo(name="independent", domain=independent.domain, prompt_runs=BOTH),
    )


@pytest.fixture(scope="module")
def recipe(tiny_stores: TinyStores, zoos: tuple[Zoo, ...]) -> Recipe:
    return Recipe(
        name="zoos", title="Toy zoos", domain=tiny_stores.domain, zoos=zoos, seen=("door-open",), unseen=("reach",),
        methods=METHODS, protocols=(StrictProtocol(),), seeds=1, prompts_per_task=2, reference="three stages",
        report=ZooTable(), pairs=(("mean-policy", "expert"),),
    )  # fmt: skip


def keys(recipe: Recipe, tmp_path: Path) -> set[str]:
    return {planned.stage.key for planned in plan(recipe, ArtifactCache(tmp_path)).stages}


def test_a_zoos_stages_are_those_of_a_recipe_on_its_domain(
    recipe: Recipe, tiny_stores: TinyStores, independent: TinyStores, tmp_path: Path
) -> None:
    alone = [
        recipe.model_copy(update={"zoos": (), "domain": stores.domain, "prompt_runs": runs, "unseen": unseen})
        for stores, runs, unseen in (
            (tiny_stores, None, ("reach",)),
            (independent, "training", ()),  # of unseen tasks no run is trained on
            (independent, "unseen", ("reach",)),
        )
    ]
    assert keys(recipe, tmp_path) == set().union(*(keys(each, tmp_path) for each in alone))


def test_both_kinds_of_prompts_share_their_training(recipe: Recipe, zoos: tuple[Zoo, ...], tmp_path: Path) -> None:
    planned = plan(recipe.model_copy(update={"zoos": zoos[1:]}), ArtifactCache(tmp_path))
    kinds = [each.stage.kind for each in planned.stages]
    assert kinds.count("hyplatent") == 1
    assert kinds.count("rollouts") == 3 * (1 + 2), "three methods; only of the seen task prompts of training runs"


def test_a_restricted_zoo_trains_on_what_it_keeps_and_shows_the_same_prompts(
    recipe: Recipe, independent: TinyStores, tmp_path: Path
) -> None:
    def of(**part: int) -> Recipe:
        zoo = Zoo(name="part", domain=independent.domain, prompt_runs=("unseen",), **part)
        return recipe.model_copy(update={"zoos": (zoo,)})

    (whole,), (one,) = of().sources(), of(runs=1, policies=2).sources()
    with one.open_policies() as store:
        assert store.rows("reach", "train").tolist() == [2, 4], "the last two of the first run"
    assert one.prompt_ids("reach", "test").tolist() == whole.prompt_ids("reach", "test").tolist()
    assert keys(of(), tmp_path) == keys(of(runs=2), tmp_path) == keys(of(runs=2, policies=6), tmp_path)
    assert not keys(of(runs=1, policies=2), tmp_path) & keys(of(runs=2, policies=2), tmp_path)


def test_a_zoo_may_go_without_a_task(recipe: Recipe, zoos: tuple[Zoo, ...], tmp_path: Path) -> None:
    scratch = zoos[0].model_copy(update={"name": "scratch", "without": ("reach",)})
    planned = plan(recipe.model_copy(update={"zoos": (zoos[0], scratch)}), ArtifactCache(tmp_path))
    found = {(each.data.zoo, each.task) for each in planned.rollouts}
    assert found == {("parent", "door-open"), ("parent", "reach"), ("scratch", "door-open")}


Edit = Callable[[tuple[Zoo, ...]], dict[str, Any]]


def changed(zoo: Zoo, **update: Any) -> Zoo:
    return zoo.model_copy(update=update)


@pytest.mark.parametrize(
    ("edit", "what", "fix"),
    [
        (lambda zoos: {"zoos": (zoos[0], changed(zoos[1], name="parent"))}, "Two zoos are named parent", "Zoo.name"),
        (lambda zoos: {"zoos": (changed(zoos[1], prompt_runs=("unseen", "unseen")),)}, "stands twice", "each once"),
        (
            lambda zoos: {"zoos": (changed(zoos[0], prompt_runs=("unseen",)),)},
            "no test prompts of door-open from runs that nothing is trained on",
            "parent/Zoo.prompt_runs=('training',)",
        ),
        (
            lambda zoos: {"zoos": (changed(zoos[1], prompt_runs=()),)},
            "two kinds of test prompts of door-open",
            "independent/Zoo.prompt_runs=('unseen',)",
        ),
        (lambda zoos: {"zoos": (changed(zoos[1], runs=3),)}, "2 training runs, and 3 are asked for", "Zoo.runs = 2"),
        (lambda zoos: {"zoos": (changed(zoos[0], without=("hamer",)),)}, "'hamer', which is no task", "leave it out"),
        (lambda zoos: {"zoos": (changed(zoos[0], without=("reach", "door-open")),)}, "no tasks", "door-open"),
        (lambda zoos: {"seen": ("hammer",)}, "no prompts of the task 'hammer'", "parent/Zoo.without=('hammer',)"),
        (lambda zoos: {"prompts_per_task": 9}, "5 test prompts of door-open, and 9", "Recipe.prompts_per_task=5"),
        (lambda zoos: {"report": TaskTable()}, "TaskTable shows one zoo", "ZooTable"),
        (lambda zoos: {"pairs": (("mean-polcy", "expert"),)}, "compares 'mean-polcy'", "mean-policy"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(
    recipe: Recipe, zoos: tuple[Zoo, ...], tmp_path: Path, edit: Edit, what: str, fix: str
) -> None:
    with pytest.raises(UserError, match=what) as caught:
        plan(recipe.model_copy(update=edit(zoos)), ArtifactCache(tmp_path / "cache"))
    assert fix in caught.value.fix
    assert not (tmp_path / "cache").exists()


def test_missing_stores_are_told_with_the_command_that_makes_them(recipe: Recipe, zoos: tuple[Zoo, ...]) -> None:
    missing = changed(zoos[1].domain, policies="none/metaworld-scratch.policies.h5")
    with pytest.raises(UserError, match="no store") as caught:
        recipe.model_copy(update={"zoos": (changed(zoos[1], domain=missing),)}).sources()
    assert caught.value.fix.startswith("hyprepro collect metaworld-scratch makes it")
    assert caught.value.where.startswith("the zoo independent: MetaWorld.policies")


def test_a_zoo_of_another_domain_is_refused(recipe: Recipe, cheetah_stores: CheetahStores) -> None:
    other = Zoo(name="cheetah", domain=cheetah_stores.domain)
    with pytest.raises(UserError, match="The zoo cheetah is of Cheetah-Vel, and the recipe of Meta-World"):
        recipe.model_copy(update={"zoos": (other,)}).sources()


def test_a_seen_task_that_a_zoo_does_not_train_on_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="The zoo parent has no training policies of door-open") as caught:
        plan(recipe.model_copy(update={"withheld": ("door-open",)}), ArtifactCache(tmp_path))
    assert "parent/Zoo.without=('door-open',)" in caught.value.fix


# The shipped recipes on tiny stores.

FEW = [
    *TASKS,
    "Recipe.methods=(@stages/GenHypRL(), @MakeAnAgent(), @MeanPolicy(), @Expert())",
    "Recipe.pairs=(('make-an-agent', 'mean-policy'), ('three stages', 'make-an-agent'))",
    "Recipe.protocols=(@StrictProtocol(),)",
    "Recipe.prompts_per_task=2",
]


@pytest.fixture(scope="module")
def ran(
    tiny_stores: TinyStores, independent: TinyStores, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The folder of a smoke run of `zoos` with some of its rows, and the command line's words after `run`."""
    folder = tmp_path_factory.mktemp("zoos")
    words = ["zoos", "--scale", "smoke", *flags([*bound(independent, tiny_stores), *FEW])]
    words += ["--workers", "0", "--cache", str(folder / "cache")]
    outcome = CliRunner().invoke(app, ["run", *words, "--out", str(folder / "out")])
    assert outcome.exit_code == 0, outcome.output
    return folder / "out", words


@pytest.mark.sim
@pytest.mark.long
def test_records_rows_and_comparisons_are_told_apart_by_zoo_and_kind_of_prompts(ran: tuple[Path, list[str]]) -> None:
    folder, _ = ran
    result, columns = read_result(folder / "result.json"), {"parent", "independent/training", "independent/unseen"}
    records = read_records(folder / "records.csv.gz")
    assert {record.zoo for record in records} == columns
    assert {row["zoo"] for row in result["rows"]} == columns
    assert {row["zoo"] for row in result["rows"] if row["split"] == "unseen"} == columns - {"independent/training"}
    pairs = {(row["method"], row["minus"]) for row in result["comparisons"]}
    assert ("make-an-agent", "mean-policy") in pairs
    assert {minus for method, minus in pairs if method == "three stages"} == {"make-an-agent", "mean-policy", "expert"}
    assert {row["zoo"] for row in result["comparisons"]} == columns
    stores = stores_of(result["provenance"])
    assert [(zoo, each["prompts"], each["training_runs"]) for zoo, each in stores.items()] == [
        ("parent", ["training"], [2, 2]),
        ("independent/training", ["training"], [2, 2]),
        ("independent/unseen", ["unseen"], [2, 2]),
    ]
    assert all(len(each["policies"]) == len(each["trajectories"]) == 64 for each in stores.values())
    assert set(result["methods"]["three stages"]["training_seconds_by_zoo"]) == columns


@pytest.mark.sim
@pytest.mark.long
def test_the_page_follows_from_the_result_and_the_commands_take_it(ran: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, words = ran
    result = read_result(folder / "result.json")
    page = (folder / "table.md").read_text()
    assert page == report_of(result).page(result)
    assert max(map(len, page.splitlines())) <= 120
    again = CliRunner().invoke(app, ["run", *words, "--dry-run"])
    assert "0 stages to do" in again.output
    operative = ["run", str(folder / "operative_config.gin"), "--dry-run", "--json", "--cache", words[-1]]
    dry = json.loads(CliRunner().invoke(app, operative).stdout)
    assert {stage["status"] for stage in dry["stages"]} == {"finished"}
    mine = tmp_path / "mine.gin"
    mine.write_text((folder / "operative_config.gin").read_text())
    scale = ["--scale", str(tmp_path / "smoke.gin")]
    (tmp_path / "smoke.gin").write_text("# Nothing.\n")
    checked = ["check", str(mine), *scale, "--committed", str(folder), "--workers", "0", "--cache", words[-1]]
    outcome = CliRunner().invoke(app, checked)
    assert outcome.exit_code == 0, outcome.output
    same = CliRunner().invoke(app, ["diff", str(folder), str(folder), "--json"])
    assert json.loads(same.stdout) == {"settings": [], "rows": []}
    own = ["run", str(mine), *scale, "--out", str(tmp_path / "own"), "--workers", "0", "--cache", words[-1]]
    mine.write_text(mine.read_text().replace("Recipe.name = 'zoos'", "Recipe.name = 'mine'"))
    assert CliRunner().invoke(app, own).exit_code == 0
    adopted = CliRunner().invoke(app, ["adopt", str(tmp_path / "own"), "--into", str(tmp_path / "results"), "--json"])
    assert json.loads(adopted.stdout)["changed"] == 0


@pytest.mark.sim
@pytest.mark.long
def test_how_many_runs_as_a_figure(independent: TinyStores, tmp_path: Path) -> None:
    bindings = [*bound(independent), "SEEN=('door-open',)", "Recipe.withheld=()", "Recipe.prompts_per_task=1"]
    bindings += ["Recipe.zoos=(@independent/one6/Zoo(), @independent/two10/Zoo())"]
    bindings += ["independent/one6/Zoo.policies=2", "independent/two10/Zoo.policies=2"]
    bindings += ["Recipe.methods=(@bare/MSERegressor(), @bare/told/MSERegressor(), @MeanPolicy())"]
    bindings += ["Recipe.pairs=(('mse-regressor, told the run', 'mse-regressor'),)", "Recipe.reference='mean-policy'"]
    words = ["run", "runs", "--scale", "smoke", *flags(bindings), "--workers", "0", "--cache", str(tmp_path / "cache")]
    outcome = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    lines = (tmp_path / "out" / "runs.csv").read_text().splitlines()
    assert [line.split(",")[:6] for line in lines[1:]] == [
        ["seen", "strict", method, told, runs, "2"]
        for method, told in (("mse-regressor", "0"), ("mse-regressor", "1"), ("mean-policy", "0"))
        for runs in ("1", "2")
    ]
    assert (tmp_path / "out" / "runs-seen.svg").exists()

"""The recipes of Figures 4 and 5 from the command line on tiny stores: run, check, generate, and drawing again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hyprepro.reports.figures import canvas
from tests.reports.synthetic import make_result

pytestmark = pytest.mark.sim

FIVE = [
    "Recipe.seen=('door-open',)",
    "Recipe.unseen=('reach',)",
    "Recipe.prompts_per_task=1",
    "Recipe.methods=(@tokens8/GenHypRL(), @tokens512/GenHypRL())",
    "Recipe.protocols=(@StrictProtocol(),)",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_stores) -> Path:
    """A working folder with a recipe of each kind, on the tiny stores, and in time their cache and results."""
    folder = tmp_path_factory.mktemp("figures")
    stores = f"MetaWorld.policies = '{tiny_stores.policies}'\nMetaWorld.trajectories = '{tiny_stores.trajectories}'\n"
    (folder / "four.gin").write_text(f"include 'recipes/figure4.gin'\n{stores}")
    five = "\n".join(binding.replace("=", " = ", 1) for binding in FIVE)
    (folder / "five.gin").write_text(f"include 'recipes/figure5.gin'\n{stores}{five}\n")
    (folder / "tiny.gin").write_text("include 'scales/smoke.gin'\n")
    return folder


@pytest.fixture
def run(hyprepro, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Runs a command on a recipe at a scale that changes nothing of it."""
    monkeypatch.chdir(folder)

    def invoke(command: str, recipe: str, *arguments: object):
        common = ["--workers", 0, "--cache", folder / "cache"] if command in ("run", "check") else []
        return hyprepro(command, recipe, "--scale", "tiny.gin", *common, *arguments)

    return invoke


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def made(run: Callable, recipe: str, folder: Path) -> Path:
    out = folder / recipe.removesuffix(".gin")
    if not out.exists():
        outcome = run("run", recipe, "--out", out)
        assert outcome.code == 0, outcome.stderr
        assert outcome.stdout.strip() == (out / "table.md").read_text().strip()
    return out


COMMON = {"result.json", "table.md", "operative_config.gin", "config.json"}


def test_figure4(run, folder: Path) -> None:
    out = made(run, "four.gin", folder)
    assert set(written(out)) == COMMON | {"figure4.png", "figure4.svg", "latents.csv.gz"}
    result = json.loads((out / "result.json").read_text())
    assert {row["metric"] for row in result["rows"]} == {"latent_distance"}
    assert {row["task"] for row in result["rows"]} == {"door-open", "reach", None}
    again = run("run", "four.gin", "--out", folder / "again", "--json").json
    assert again["digest"] == result["digest"]
    assert again["provenance"]["stages_made"] == 0


def test_figure5(run, folder: Path) -> None:
    out = made(run, "five.gin", folder)
    assert set(written(out)) == COMMON | {"figure5.png", "figure5.svg", "figure5.csv", "records.csv.gz"}
    lines = (out / "figure5.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:3] for line in lines] == [
        [split, "strict", tokens] for split in ("seen", "unseen") for tokens in ("8", "512")
    ]


@pytest.mark.parametrize("recipe", ["four.gin", "five.gin"])
def test_check_holds_a_fresh_run_against_the_committed_one(run, folder: Path, recipe: str) -> None:
    out = made(run, recipe, folder)
    outcome = run("check", recipe, "--committed", out / "result.json")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    moved = json.loads((out / "result.json").read_text())
    for row in moved["rows"]:
        row.update(value=row["value"] + 9.0, ci95=[end + 9.0 for end in row["ci95"]])
    (folder / "moved.json").write_text(json.dumps(moved))
    assert run("check", recipe, "--committed", folder / "moved.json").code == 1


@pytest.mark.parametrize("recipe", ["four.gin", "five.gin"])
def test_a_result_is_drawn_again_without_a_run(hyprepro, run, folder: Path, tmp_path: Path, recipe: str) -> None:
    out = made(run, recipe, folder)
    for source in (out, out / "result.json"):
        assert hyprepro("figure", source, "--out", tmp_path / "drawn").code == 0
    drawn = written(tmp_path / "drawn")
    assert drawn
    assert drawn.items() <= written(out).items()


def test_a_recipe_draws_its_committed_result_in_another_size(run, folder: Path, tmp_path: Path) -> None:
    committed = folder / "results" / "figure4"
    result = made(run, "four.gin", folder)
    committed.mkdir(parents=True, exist_ok=True)
    if not (committed / "tiny").exists():
        (committed / "tiny").symlink_to(result)
    outcome = run("figure", "four.gin", "-b", "LatentsFigure.width=4.0", "--out", tmp_path, "--json")
    assert outcome.code == 0, outcome.stderr
    assert len(outcome.json["files"]) == 2
    assert written(tmp_path)["figure4.png"] != written(result)["figure4.png"]
    words = run("figure", "four.gin", "-b", "LatentRecipe.components=2", "--out", tmp_path).assert_one_panel().words
    assert "another LatentRecipe.components" in words


def test_a_table_draws_no_figures(hyprepro, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(make_result()))
    out = tmp_path / "out"
    assert "draws no figures" in hyprepro("figure", tmp_path, "--out", out).assert_one_panel().words
    assert not out.exists()


def test_bindings_do_not_go_with_a_result(hyprepro, run, folder: Path, tmp_path: Path) -> None:
    words = hyprepro("figure", folder, "-b", "LatentsFigure.seed=1", "--out", tmp_path).assert_one_panel().words
    assert "drawn as it says itself" in words


def test_without_matplotlib_nothing_is_begun(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas.importlib.util, "find_spec", lambda name: None)
    words = run("run", "five.gin", "--out", folder / "never").assert_one_panel().words
    assert "hyprepro[plot]" in words
    assert not (folder / "never").exists()


@pytest.mark.parametrize(
    ("recipe", "binding", "says"),
    [
        ("four.gin", "LatentRecipe.tasks=('door-opne',)", "closest door-open"),
        ("four.gin", "LatentRecipe.methods=(@Expert(),)", "LatentRecipe.methods"),
        ("four.gin", "Recipe.seeds=2", "closest LatentRecipe"),
        ("five.gin", "tokens8/GenHypRL.candidates=0", "an integer or None, at least 1, not 0"),
        ("five.gin", "tokens9/GenHypRL.candidates=9", "closest tokens8/GenHypRL.candidates"),
    ],
)
def test_mistakes_are_one_panel(run, folder: Path, recipe: str, binding: str, says: str) -> None:
    assert says in run("run", recipe, "-b", binding, "--out", folder / "never").assert_one_panel().words
    assert not (folder / "never").exists()


def test_explain_diff_and_generate_know_the_kind_of_recipe(hyprepro, run, folder: Path, tmp_path: Path) -> None:
    assert "LatentRecipe" in run("explain", "four.gin").stdout
    assert run("diff", "four.gin", "figure4@smoke").code in (0, 2)
    words = hyprepro("generate", "figure4", "--out", tmp_path / "x.h5").assert_one_panel().words
    assert "runs no policies" in words


@pytest.mark.parametrize("methods", [[], [None], "x", [{"component": 5}]])
def test_a_result_that_makes_no_sense_to_its_own_report_is_one_panel(hyprepro, tmp_path: Path, methods: object) -> None:
    import shutil

    source = Path(__file__).parents[2] / "results" / "figure5" / "desktop"
    shutil.copytree(source, tmp_path / "edited")
    result = json.loads((source / "result.json").read_text())
    result["provenance"]["config"]["methods"] = methods
    result["rows"] = [{**row, "task": "nowhere"} for row in result["rows"][:1]]
    (tmp_path / "edited" / "result.json").write_text(json.dumps(result))
    hyprepro("figure", tmp_path / "edited", "--out", tmp_path / "out").assert_one_panel()
    assert not (tmp_path / "out").exists()

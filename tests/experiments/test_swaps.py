"""Swapping by gin: a user replaces a part by a file or a binding, and gets a table for it, real rollouts included.

All swaps share one cache, so that each makes only what it changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.config import files
from tests.config.test_gin_tree import MULTITASK_SLOTS, TABLE2_SLOTS

pytestmark = [pytest.mark.sim, pytest.mark.long]

NUMBERS = {"interpolation", "parent", "macaw", "macaw_online", "prompt_dt", "domain_randomisation", "common_starts"}
NUMBERS |= {"hyperzero", "hypogen", "greatest", "one_for_all"}
COMPONENT_FILES = [
    path
    for path in sorted((files.gin_root() / "components").glob("*/*.gin"))
    if path.stem not in NUMBERS and path.parent.name != "control"
]
"""Those of numbers alone are run in tests/experiments/test_recipe_parameters.py, tests/methods/test_hyperzero.py and
tests/examples/, controls in test_audit.py."""
COMPETITOR_FILES = [
    path
    for path in COMPONENT_FILES
    if path.parent.name in TABLE2_SLOTS or path.stem in ("care", "decision_transformer")
]
"""Of the paper's two multi-task competitors, which are rows of Table 2."""
COMPETITORS = ["Recipe.methods=(@Care(), @MultiTaskDecisionTransformer())", "UNSEEN=('reach',)"]
COMPETITORS += ["Recipe.reference='care'"]
MULTITASK_FILES = [
    path for path in COMPONENT_FILES if path.parent.name in MULTITASK_SLOTS or path.stem == "multi_task_sac"
]
"""Of the multi-task field, whose rows are those of a recipe of its own."""
_PLAIN = ("multi_task_sac", "plain", "summed", "demonstrations", "scratch")
CALLED = {"multi_head": "mh-sac", **dict.fromkeys(_PLAIN, "mt-sac")}
"""What a row is called that has one of these files, where it is not as the file."""
VARIANTS = sorted(files.shipped("variants"))
TINY = ["Recipe.below=()", "Recipe.prompts_per_task=1", "Recipe.protocols=(@StrictProtocol(),)"]

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(tiny_stores, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Table 1 at smoke scale on the tiny stores, one task and one prompt, and returns its result."""
    folder = tmp_path_factory.mktemp("swaps")
    bindings = [*TINY, f"MetaWorld.policies='{tiny_stores.policies}'"]
    bindings += [f"MetaWorld.trajectories='{tiny_stores.trajectories}'"]
    counter = iter(range(1000))

    def invoke(*arguments: object, recipe: object = "table1") -> dict[str, Any]:
        out = folder / f"out-{next(counter)}"
        line = ["run", recipe, "--scale", "smoke", "--workers", 0, "--cache", folder / "cache", "--out", out]
        line += [part for binding in bindings for part in ("-b", binding)]
        outcome = CliRunner().invoke(app, [str(part) for part in (*line, *arguments)])
        assert outcome.exit_code == 0, outcome.output
        assert outcome.stdout.strip() == (out / "table.md").read_text().strip()
        result: dict[str, Any] = json.loads((out / "result.json").read_text())
        return result

    return invoke


@pytest.fixture(scope="module")
def base(run: Run) -> dict[str, Any]:
    """The recipe as it is shipped."""
    return run()


def methods_of(result: dict[str, Any]) -> list[Any]:
    methods: list[Any] = result["provenance"]["config"]["methods"]
    return methods


def assert_table(result: dict[str, Any], base: dict[str, Any]) -> None:
    """A whole table, made anew only where the methods changed."""
    rows = {row["method"]: row for row in result["rows"] if row["task"] == "door-open" and row["statistic"] == "mean"}
    assert set(rows) == {row["method"] for row in base["rows"]}
    assert all(0.0 <= row["value"] <= 1.0 for row in rows.values())
    made = result["provenance"]["stages_made"]
    assert made < base["provenance"]["stages"], "what the swap does not touch is reused"
    assert made == 0 or result["provenance"]["config"] != base["provenance"]["config"]


def test_the_recipe_as_it_is(base: dict[str, Any]) -> None:
    assert {row["method"] for row in base["rows"]} >= {"gen-hyprl", "gen-hyprl-wo-hypformer", "expert", "autoencoder"}
    assert base["provenance"]["stages_made"] == base["provenance"]["stages"]


@pytest.mark.parametrize("path", COMPETITOR_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_of_the_multi_task_competitors(run: Run, path: Path) -> None:
    result = run("-g", path, *(part for binding in COMPETITORS for part in ("-b", binding)), recipe="table2")
    averages = [row for row in result["rows"] if row["task"] is None and row["statistic"] == "mean"]
    assert {row["method"] for row in averages} == {"care", "decision-transformer"}
    assert {row["split"] for row in averages} == {"seen", "unseen"}


def test_every_row_of_the_multi_task_field(run: Run) -> None:
    """All architectures and gradients, by the scopes of the recipe, in one run; the files resolve in test_gin_tree."""
    scopes = ("", "pcgrad/", "cagrad/", "multi_head/", "film/", "soft_modularization/", "paco/", "moore/")
    methods = ", ".join(f"@{scope}MultiTaskSAC()" for scope in scopes)
    result = run("-b", f"Recipe.methods=({methods})", "-b", "UNSEEN=()", recipe="multitask")
    names = ["mt-sac", "pcgrad", "cagrad", "mh-sac", "film", "soft-modularization", "paco", "moore"]
    assert list(dict.fromkeys(row["method"] for row in result["rows"])) == names
    for name in names:
        assert set(result["methods"][name]["parameters"]) == {"actor", "critics"}
        assert "refused" not in result["methods"][name]


@pytest.mark.parametrize("path", MULTITASK_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_of_the_multi_task_field(run: Run, path: Path) -> None:
    """Each alone, as its header says, with its own widths."""
    name, slot = CALLED.get(path.stem, path.stem.replace("_", "-")), path.parent.name
    bindings = ["Recipe.methods=(@MultiTaskSAC(),)", f"Recipe.reference='{name}'", "UNSEEN=()"]
    result = run("-g", path, *(part for binding in bindings for part in ("-b", binding)), recipe="multitask")
    assert {row["method"] for row in result["rows"]} == {name}
    (method,) = methods_of(result)
    if slot == "multitask_training":
        assert method["schedule"]["route"] == path.stem
    elif slot != "method":
        assert f"@{method[slot]['component']}()" in path.read_text()


def test_a_labelled_method_has_a_dash_where_it_has_no_label(run: Run) -> None:
    """From scratch, on a task that is withheld beside the one that is trained on."""
    scratch = files.gin_root() / "components" / "multitask_training" / "scratch.gin"
    bindings = ["Recipe.methods=(@MultiTaskSAC(), @MeanPolicy())", "Recipe.withheld=('reach',)", "UNSEEN=('reach',)"]
    result = run("-g", scratch, *(part for binding in bindings for part in ("-b", binding)), recipe="multitask")
    rows = {(row["method"], row["split"]) for row in result["rows"]}
    assert rows == {("mt-sac", "seen"), ("mean-policy", "seen"), ("mean-policy", "unseen")}
    assert result["methods"]["mt-sac"]["refused"]["tasks"] == ["reach"]


@pytest.mark.parametrize(
    "path",
    [path for path in COMPONENT_FILES if path not in COMPETITOR_FILES + MULTITASK_FILES],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_component_file(run: Run, base: dict[str, Any], path: Path) -> None:
    own = "HeldProtocol" if path.stem == "held" else "PaperProtocol"
    more = [f"Recipe.protocols=(@{own}(), @StrictProtocol())"] if path.parent.name == "protocol" else []
    more += ["ConditionedCloning.steps=60"] if path.stem == "conditioned_cloning" else []  # its file has 15,000
    assert_table(run("-g", path, *(part for binding in more for part in ("-b", binding))), base)


@pytest.mark.parametrize(
    ("binding", "path", "value"),
    [
        ("HypLatent.generator=@MLPUNetGenerator()", ("hyplatent", "generator", "component"), "MLPUNetGenerator"),
        ("AUTOENCODER=@PCAAutoencoder()", ("autoencoder", "component"), "PCAAutoencoder"),
        ("HypFormer.attention='batch'", ("hypformer", "attention"), "batch"),
        ("HypLatent.supervised_weight=0.0", ("hyplatent", "supervised_weight"), 0.0),
        ("HypLatent.aux_head=@LinearAuxHead()", ("hyplatent", "aux_head", "component"), "LinearAuxHead"),
    ],
)
def test_a_binding(run: Run, base: dict[str, Any], binding: str, path: tuple[str, ...], value: object) -> None:
    result = run("-b", binding)
    assert_table(result, base)
    found: Any = next(method for method in methods_of(result) if method["component"] == "GenHypRL")
    for key in path:
        found = found[key]
    assert found == value
    assert methods_of(result) != methods_of(base)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant(run: Run, base: dict[str, Any], variant: str) -> None:
    result = run("--variant", variant)
    assert {row["variant"] for row in result["rows"]} == {variant}
    assert (methods_of(result) == methods_of(base)) == (variant == "ours")


def test_rows_of_the_ablation_share_what_they_do_not_change(run: Run) -> None:
    scopes = ("", "no_q/", "mean_candidate/")
    rows = ", ".join(f"@{scope}GenHypRL()" for scope in scopes)
    bindings = [f"Recipe.methods=({rows})", "UNSEEN=('reach',)", "Recipe.reference='gen-hyprl'"]
    result = run(*(part for binding in bindings for part in ("-b", binding)), recipe="ablation")
    names = ["gen-hyprl", "no Q", "mean candidate"]
    for split in ("seen", "unseen"):
        found = [r for r in result["rows"] if (r["split"], r["task"], r["statistic"]) == (split, None, "mean")]
        assert [row["method"] for row in found] == names
    gains = [r for r in result["comparisons"] if (r["split"], r["statistic"]) == ("seen", "mean")]
    assert [row["minus"] for row in gains] == names[1:]
    default, no_q, mean = methods_of(result)
    assert (default["hyplatent"]["lambda_reg"], no_q["hyplatent"]["lambda_reg"]) == (0.1, 0.0)
    assert mean["hyplatent"] == default["hyplatent"]
    assert result["provenance"]["stages"] < 8 * len(names), "stages are shared"


def test_a_users_own_recipe_file(run: Run, base: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.gin"
    path.write_text("include 'recipes/table1.gin'\nHypLatent.lambda_reg = 2.0\n")
    assert_table(run(recipe=path), base)

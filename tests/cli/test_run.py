"""`hyprepro run` on tiny stores: what it prints and writes, and every mistake that it refuses."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hyprepro.config import files
from hyprepro.domains.metaworld import maa
from hyprepro.engine.provenance import versions
from tests.conftest import build_tiny_stores
from tests.stores import hostile

Stores = tuple[Path, Path]


@pytest.fixture
def stores(tiny_stores, tmp_path: Path) -> Stores:
    """Copies of the tiny stores that a test may spoil."""
    return tuple(Path(shutil.copy(path, tmp_path)) for path in (tiny_stores.policies, tiny_stores.trajectories))


@pytest.fixture
def run(hyprepro, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Runs Table 1 with the experts alone: one task, one prompt, one goal, nothing to train."""
    monkeypatch.chdir(tmp_path)
    bindings = [
        f"MetaWorld.policies='{stores[0]}'",
        f"MetaWorld.trajectories='{stores[1]}'",
        "Recipe.methods=(@Expert(),)",
        "Recipe.protocols=(@StrictProtocol(),)",
        "Recipe.below=()",
        "Recipe.prompts_per_task=1",
    ]
    options = [part for binding in bindings for part in ("-b", binding)]

    def invoke(*arguments: object):
        return hyprepro("run", "table1", "--scale", "smoke", "--workers", 0, *options, *arguments)

    return invoke


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_dry_run_shows_the_plan_and_touches_nothing(run, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    shown = run("--dry-run", "--out", tmp_path / "out").stdout
    assert "rollouts expert door-open" in shown
    assert "1 stages to do" in shown
    assert str(tmp_path / "out") in shown
    assert sorted(tmp_path.iterdir()) == before
    assert run("--dry-run", "--json").json["stages"][0]["status"] == "to do"


@pytest.mark.sim
def test_a_run_writes_all_files_prints_the_table_and_has_nothing_to_do_again(run, tmp_path: Path) -> None:
    first = run("--out", tmp_path / "out")
    assert first.code == 0, first.stderr
    assert "expert" in first.stdout
    assert max(map(len, first.stdout.splitlines())) <= 120
    written = snapshot(tmp_path / "out")
    assert set(written) == {"result.json", "records.csv.gz", "table.md", "operative_config.gin", "config.json"}
    again = run("--out", tmp_path / "out")
    assert again.stdout == first.stdout
    assert "started" not in again.stderr
    assert snapshot(tmp_path / "out") == written
    assert {row["method"] for row in run("--json").json["rows"]} == {"expert"}


@pytest.mark.sim
def test_a_run_says_what_differs_from_the_shipped_recipe_and_ends_with_its_headline(run, tmp_path: Path) -> None:
    shown = run("-b", "StrictProtocol.base_seed=5", "--out", tmp_path / "out")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    shipped = result["provenance"]["shipped"]
    assert shipped["recipe"] == "table1 --scale smoke"
    changes = {path: (each["shipped"], each["here"]) for each in shipped["changes"] for path in each["paths"]}
    assert changes["protocols[StrictProtocol].base_seed"] == (0, 5)
    assert changes["prompts_per_task"] == (3, 1)
    assert changes["methods[Retrieval]"][1] is None
    for text in (shown.stdout, shown.stderr):
        assert "StrictProtocol.base_seed" in text
        assert "Smoke numbers mean nothing" in text
    assert "`StrictProtocol.base_seed`: `5`; shipped: `0`. At `protocols[StrictProtocol].base_seed`." in shown.stdout
    assert shown.stderr.splitlines()[-1].startswith("expert, average of 1 seen task: strict protocol ")
    dry = run("-b", "StrictProtocol.base_seed=5", "--dry-run", "--json").json
    assert dry["shipped"] == shipped


def test_a_run_says_what_a_scale_replaces_of_the_users_own_recipe(
    hyprepro, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.gin").write_text(
        "include 'recipes/table1.gin'\nRecipe.name = 'mine'\nRecipe.seeds = 5\nRecipe.methods = (@Expert(),)\n"
        "Recipe.below = ()\nRecipe.seen = ('door-open',)\nRecipe.prompts_per_task = 1\n"
        f"MetaWorld.policies = '{stores[0]}'\nMetaWorld.trajectories = '{stores[1]}'\n"
    )
    plain = hyprepro("run", "mine.gin", "--dry-run")
    assert plain.code == 0, plain.stderr
    assert "Not as in your file" not in plain.stderr
    small = hyprepro("run", "mine.gin", "--scale", "smoke", "--dry-run").stderr
    assert "Not as in your file: Recipe.seeds = 5 (mine.gin:3) is 1 by" in small


def test_a_dry_run_names_what_differs_and_a_shipped_recipe_differs_in_nothing(hyprepro, run, tmp_path: Path) -> None:
    assert "StrictProtocol.base_seed = 5; shipped: 0" in run("-b", "StrictProtocol.base_seed=5", "--dry-run").stderr
    plain = hyprepro("run", "table1", "--scale", "smoke", "--variant", "paper", "--dry-run", "--json").json
    assert plain["shipped"] == {"recipe": "table1 --scale smoke --variant paper", "changes": []}
    (tmp_path / "mine.gin").write_text("include 'recipes/table1.gin'\nRecipe.name = 'mine'\n")
    assert hyprepro("run", "mine.gin", "--dry-run", "--json").json["shipped"] == {"recipe": "", "changes": []}
    (tmp_path / "tiny.gin").write_text("include 'scales/smoke.gin'\nRecipe.prompts_per_task = 2\n")
    mine = hyprepro("run", "table3", "--scale", "tiny.gin", "--dry-run", "--json").json["shipped"]
    assert mine["recipe"] == "table3 --scale desktop"
    changed = {path: each["here"] for each in mine["changes"] for path in each["paths"]}
    assert (changed["scale"], changed["prompts_per_task"]) == ("tiny", 2)


RECIPES = sorted(name for name in files.shipped("recipes") if name != "dm_cheetah")  # no stores of it are bundled


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_kind_of_recipe_names_what_differs(hyprepro, recipe: str) -> None:
    shipped = hyprepro("run", recipe, "--scale", "smoke", "--seeds", 2, "--dry-run", "--json").json["shipped"]
    assert [(each["paths"], each["shipped"], each["here"]) for each in shipped["changes"]] == [(["seeds"], 1, 2)]


@pytest.mark.sim
def test_a_changed_recipe_never_writes_over_the_plain_one(run, tmp_path: Path) -> None:
    first = run()
    second = run("-b", "StrictProtocol.base_seed=5")
    folders = sorted((tmp_path / "runs" / "table1").iterdir())
    assert len(folders) == 2
    assert all(folder.name.startswith("smoke-custom-") for folder in folders)
    assert all(str(Path("runs") / "table1" / "smoke-custom-") in each.stderr for each in (first, second))


def test_the_device_reaches_the_keys_of_the_stages(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPREPRO_DEVICE", "cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "torch finds no usable GPU" in run("--device", "cuda").assert_one_panel().words
    assert os.environ["HYPREPRO_DEVICE"] == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert run("--device", "cuda", "--dry-run").code == 0
    assert os.environ["HYPREPRO_DEVICE"] == "cuda"


def spoil_missing(stores: Stores) -> None:
    stores[0].unlink()


def spoil_truncated(stores: Stores) -> None:
    with stores[1].open("r+b") as file:
        file.truncate(stores[1].stat().st_size // 2)


def spoil_not_a_store(stores: Stores) -> None:
    stores[0].write_text("no store")


def spoil_nan(stores: Stores) -> None:
    with h5py.File(stores[0], "r+") as file:
        file["policies/door-open/params"][:] = np.nan


def spoil_kind(stores: Stores) -> None:
    shutil.copy(stores[1], stores[0])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_missing, "no store"),
        (spoil_truncated, "trajectories.h5"),
        (spoil_not_a_store, "policies.h5"),
        (spoil_nan, "door-open"),
        (spoil_kind, "policies.h5"),
    ],
)
def test_a_bad_store_is_one_panel_and_leaves_earlier_results(run, stores: Stores, tmp_path: Path, spoil, says) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("earlier")
    spoil(stores)
    assert says in run("--out", out).assert_one_panel().words.replace(" ", "") + run("--out", out).words
    assert snapshot(out) == {"result.json": b"earlier"}


def test_stores_of_another_simulator(run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = build_tiny_stores(tmp_path / "other", versions={**versions(), "mujoco": "3.5.0"})
    words = run("-b", f"MetaWorld.policies='{other.policies}'").assert_one_panel().words
    assert "mujoco 3.5.0 in the store" in words


def test_imported_policies_and_prompts_run_where_that_is_asked_for(hyprepro, run, tmp_path: Path) -> None:
    path = tmp_path / "door-open.pt"
    path.write_bytes(hostile.saved(hostile.maa_content(4)))
    imported = (tmp_path / "maa.policies.h5", tmp_path / "maa.trajectories.h5")
    maa.import_maa(maa.plan([path], [path], None), *imported)
    refused = run("-b", f"MetaWorld.policies='{imported[0]}'").assert_one_panel().words
    assert "metaworld unknown in the store" in refused
    assert "MetaWorld.checked = False" in refused
    fields = zip(("policies", "trajectories"), imported, strict=True)
    bindings = [f"MetaWorld.{field}='{file}'" for field, file in fields]
    bindings += ["Recipe.methods=(@Expert(),)", "Recipe.protocols=(@StrictProtocol(),)", "Recipe.below=()"]
    bindings += ["Recipe.seen=('door-open',)", "Recipe.prompts_per_task=1"]
    options = [part for binding in bindings for part in ("-b", binding)]
    gin, out = files.gin_root() / "domains" / "imported.gin", tmp_path / "out"
    found = hyprepro("run", "table1", "--scale", "smoke", "--workers", 0, "-g", gin, *options, "--out", out)
    assert found.code == 0, found.stderr
    assert "Make-An-Agent's published SAC checkpoints" in (out / "table.md").read_text()


def test_an_unwritable_results_folder(run) -> None:
    assert "cannot be written" in run("--out", "/sys/hyprepro").assert_one_panel().words  # not even root may


@pytest.mark.parametrize("flag", ["--out", "--cache"])
def test_a_place_that_takes_no_folders(run, flag: str) -> None:
    assert "No folder can be made in this place" in run(flag, "/proc/hyprepro").assert_one_panel().words


def test_a_file_in_the_place_of_the_results_folder(run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    assert "file stands" in run("--out", tmp_path / "out").assert_one_panel().words
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-b", "Recipe.seen=('door-opne',)"], "closest door-open"),
        (["-b", "Recipe.prompts_per_task=50"], "Recipe.prompts_per_task=5"),
        (["-b", "StrictProtocl.base_seed=1"], "closest StrictProtocol"),
        (["-b", "StrictProtocol.base_sed=1"], "closest base_seed"),
        (["-b", "big/StrictProtocol.base_seed=1"], "scope 'big'"),
        (["-b", "StrictProtocol.base_seed=%SEED"], "%SEED"),
        (["-b", "StrictProtocol.base_seed='one'"], "an integer, at least 0, not 'one'"),
        (["-b", "StrictProtocol.base_seed=-1"], "an integer, at least 0, not -1"),
        (["-b", "HypFormer.attention='batch'"], "Nothing consumes the binding of HypFormer.attention"),
        (["-b", "Recipe.title=Mine"], "Recipe.title='Mine'"),
        (["-b", "Recipe.methods=(@Expert(),"], "never closed"),
        (["-b", "Recipe.methods=(@Exprt(),)"], "closest @Expert()"),
        (["-b", "Recipe.seeds"], "not a binding"),
        (["--seeds", "0"], "Recipe.seeds takes an integer, at least 1"),
        (["-g", "missing.gin"], "does not exist"),
        (["--variant", "ous"], "closest ours"),
        (["--scale", "smokey"], "closest smoke"),
        (["--sclae", "smoke"], "closest --scale"),
        (["--device", "cdua"], "closest cuda"),
        (["--executor", "rya"], "closest ray"),
        (["--address", "auto"], "Only a Ray cluster has an address."),
        (["--executor", "ray"], "no stage runs in this process"),
    ],
)
def test_mistakes_in_the_recipe_are_one_panel(run, tmp_path: Path, arguments: list[str], says: str) -> None:
    assert says in run(*arguments).assert_one_panel().words
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".h5"]


def test_a_users_recipe_with_a_missing_include(hyprepro, tmp_path: Path) -> None:
    path = tmp_path / "mine.gin"
    path.write_text("include 'recipes/table1.gin'\ninclude 'components/generator/unet.gin'\n")
    words = hyprepro("run", path).assert_one_panel().words
    assert "mine.gin:2: include 'components/generator/unet.gin'" in words
    assert "closest components/generator/unet1d.gin" in words

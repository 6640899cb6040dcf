"""`hyprepro sweep` on tiny stores: cells as runs would write them, shared stages made once, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reports.web.pages import assert_sound, read

pytestmark = pytest.mark.sim

LIST = "StrictProtocol.base_seed=[4_000_000, 5_000_000]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture
def invoke(hyprepro, tiny_stores, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """A command on Table 1 with the experts alone: one task, one prompt, nothing to train."""
    monkeypatch.chdir(folder)
    bindings = [
        f"MetaWorld.policies='{tiny_stores.policies}'",
        f"MetaWorld.trajectories='{tiny_stores.trajectories}'",
        "Recipe.methods=(@Expert(),)",
        "Recipe.protocols=(@PaperProtocol(), @StrictProtocol())",
        "Recipe.selection=None",
        "Recipe.seen=('door-open',)",
        "Recipe.below=()",
        "Recipe.prompts_per_task=1",
    ]
    options = [part for binding in bindings for part in ("-b", binding)]

    def invoked(command: str, *arguments: object):
        return hyprepro(command, "table1", "--scale", "smoke", "--workers", 0, *options, *arguments)

    return invoked


@pytest.fixture
def swept(invoke: Callable, folder: Path):
    """The numbers of a sweep, run once."""
    if not (folder / "out").exists():
        found = invoke("sweep", "-b", LIST, "--out", "out")
        assert found.code == 0, found.stderr
        assert found.stdout.strip() == (folder / "out" / "sweep.md").read_text().strip()
    return json.loads((folder / "out" / "sweep.json").read_text())


def test_every_cell_is_a_result_of_its_own_and_the_grid_one_table(swept, folder: Path) -> None:
    assert [each["values"] for each in swept["cells"]] == [
        {"StrictProtocol.base_seed": "4000000"},
        {"StrictProtocol.base_seed": "5000000"},
    ]
    for cell in swept["cells"]:
        result = json.loads((folder / cell["folder"] / "result.json").read_text())
        assert result["digest"] == cell["digest"]
        assert result["provenance"]["stages_made"] == result["provenance"]["stages"] == 2
        assert (folder / cell["folder"] / "table.md").exists()
    assert_sound(read((folder / "out" / "sweep.html").read_bytes()))


def test_shared_stages_are_made_once_and_a_second_sweep_has_nothing_to_do(invoke, swept, folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    dry = invoke("sweep", "-b", LIST, "--out", "out", "--dry-run", "--json").json
    assert [stage["status"] for stage in dry["stages"]] == ["finished"] * 3  # the paper protocol's is one for both
    assert dry["seconds"] == 0
    assert invoke("sweep", "-b", LIST, "--out", "out", "--json").json == swept
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == before


def test_a_cell_is_what_a_run_writes(invoke, swept, folder: Path) -> None:
    found = invoke("run", "-b", "StrictProtocol.base_seed=5000000", "--json").json
    assert found["digest"] == swept["cells"][1]["digest"]
    assert found["provenance"]["stages_made"] == 0
    dry = invoke("sweep", "-b", LIST, "--dry-run", "--json").json
    (written,) = (folder / "runs" / "table1").iterdir()
    assert dry["cells"][1]["folder"] == str(written.relative_to(folder))


def test_a_dry_run_names_the_cells_and_writes_nothing(invoke, folder: Path) -> None:
    found = invoke("sweep", "-b", "Recipe.seeds=[1, 2]", "-b", "StrictProtocol.base_seed=[7, 8]", "--dry-run")
    assert found.code == 0, found.stderr
    lines = [line.split() for line in found.stdout.splitlines()]
    assert [line[:2] for line in lines if line[:1] in (["1"], ["2"])] == [
        ["1", "7"],
        ["1", "8"],
        ["2", "7"],
        ["2", "8"],
    ]
    assert "4 cells of" in found.stdout
    assert not list((folder / "runs").rglob("*sweep*"))


def test_the_cell_that_changes_nothing_is_compared_with(invoke) -> None:
    none = invoke("sweep", "-b", "Recipe.title=['Other', 'Another']", "--dry-run", "--json").json
    assert none["against"] == 0
    same = invoke("sweep", "-b", "PaperProtocol.env_seeds=[(1, 2), (720, 920)]", "--dry-run", "--json").json
    assert same["against"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to sweep"),
        (["-b", "StrictProtocol.base_seed=[]"], "The grid is empty"),
        (["-b", f"StrictProtocol.base_seed={list(range(65))}"], "a sweep has at most 64"),
        (["-b", "StrictProtocol.base_sed=[1, 2]"], "closest base_seed"),
        (["-b", "StrictProtocl.base_seed=[1, 2]"], "closest StrictProtocol"),
        (["-b", "StrictProtocol.base_seed=[1, 'two']"], "an integer, at least 0, not 'two'"),
        (["-b", "HypFormer.attention=['batch', 'tokens']"], "Nothing consumes the binding of HypFormer.attention"),
        (["-b", LIST, "--workers", "0", "--executor", "ray"], "no stage runs in this process"),
        (["-b", LIST, "--scale", "smokey"], "closest smoke"),
    ],
)
def test_mistakes_are_one_panel_and_write_nothing(invoke, folder: Path, arguments: list[str], says: str) -> None:
    assert says in invoke("sweep", *arguments, "--out", "never").assert_one_panel().words
    assert not (folder / "never").exists()


def test_two_cells_of_one_recipe_are_refused(invoke) -> None:
    lists = "Recipe.methods=[(@Expert(),), (@mine/Expert(),)]"
    words = invoke("sweep", "-b", lists, "--dry-run").assert_one_panel().words
    assert "Two cells of the grid are the same recipe: (@Expert(),) and (@mine/Expert(),)." in words

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyprepro.errors import UserError
from hyprepro.experiments.references import PACKAGE, adopt, is_reference, recomputed, roots
from hyprepro.reports.records import read_records, write_csv

ROOT = Path(__file__).resolve().parents[2]
CHANGE = {"settings": ["Recipe.seeds"], "paths": ["seeds"], "shipped": 3, "here": 1}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished run: a copy of a committed one."""
    return Path(shutil.copytree(ROOT / "results" / "tokens" / "desktop", tmp_path / "runs" / "tokens"))


def edit(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    result = json.loads((run / "result.json").read_text())
    change(result)
    (run / "result.json").write_text(json.dumps(result))


def test_an_adopted_run_is_the_reference_file_by_file(run: Path, tmp_path: Path) -> None:
    adopted = adopt(run, tmp_path / "results")
    assert adopted.folder == tmp_path / "results" / "tokens" / "desktop"
    assert adopted.changed == 0
    assert {path.name: path.read_bytes() for path in adopted.folder.iterdir()} == {
        path.name: path.read_bytes() for path in run.iterdir()
    }


def test_numbers_that_are_not_those_of_the_records_are_not_adopted(run: Path, tmp_path: Path) -> None:
    true = json.loads((run / "result.json").read_text())
    edit(run, lambda result: result["rows"][0].update(value=0.125, ci95=[0.0, 0.25]))
    assert adopt(run, tmp_path / "results").changed == 1
    assert json.loads((tmp_path / "results" / "tokens" / "desktop" / "result.json").read_text()) == true


def test_a_reference_computed_again_is_as_it_was(run: Path, tmp_path: Path) -> None:
    folder = adopt(run, tmp_path / "results").folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert adopt(folder, tmp_path / "results").folder == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_records_of_an_older_form_are_adopted_in_todays(run: Path, tmp_path: Path) -> None:
    file = run / "records.csv.gz"
    today, records = file.read_bytes(), read_records(file)
    older = ["method", "variant", "seed", "split", "task", "protocol", "policy", "start", "success", "steps"]
    header = ["goal" if name == "start" else name for name in older]
    write_csv(file, header, [[getattr(record, name) for name in older] for record in records])
    adopted = adopt(run, tmp_path / "results")
    assert adopted.changed == 0
    assert (adopted.folder / "records.csv.gz").read_bytes() == today != file.read_bytes()
    assert recomputed(run) == json.loads((adopted.folder / "result.json").read_text())


def test_the_side_by_side_with_the_paper_follows(run: Path, tmp_path: Path) -> None:
    (tmp_path / "paper_tables").mkdir()
    (tmp_path / "paper_tables" / "tokens.md").write_text("old")
    adopt(run, tmp_path / "results")
    assert (tmp_path / "paper_tables" / "tokens.md").read_text() != "old"


def test_a_changed_recipe_becomes_no_reference(run: Path, tmp_path: Path) -> None:
    edit(run, lambda result: result["provenance"].update(shipped={"recipe": "tokens", "changes": [CHANGE]}))
    with pytest.raises(UserError, match="of a changed recipe"):
        adopt(run, tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("missing", ["result.json", "records.csv.gz"])
def test_an_incomplete_run_becomes_no_reference(run: Path, tmp_path: Path, missing: str) -> None:
    (run / missing).unlink()
    with pytest.raises(UserError):
        adopt(run, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_damaged_records_become_no_reference(run: Path, tmp_path: Path) -> None:
    records = run / "records.csv.gz"
    records.write_bytes(records.read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot be read"):
        adopt(run, tmp_path / "results")


def test_a_folder_that_cannot_be_written_is_one_message(run: Path, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(UserError, match="A file stands where a folder is needed"):
        adopt(run, tmp_path / "results")


def test_references_are_told_from_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert is_reference(Path("results/table1/desktop"))
    assert is_reference(ROOT / "results" / "table1" / "mine")
    assert not is_reference(Path("runs/table1/desktop"))
    assert roots()[-1] == PACKAGE / "references"


def test_adopted_results_are_references_wherever_one_looks_from(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = adopt(run, tmp_path / "kept").folder
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path / "elsewhere")
    for place in (folder, tmp_path / "link", Path("../kept/tokens/desktop"), folder.parent / "new"):
        assert is_reference(place)
    assert not is_reference(run)


def test_the_numbers_of_a_reference_are_those_of_its_records() -> None:
    folder = ROOT / "results" / "tokens" / "desktop"
    assert recomputed(folder) == json.loads((folder / "result.json").read_text())


def test_the_wheel_holds_every_reference() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    committed = {str(path.relative_to(ROOT)) for path in ROOT.glob("results/*/*/result.json")}
    assert {source for source in included if source.startswith("results/")} == committed
    assert all(included[source] == f"hyprepro/references/{source.removeprefix('results/')}" for source in committed)

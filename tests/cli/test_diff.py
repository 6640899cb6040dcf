from __future__ import annotations

import json
from pathlib import Path


def result(folder: Path, seeds: int, value: float) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"component": "Recipe", "seeds": seeds, "methods": [{"lr": 0.1}]}))
    row = {"method": "gen-hyprl", "task": None, "protocol": "paper", "value": value}
    (folder / "result.json").write_text(json.dumps({"rows": [row]}))
    return folder


def test_two_scales_differ_in_what_they_set(hyprepro) -> None:
    settings = hyprepro("diff", "table1@smoke", "table1@desktop", "--json").json["settings"]
    by_path = {entry["path"]: (entry["a"], entry["b"]) for entry in settings}
    assert by_path["scale"] == ("smoke", "desktop")
    assert "name" not in by_path


def test_a_recipe_does_not_differ_from_itself(hyprepro) -> None:
    assert "do not differ" in hyprepro("diff", "table1@smoke", "table1@smoke").stdout


def test_two_results_show_settings_and_numbers(hyprepro, tmp_path: Path) -> None:
    a, b = result(tmp_path / "a", 1, 0.5), result(tmp_path / "b", 2, 0.75)
    shown = hyprepro("diff", a, b).stdout
    assert [line.split() for line in shown.splitlines() if line.startswith("seeds")] == [["seeds", "1", "2"]]
    assert "0.75" in shown
    assert hyprepro("diff", a, b / "result.json").stdout.count("0.75") == 1


def test_a_folder_without_a_result(hyprepro, tmp_path: Path) -> None:
    words = hyprepro("diff", tmp_path, "table1").assert_one_panel().words
    assert "no result to compare" in words


def test_a_damaged_result(hyprepro, tmp_path: Path) -> None:
    a = result(tmp_path / "a", 1, 0.5)
    (a / "config.json").write_text("{")
    assert "damaged" in hyprepro("diff", a, a).assert_one_panel().words


def test_an_unknown_recipe(hyprepro) -> None:
    assert "closest table1" in hyprepro("diff", "tabel1", "table1").assert_one_panel().words

from __future__ import annotations

from pathlib import Path

import pytest

from hyprepro.config import files
from hyprepro.errors import UserError


def test_shipped_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "table1" in files.shipped("recipes")
    assert files.named_file("recipes", "table1") == files.gin_root() / "recipes" / "table1.gin"


def test_a_path_in_the_working_folder_comes_before_the_shipped_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.named_file("scales", "scales/smoke.gin") == files.gin_root() / "scales" / "smoke.gin"
    (tmp_path / "scales").mkdir()
    (tmp_path / "scales" / "smoke.gin").write_text("")
    assert files.named_file("scales", "scales/smoke.gin") == tmp_path / "scales" / "smoke.gin"


def test_an_include_is_looked_up_beside_the_including_file_first(tmp_path: Path) -> None:
    (tmp_path / "scales").mkdir()
    beside = tmp_path / "scales" / "smoke.gin"
    beside.write_text("")
    assert files.included_file("scales/smoke.gin", tmp_path / "mine.gin", "mine.gin:1") == beside
    assert files.is_shipped(files.included_file("scales/smoke.gin", None, "-b #1"))


def test_only_shipped_files_count_as_shipped(tmp_path: Path) -> None:
    assert files.is_shipped(files.gin_root() / "recipes" / "table1.gin")
    assert not files.is_shipped(tmp_path / "gin" / "recipes" / "table1.gin")


def test_messages_show_shipped_files_by_their_place_in_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.display(files.gin_root() / "recipes" / "table1.gin") == "gin/recipes/table1.gin"
    assert files.display(tmp_path / "mine.gin") == "mine.gin"


def test_an_installation_without_gin_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "__file__", str(tmp_path / "hyprepro" / "config" / "files.py"))
    with pytest.raises(UserError, match="gin files that belong to hyprepro are missing"):
        files.gin_root()


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.gin").mkdir()
    with pytest.raises(UserError, match="does not exist"):
        files.user_file(tmp_path / "mine.gin", "the gin file")


def test_every_shipped_file_says_what_it_is_for() -> None:
    for path in files.gin_root().rglob("*.gin"):
        assert files.purpose(path), f"{path} starts with a comment line on its purpose"


@pytest.mark.parametrize("text", ["HypFormer.attention = 'batch'\n", "# mine\n\nHypFormer.candidates = 3\n", ""])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.gin"
    path.write_text(text, encoding="utf-8-sig")
    assert files.read(path) == text
    path.write_bytes(2 * path.read_bytes())  # two files joined, as `copy a.gin+b.gin` does
    assert files.read(path) == 2 * text


def test_other_encodings_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.gin"
    path.write_text("HypFormer.candidates = 3\n", encoding="utf-16")
    with pytest.raises(UserError, match="cannot be read") as refusal:
        files.read(path)
    assert "UTF-8" in refusal.value.fix

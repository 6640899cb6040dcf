"""The pages of the site that are written from the code, and the links of what it includes."""

from __future__ import annotations

from pathlib import Path

import generated_components
import pytest
import site_pages

from hyprepro.cli import COMMANDS
from hyprepro.component import setting
from hyprepro.config import catalogue
from hyprepro.methods.base import Method
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return dict(site_pages.pages_by_name())


def test_every_component_has_a_page_with_all_its_fields(pages: dict[str, str]) -> None:
    for names in catalogue.listed().values():
        for name in names:
            text = pages[f"components/{name}.md"]
            fields = catalogue.load_components()[name].model_fields
            assert all(f"\n`{field} = " in text for field in fields), name
            assert text.count("\n  Source: ") == len(fields)
            assert f"[{name}]({name}.md)" in pages["components/index.md"]


def test_a_field_says_its_default_bounds_and_source(pages: dict[str, str]) -> None:
    text = pages["components/HypFormer.md"]
    entry = text[text.index("`candidates = 8`") :].split("\n\n")[0]
    assert "at least 1, at most 16384" in entry
    assert "Source: paper, stage 3." in entry
    assert "- `-b 'GenHypRL.hypformer=@HypFormer()'`" in text
    assert "- `gin/variants/paper.gin`" in text


def test_every_command_and_its_options_have_a_page(pages: dict[str, str]) -> None:
    for name, command in COMMANDS.items():
        assert command.help.split(".")[0] in pages[f"commands/{name}.md"]
    assert "`--executor NAME`" in pages["commands/run.md"]
    assert "## `hyprepro store merge`" in pages["commands/store.md"]


def test_a_disputed_point_has_its_value_in_each_variant(pages: dict[str, str]) -> None:
    row = next(line for line in pages["disputed.md"].splitlines() if "`.supervised_weight`" in line)
    assert [part.strip() for part in row.split("|")[2:5]] == ["`0.0`", "`1000.0`", "`1000.0`"]


def test_what_the_code_says_of_the_paper_is_quoted_with_its_place(pages: dict[str, str]) -> None:
    text = pages["statements.md"]
    assert "`hyprepro/gen_hyprl/hypformer.py`" in text
    assert "`hyprepro/methods/gen_hyprl.py, GenHypRL`" in text
    assert text.count("**We chose") >= 15


def test_every_committed_result_has_a_page(pages: dict[str, str]) -> None:
    found = {path.parents[1].name for path in ROOT.glob("results/*/desktop/table.md")}
    assert found == {Path(name).stem for name in pages if name.startswith("results/")} - {"index"}


def test_text_says_itself_and_code_stays_code() -> None:
    assert generated_components.escaped("v_x * 2 < [k] `h_i * 2`") == r"v\_x \* 2 \< \[k\] `h_i * 2`"


def test_sections_of_a_docstring_become_lists() -> None:
    class Mine(Method):
        """What it is.

        Attributes:
            one: The first,
                in two lines.
            two: The second.
        """

        size: int = setting(3, "how many")

    assert generated_components.docstring(Mine) == (
        "What it is.\n\n*Attributes*\n\n- `one`: The first, in two lines.\n- `two`: The second."
    )


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("results/README.md#zoos", "results.md#zoos"),
        ("results/table1/desktop/table.md", "generated/results/table1.md"),
        ("docs/ray.md", "ray.md"),
        ("stores/metaworld.md", "path:../stores/metaworld.md"),
        ("results/velocities/desktop/velocities.svg", "../results/velocities/desktop/velocities.svg"),
        ("examples/hopper-gravity", "environment.md"),
        ("../elsewhere.md", "../elsewhere.md"),
    ],
)
def test_a_link_of_the_readme_leads_to_a_page_or_to_the_file(target: str, leads: str) -> None:
    assert site_pages.linked(target, ROOT, ROOT / "docs") == leads


def test_pages_that_say_the_same_are_left_alone_and_those_of_what_is_gone_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_pages, "pages_by_name", lambda: iter([("a/one.md", "1"), ("two.md", "2")]))
    site_pages.write_pages(tmp_path)
    before = (tmp_path / "a" / "one.md").stat().st_mtime_ns
    monkeypatch.setattr(site_pages, "pages_by_name", lambda: iter([("a/one.md", "1")]))
    site_pages.write_pages(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.md")] == ["one.md"]
    assert (tmp_path / "a" / "one.md").stat().st_mtime_ns == before

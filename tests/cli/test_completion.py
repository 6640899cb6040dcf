"""What a shell offers for the word that is being typed, asked in the way that shells ask."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.config.catalogue import load_components
from hyprepro.config.registry import resolve


def offered(line: str) -> list[str]:
    """The words that bash is given for the last word of a command line."""
    words = {"_HYPREPRO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = CliRunner().invoke(app, [], env=words, prog_name="hyprepro")
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("hyprepro expl", "explain"),
        ("hyprepro explain HypF", "HypFormer"),
        ("hyprepro explain gen", "generator"),
        ("hyprepro explain tab", "table1"),
        ("hyprepro explain meta", "metaworld"),
        ("hyprepro explain HypFormer.ca", "HypFormer.candidates"),
        ("hyprepro run tab", "table4"),
        ("hyprepro run table1 --scale sm", "smoke"),
        ("hyprepro run table1 --variant rel", "released"),
        ("hyprepro run table1 --executor r", "ray"),
        ("hyprepro run table1 -b HypF", "HypFormer."),
        ("hyprepro run table1 --bind HypFormer.ca", "HypFormer.candidates="),
        ("hyprepro run table1 -b my_row/HypFormer.ca", "my_row/HypFormer.candidates="),
        ("hyprepro run table1 -b HypLatent.generator=", "HypLatent.generator=@MLPUNetGenerator()"),
        ("hyprepro run table1 -b HypLatent.label_smoothing=", "HypLatent.label_smoothing=False"),
        ("hyprepro collect metaworld -b Selection.acc", "Selection.acceptance="),
        ("hyprepro generate table2 --method mean", "mean-policy"),
        ("hyprepro generate table1 --task do", "door-open"),
        ("hyprepro generate table4 --task velo", "velocity-1.200"),
        ("hyprepro generate --scale smoke table2 --method mak", "make-an-agent"),
        ("hyprepro bench evaluation --task rea", "reach"),
        ("hyprepro bench evaluation --task ham", "hammer"),
    ],
)
def test_a_word_is_offered(line: str, word: str) -> None:
    assert word in offered(line)


@pytest.mark.parametrize(
    "line",
    [
        "hyprepro explain nothing-like-it",
        "hyprepro explain Nothing.",
        "hyprepro run table1 -b Nothing.x=",
        "hyprepro run table1 -b HypFormer.width=",
        "hyprepro generate tabel2 --method ",
        "hyprepro generate --method ",
        "hyprepro generate figure4 --task ",
        "hyprepro generate broken.gin --method ",
    ],
)
def test_what_is_not_known_is_no_mistake_yet(line: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.gin").write_text("Recipe.name = ")
    assert offered(line) == []


def test_every_component_field_and_row_is_offered() -> None:
    assert set(offered("hyprepro run table1 -b ")) == {f"{name}." for name in load_components()}
    fields = load_components()["HypLatent"].model_fields
    assert offered("hyprepro explain HypLatent.") == [f"HypLatent.{name}" for name in fields]
    recipe = resolve("table2", "desktop").recipe
    assert offered("hyprepro generate table2 --method ") == [method.name for method in recipe.methods]

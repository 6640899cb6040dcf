"""`hyprepro curves` and `run --track`: what trainings reported, drawn and told to trackers."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.tracking import base
from hyprepro.tracking.base import Page, Writer

pytestmark = pytest.mark.sim

RECIPE = """\
include 'recipes/table4.gin'
Recipe.name = 'tiny'
Recipe.withheld = (1.5,)
Recipe.train = (10,)
Recipe.methods = (@velocity/MSERegressor(),)
CheetahVel.policies = '{0.policies}'
CheetahVel.trajectories = '{0.trajectories}'
CheetahVel.parents = '{0.parents}'
"""
COMMON = ["--scale", "smoke", "--workers", "0", "--cache", "cache"]


class Told(Writer):
    """Remembers what it is told, and has nothing but the one method."""

    found: dict[str, list[tuple[int, dict[str, float]]]]

    def __init__(self) -> None:
        Told.found = {}

    def scalars(self, training: str, step: int, values: Mapping[str, float]) -> None:
        self.found.setdefault(training, []).append((step, dict(values)))


@pytest.fixture(scope="module")
def folder(cheetah_stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its result `out` of a run that a toy followed, what it was told, and the cache."""
    folder = tmp_path_factory.mktemp("curves")
    (folder / "tiny.gin").write_text(RECIPE.format(cheetah_stores))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(base.TRACKERS, "told", f"{__name__}:Told")
        patch.setitem(sys.modules, __name__, sys.modules[Told.__module__])
        done = CliRunner().invoke(app, ["run", "tiny.gin", *COMMON, "--out", "out", "--track", "told"])
    assert done.exit_code == 0, done.stderr
    (folder / "told.json").write_text(json.dumps(Told.found))
    return folder


@pytest.fixture
def told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """What the toy was told; the working folder is that of the run."""
    monkeypatch.chdir(folder)
    return json.loads((folder / "told.json").read_text())


def test_every_training_is_drawn_with_the_numbers_that_it_reported(hyprepro, told) -> None:
    drawn = hyprepro("curves", "out", "--cache", "cache", "--json")
    assert drawn.code == 0, drawn.stderr
    assert set(drawn.json["trainings"]) == set(told)
    names = {Path(each).name for each in drawn.json["files"]}
    assert {"curves.csv", "curves-regressor-mlpregressor.png", "curves-regressor-mlpregressor.svg"} <= names
    rows = list(csv.DictReader(Path("out/curves/curves.csv").read_text().splitlines()))
    ours = {(row["metric"], int(row["step"]), float(row["value"])) for row in rows if row["training"].startswith("reg")}
    (name,) = (each for each in told if each.startswith("regressor"))
    assert ours == {(metric, step, value) for step, values in told[name] for metric, value in values.items()}


def test_what_is_not_kept_or_does_not_fit_is_said(hyprepro, told) -> None:
    words = hyprepro("curves", "out", "--cache", "empty").assert_one_panel().words
    assert "Nothing of this result's trainings is kept here" in words
    assert "own settings" in hyprepro("curves", "out", "--scale", "smoke").assert_one_panel().words
    assert "no result here" in hyprepro("curves", "no/where").assert_one_panel().words
    assert not Path("empty").exists()


def test_a_writer_has_one_method_and_hears_every_line_once(told) -> None:
    assert told
    for lines in told.values():
        assert len({(step, tuple(values)) for step, values in lines}) == len(lines)
        assert any("loss" in values for _, values in lines)


def test_a_page_in_tensorboard_has_curves_configuration_command_and_table(hyprepro, told, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for _ in range(2):  # a second run, which finds all trainings finished, gives the same page
        done = hyprepro("run", "tiny.gin", *COMMON, "--out", tmp_path / "out", "--track", "tensorboard")
        assert done.code == 0, done.stderr
    page = accumulator.EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    page.Reload()
    for training, lines in told.items():
        for metric in {name for _, values in lines for name in values}:
            points = [(event.step, event.value) for event in page.Scalars(f"{training}/{metric}")]
            wanted = [(step, pytest.approx(values[metric], rel=1e-6)) for step, values in lines if metric in values]
            assert points == wanted
    texts = {name: _text(page, name) for name in ("command", "operative_config", "table")}
    assert texts["command"].strip().startswith("hyprepro run tiny.gin --scale smoke")
    assert "Recipe.withheld" in texts["operative_config"]
    assert texts["table"] == (tmp_path / "out" / "table.md").read_text()


def _text(page, name: str) -> str:
    (event,) = page.Tensors(f"{name}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_weights_and_biases_keeps_the_page_here_when_offline(hyprepro, told, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cached"))
    done = hyprepro("run", "tiny.gin", *COMMON, "--out", tmp_path / "out", "--track", "wandb")
    assert done.code == 0, done.stderr
    (kept,) = (tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb")
    content = kept.read_bytes()
    for word in ("hyprepro run tiny.gin", "Recipe.withheld", "regressor (MLPRegressor)", "digest"):
        assert word.encode() in content
    (table,) = (tmp_path / "out" / "wandb").glob("offline-run-*/files/media/table/*.json")
    assert "mse-regressor" in table.read_text()


def test_trackio_has_the_page_in_its_database(hyprepro, told, tmp_path: Path, monkeypatch) -> None:
    trackio = pytest.importorskip("trackio")
    folder = tmp_path / "trackio"
    for module in ("utils", "sqlite_storage"):
        monkeypatch.setattr(f"trackio.{module}.TRACKIO_DIR", folder, raising=False)
    done = hyprepro("run", "tiny.gin", *COMMON, "--out", tmp_path / "out", "--track", "trackio")
    assert done.code == 0, done.stderr
    assert done.stdout == (tmp_path / "out" / "table.md").read_text()
    run = trackio.Api().runs("hyprepro")[0]
    assert "hyprepro run tiny.gin" in json.dumps(run.config)
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    for word in ("regressor (MLPRegressor)", "Recipe.withheld", "mse-regressor"):
        assert word.encode() in content, "curves, configuration and table"


def test_an_unknown_tracker_and_a_missing_package_are_said_before_any_work(told, hyprepro, monkeypatch) -> None:
    words = hyprepro("run", "tiny.gin", *COMMON, "--out", "new", "--track", "tensorbord").assert_one_panel().words
    assert "closest tensorboard" in words
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.delitem(sys.modules, "hyprepro.tracking.trackio", raising=False)
    words = hyprepro("run", "tiny.gin", *COMMON, "--out", "new", "--track", "trackio").assert_one_panel().words
    assert "pip install 'hyprepro[trackio]'" in words
    assert not Path("new").exists()


def test_the_page_of_a_run_that_fails_is_closed() -> None:
    closed = []

    class Closing(Told):
        def close(self) -> None:
            closed.append(True)

    page = Page("name", Path("folder"), "", "", {})
    with pytest.raises(ZeroDivisionError), base.following(Closing(), page, [], None):  # type: ignore[arg-type]
        raise ZeroDivisionError
    assert closed

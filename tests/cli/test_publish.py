"""`hyprepro push / pull` against a stand-in for the Hub: there and back, repeated, and every refusal."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from hyprepro.api import load
from hyprepro.reports.markdown import with_interval
from tests.cheetah_stores import CheetahStores
from tests.hub.stand_in import StandIn

pytestmark = pytest.mark.sim

RECIPE = """\
include 'recipes/table4.gin'
Recipe.name = 'tiny'
Recipe.withheld = (1.5,)
Recipe.train = (10,)
Recipe.methods = (@velocity/GenHypRLWithoutHypFormer(), @Retrieval())
CheetahVel.policies = '{policies}'
CheetahVel.trajectories = '{trajectories}'
CheetahVel.parents = '{parents}'
"""


@pytest.fixture(scope="module")
def made(cheetah_stores: CheetahStores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished result, `run`, and the cache that it was made in; both are left as they are."""
    from typer.testing import CliRunner

    from hyprepro.cli import app

    folder = tmp_path_factory.mktemp("publish")
    text = RECIPE.format(**asdict(cheetah_stores))
    (folder / "tiny.gin").write_text(text)
    words = ["run", folder / "tiny.gin", "--scale", "smoke", "--workers", 0]
    done = CliRunner().invoke(app, [*map(str, words), "--cache", str(folder / "cache"), "--out", str(folder / "run")])
    assert done.exit_code == 0, done.stderr
    return folder


def test_a_pulled_generator_checks_out_and_gives_the_numbers_of_its_card(hyprepro, hub: StandIn, made: Path) -> None:
    sent = hyprepro("push", made / "run", "--to", "me/tiny", "--method", "all", "--cache", made / "cache", "--json")
    assert sent.code == 0, sent.stderr
    card = hub.files("models", "me/tiny")["README.md"].decode()
    assert "Smoke numbers mean nothing" in card
    repeat = [line for line in card.splitlines() if line.startswith("hyprepro ")]
    for line in repeat:
        done = hyprepro(*shlex.split(line)[1:], *(["--workers", 0] if " check " in line else []))
        assert done.code == 0, done.stderr
    assert done.stdout.startswith("Reproduced: all ")
    assert "2 stages to do" in done.stderr  # the rows' rollouts: nothing is trained again
    again = hyprepro("run", "tiny/operative_config.gin", "--cache", "tiny/trained", "--workers", 0, "--json")
    generator = load("tiny/operative_config.gin", method="gen-hyprl-wo-hypformer", cache="tiny/trained")
    assert len(generator.generate(1.5, n=1)) == 1
    averages = [row for row in again.json["rows"] if row["task"] is None and row["statistic"] == "mean"]
    assert averages
    for row in averages:
        assert re.search(rf"\| {row['method']} .*{re.escape(with_interval(row))}", card), row


@pytest.fixture
def published(hyprepro, hub: StandIn, made: Path) -> dict[str, str]:
    """The result alone, published: its place and its digest."""
    return hyprepro("push", made / "run", "--to", "me/result", "--json").json


def test_stores_there_and_back_are_the_same_bytes(hyprepro, hub: StandIn, tiny_stores, tmp_path: Path) -> None:
    for kind in ("policies", "trajectories"):
        shutil.copy(getattr(tiny_stores, kind), tmp_path / f"zoo.{kind}.h5")
    (tmp_path / "zoo.md").write_text("# Data card: zoo\n")
    sent = hyprepro("push", tmp_path / "zoo", "--to", "me/zoo")
    assert sent.code == 0, sent.stderr
    assert hyprepro(*shlex.split(sent.stdout)[1:]).code == 0  # what push prints brings it
    for name in ("zoo.policies.h5", "zoo.trajectories.h5", "zoo.md"):
        assert Path("zoo", name).read_bytes() == (tmp_path / name).read_bytes()
    card = hub.files("datasets", "me/zoo")["README.md"].decode()
    assert card.startswith("---\nlicense: mit\n")
    assert re.search(r"\| door-open +\| 95.0 \[\d.*\] +\| +20 \|", card)
    assert "hyprepro store verify zoo/zoo.policies.h5" in card


def test_a_dry_run_shows_the_card_and_needs_no_token(hyprepro, hub: StandIn, made: Path, monkeypatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    shown = hyprepro("push", made / "run", "--to", "me/result", "--dry-run")
    assert shown.code == 0, shown.stderr
    assert "## Numbers" in shown.stdout
    assert "names a place on this machine" in shown.stderr  # the test's stores lie in no folder of others
    assert not hub.commits


def test_nothing_is_sent_without_a_token_or_with_a_wrong_one(hyprepro, hub: StandIn, made: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    assert "refuses this token (HTTP 401)" in refused(hyprepro("push", made / "run", "--to", "me/result"))
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in refused(hyprepro("push", made / "run", "--to", "me/result"))
    assert not hub.commits


def test_a_repository_of_another_origin_is_left_alone(hyprepro, hub: StandIn, made: Path) -> None:
    hub.commit("datasets", "me/novel", {"README.md": b"# My novel"})
    assert "did not publish" in refused(hyprepro("push", made / "run", "--to", "me/novel"))
    assert "no such file" in refused(hyprepro("pull", "datasets/me/novel"))


def test_a_result_without_records_is_not_published(hyprepro, hub: StandIn, made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made / "run", tmp_path / "copy"))
    text = (copy / "result.json").read_text()
    (copy / "result.json").write_text(text.replace('"value": -3', '"value": -2'))
    assert "changed after the run" in refused(hyprepro("push", copy, "--to", "me/result"))
    (copy / "records.csv.gz").unlink()
    assert "no records" in refused(hyprepro("push", copy, "--to", "me/result"))
    assert not hub.commits


def test_a_row_that_is_not_trained_here_is_named(hyprepro, hub: StandIn, made: Path, tmp_path: Path) -> None:
    push = ["push", made / "run", "--to", "me/tiny", "--method"]
    assert "not trained here" in refused(hyprepro(*push, "all", "--cache", tmp_path / "empty"))
    assert "closest gen-hyprl-wo-hypformer" in refused(
        hyprepro(*push, "gen-hyprl-hypformer", "--cache", made / "cache")
    )


def test_what_is_not_as_its_digest_says_is_not_taken(hyprepro, hub: StandIn, published: dict[str, str]) -> None:
    assert "digest does not match" in refused(hyprepro("pull", published["place"], "--digest", "0" * 64))
    assert "no digest" in refused(hyprepro("pull", published["place"], "--digest", "main"))
    hub.commit("datasets", "me/result", {"table.md": b"# A better table\n"})
    assert "not what the repository says of it" in refused(hyprepro("pull", "me/result"))
    assert hyprepro("pull", published["place"], "--digest", published["digest"]).code == 0  # pinned, it is as it was


def test_a_damaged_hub_cache_is_mended(hyprepro, hub: StandIn, published: dict[str, str], tmp_path: Path) -> None:
    assert hyprepro("pull", "me/result", "--out", "one").code == 0
    (cached,) = (tmp_path / "hub").glob("*/snapshots/*/table.md")
    cached.resolve().write_bytes(b"damaged")
    assert hyprepro("pull", "me/result", "--out", "two").code == 0
    assert Path("two/table.md").read_bytes() == Path("one/table.md").read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "another schema: 2, this version reads 1"),
        ({"kind": "novel"}, "its kind is 'novel'"),
        ({"files": {"../up.md": {"sha256": "0" * 64, "bytes": 1}}}, "'../up.md' is no plain path"),
        ({"files": {"run.py": {"sha256": "0" * 64, "bytes": 1}}}, "'run.py' is none of .h5"),
        ({"files": {"a.pkl/../x.md": {}}}, "no plain path"),
        ({"files": {"a.md": {"sha256": "0", "bytes": 1}}}, "a.md has no digest"),
        ({"files": {}}, "names no files"),
    ],
)
def test_a_repository_of_another_form_is_refused(
    hyprepro, hub: StandIn, published: dict[str, str], change: dict[str, object], words: str
) -> None:
    data = json.loads(hub.files("datasets", "me/result")["hyprepro.json"])
    hub.commit("datasets", "me/result", {"hyprepro.json": json.dumps({**data, **change}).encode()})
    assert words in refused(hyprepro("pull", "datasets/me/result"))


def test_an_interrupted_download_leaves_nothing_and_goes_on(hyprepro, hub: StandIn, published: dict[str, str]) -> None:
    hub.cuts["table.md"] = 50
    assert "the same command again" in refused(hyprepro("pull", "me/result"))
    before = len(hub.taken)
    hub.cuts.clear()
    assert hyprepro("pull", "me/result").code == 0
    asked = {path for path, _ in hub.taken[before:]}
    assert "table.md" in asked
    assert "config.json" not in asked  # it had arrived


def test_a_connection_that_breaks_once_goes_unnoticed(hyprepro, hub: StandIn, published: dict[str, str]) -> None:
    hub.cuts["table.md"] = 1
    assert hyprepro("pull", "me/result").code == 0
    assert [path for path, _ in hub.taken].count("table.md") == 2


def test_what_is_not_there_is_said(hyprepro, hub: StandIn, published: dict[str, str], monkeypatch) -> None:
    assert "no such repository" in refused(hyprepro("pull", "me/nothing"))
    assert "no such revision" in refused(hyprepro("pull", "datasets/me/result@" + "0" * 40))
    assert "does not name a repository" in refused(hyprepro("pull", "https://me/result"))
    Path("result").mkdir()
    assert "exists already" in refused(hyprepro("pull", "me/result"), there=["result"])


def refused(outcome, there: list[str] | None = None) -> str:
    """The words of the one panel of a command that left nothing in the working folder."""
    words = outcome.assert_one_panel().words
    assert [each.name for each in Path.cwd().iterdir()] == (there or [])
    return words

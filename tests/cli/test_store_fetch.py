"""`hyprepro store fetch`: from a folder and a URL, resumed, held against its digest; what a run says without it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from hyprepro.domains.metaworld.domain import MetaWorld
from hyprepro.stores.bundled import Bundled, Pinned, bundled
from tests.hub.stand_in import StandIn

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 400


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A release with one small store, the file that it pins, and a folder that it lies in."""
    pinned = {"tiny.policies.h5": Pinned(sha256(CONTENT).hexdigest(), len(CONTENT))}
    monkeypatch.setattr("hyprepro.hub.fetch.bundled", lambda: Bundled("", {"tiny": pinned}))
    monkeypatch.delenv("HYPREPRO_STORES", raising=False)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "tiny.policies.h5").write_bytes(CONTENT)
    return tmp_path / "there"


@pytest.fixture
def server(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A server of files that is named in the environment."""
    hub.commit("models", "a/b", {"tiny.policies.h5": CONTENT})
    monkeypatch.setenv("HYPREPRO_STORES", f"{hub.url}/a/b/resolve/main")
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    return hub


def test_the_repositorys_stores_are_those_that_are_pinned() -> None:
    files = {name: pinned for store in bundled().stores.values() for name, pinned in store.items()}
    assert set(files) == {path.name for path in (ROOT / "stores").iterdir() if path.suffix in (".h5", ".md")} - {
        "cheetah-vel-full.md"
    }
    assert all(Pinned.of(ROOT / "stores" / name) == pinned for name, pinned in files.items())


def test_a_run_without_its_store_says_what_fetches_it_and_finds_it_then(
    hyprepro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hyprepro.domains.stores.ROOT", tmp_path)
    words = hyprepro("run", "table1", "--dry-run").assert_one_panel().words
    assert "do hyprepro store fetch metaworld" in words
    fetched = hyprepro("store", "fetch", "metaworld", "--from", ROOT / "stores", "--json")
    assert fetched.json["files"] == {
        f"stores/metaworld.{end}": True for end in ("md", "policies.h5", "trajectories.h5")
    }
    assert MetaWorld().policies_path == Path.cwd() / "stores" / "metaworld.policies.h5"
    assert not any(hyprepro("store", "fetch", "metaworld", "--json").json["files"].values())


def test_an_interrupted_fetch_goes_on_within_the_file(hyprepro, tiny: Path, server: StandIn) -> None:
    server.cuts["tiny.policies.h5"] = 50
    assert "the same command again" in hyprepro("store", "fetch", "tiny").assert_one_panel().words
    assert not Path("stores/tiny.policies.h5").exists()
    server.cuts.clear()
    assert hyprepro("store", "fetch", "tiny").code == 0
    assert [each.name for each in Path("stores").iterdir()] == ["tiny.policies.h5"]
    assert Path("stores/tiny.policies.h5").read_bytes() == CONTENT
    assert server.taken[-1][1] > len(CONTENT) // 3


def test_what_another_source_left_is_not_gone_on_with(hyprepro, tiny: Path, server: StandIn) -> None:
    server.cuts["tiny.policies.h5"] = 50
    hyprepro("store", "fetch", "tiny").assert_one_panel()
    (part,) = Path("stores").iterdir()
    part.write_bytes(b"x" * part.stat().st_size)
    server.cuts.clear()
    assert hyprepro("store", "fetch", "tiny").code == 0
    assert Path("stores/tiny.policies.h5").read_bytes() == CONTENT


def test_a_store_of_another_digest_is_refused_and_leaves_nothing(hyprepro, tiny: Path, server: StandIn) -> None:
    server.commit("models", "a/b", {"tiny.policies.h5": CONTENT[::-1]})
    words = hyprepro("store", "fetch", "tiny").assert_one_panel().words
    assert "digest does not match" in words
    assert list(Path("stores").iterdir()) == []
    assert "not lie in this folder" in hyprepro("store", "fetch", "tiny", "--from", "nowhere").assert_one_panel().words
    elsewhere = f"{server.url}/elsewhere"
    assert "HTTP 404" in hyprepro("store", "fetch", "tiny", "--from", elsewhere).assert_one_panel().words
    assert list(Path("stores").iterdir()) == []


def test_what_stands_in_the_way_or_is_unknown_is_said(hyprepro, tiny: Path, tmp_path: Path) -> None:
    assert "does not say where" in hyprepro("store", "fetch", "tiny", "--out", tmp_path).assert_one_panel().words
    assert "closest tiny" in hyprepro("store", "fetch", "tinny").assert_one_panel().words
    (tmp_path / "tiny.policies.h5").write_bytes(b"mine")
    words = hyprepro("store", "fetch", "tiny", "--from", tiny, "--out", tmp_path).assert_one_panel().words
    assert "has the name of a bundled store" in words
    assert (tmp_path / "tiny.policies.h5").read_bytes() == b"mine"

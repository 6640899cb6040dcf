from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyprepro.component import Component, setting
from hyprepro.engine import stage as artifacts
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.stage import Report, StoreFile, explain_os_error, read_metrics, write_atomically
from hyprepro.experiments.protocols import PaperProtocol
from tests.engine.toy_stages import Chain, Faulty, Join, Toy


class Settings(Component):
    slot: ClassVar[str] = "toy"
    rate: float = setting(0.1, "A rate.")


@dataclass(frozen=True)
class Configured(Toy):
    kind: ClassVar[str] = "configured"
    settings_of: Settings = field(default_factory=Settings)
    store: StoreFile = field(default_factory=lambda: StoreFile("here.h5", "d1"))
    sizes: tuple[int, ...] = (1, 2)


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def test_the_key_depends_on_every_setting_and_input() -> None:
    stages = [
        Configured(),
        Configured(name="b"),
        Configured(settings_of=Settings(rate=0.2)),
        Configured(store=StoreFile("here.h5", "d2")),
        Configured(sizes=(2, 1)),
        Chain(),
        Chain(source=Toy()),
        Chain(source=Toy(name="b")),
        Join(parts=(Toy(), Toy(name="b"))),
        Join(parts=(Toy(name="b"), Toy())),
    ]
    assert len({stage.key for stage in stages}) == len(stages)


def test_the_key_is_the_same_for_the_same_content() -> None:
    assert Configured().key == Configured(settings_of=Settings(rate=0.1)).key
    assert Configured().key == Configured(store=StoreFile("moved.h5", "d1")).key


def test_the_key_depends_on_the_versions_of_stage_and_libraries_and_on_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Toy().key
    monkeypatch.setattr(Toy, "version", 2)
    raised = Toy().key
    monkeypatch.setattr(artifacts, "library_versions", lambda: {"mujoco": "9.9"})
    other = Toy().key
    monkeypatch.setenv("HYPREPRO_DEVICE", "cuda")
    assert len({before, raised, other, Toy().key}) == 4


@pytest.mark.parametrize("value", [float("nan"), object(), {"a": 1}, (1, Toy())])
def test_a_field_that_cannot_be_hashed_reliably_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="sizes"):
        _ = Configured(sizes=value).key


def test_making_a_stage_writes_its_artifact_and_a_manifest(cache: ArtifactCache) -> None:
    source = Toy(name="seed")
    stage = Chain(source=source)
    cache.make(source)
    assert not cache.is_finished(stage)
    path = cache.make(stage)
    assert cache.is_finished(stage)
    assert len(stage.load(path)) == 64
    manifest = cache.manifest(stage)
    assert manifest["key"] == stage.key
    assert manifest["inputs"] == {"source": source.key}
    assert manifest["settings"]["steps"] == 100
    assert set(manifest["files"]) == {"metrics.jsonl", "result.txt"}
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "metrics.jsonl", "result.txt"]


def test_a_finished_stage_is_not_run_again(
    cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    cache.make(Toy())
    ArtifactCache(cache.root).make(Toy())
    assert (tmp_path / "log").read_text() == "a\n"


def test_two_caches_get_the_same_digest(cache: ArtifactCache, tmp_path: Path) -> None:
    other = ArtifactCache(tmp_path / "other")
    stage = Chain()
    cache.make(stage)
    other.make(stage)
    assert cache.manifest(stage)["digest"] == other.manifest(stage)["digest"]


@pytest.mark.parametrize("damage", ["change", "delete", "manifest", "cut manifest"])
def test_a_damaged_artifact_is_rebuilt(cache: ArtifactCache, damage: str) -> None:
    stage = Chain()
    path = cache.make(stage)
    content = stage.load(path)
    if damage == "change":
        (path / "result.txt").write_text("x" * len(content))
    elif damage == "delete":
        (path / "result.txt").unlink()
    elif damage == "manifest":
        (path / "manifest.json").unlink()
    else:
        (path / "manifest.json").write_text('{"key": ')
    fresh = ArtifactCache(cache.root)
    assert not fresh.is_finished(stage)
    assert stage.load(fresh.make(stage)) == content
    assert fresh.is_finished(stage)


def test_an_artifact_of_another_stage_in_the_same_place_is_not_taken_for_it(cache: ArtifactCache) -> None:
    cache.make(Toy())
    shutil.copytree(cache.path_of(Toy()), cache.path_of(Toy(name="b")))
    assert not cache.is_finished(Toy(name="b"))


def test_a_stage_that_fails_leaves_no_artifact(cache: ArtifactCache) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.make(Faulty(way="bug"))
    assert not cache.path_of(Faulty(way="bug")).exists()


def test_an_interrupted_stage_continues_from_its_checkpoint_and_nothing_else_survives(cache: ArtifactCache) -> None:
    stage = Chain()
    work = cache.work_of(stage)
    (work / "folder").mkdir(parents=True)
    (work / "half.txt").write_text("left by the killed run")
    (work / "checkpoint.txt").write_text(f"{stage.steps} the-state-before")
    path = cache.make(stage)
    assert stage.load(path) == "the-state-before"  # no step was left to do
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "result.txt"]


def test_a_kill_between_the_last_write_and_the_rename_costs_nothing(
    cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = Toy()
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    os.replace(cache.make(stage), cache.work_of(stage))
    fresh = ArtifactCache(cache.root)
    fresh.make(stage)
    assert fresh.is_finished(stage)
    assert (tmp_path / "log").read_text() == "a\n"


def test_a_second_maker_waits_for_the_lock_and_then_finds_the_artifact(cache: ArtifactCache) -> None:
    stage, other = Chain(pause=0.005), ArtifactCache(cache.root)
    maker = threading.Thread(target=cache.make, args=(stage,))
    maker.start()
    while not cache.work_of(stage).exists():
        pass
    waited: list[bool] = []
    path = other.make(stage, on_wait=lambda: waited.append(True))
    maker.join()
    assert waited == [True]
    assert len(stage.load(path)) == 64


def test_a_failed_atomic_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.md"
    write_atomically(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_reports_are_thinned_out_evenly_and_the_last_one_is_kept(tmp_path: Path) -> None:
    report = Report(tmp_path / "metrics.jsonl", lines=10)
    for step in range(1, 101):
        report.progress(step, 100, loss=1.0)
        if step % 50 == 0:
            report.progress(step, 100, validation=2.0)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == [1, *range(10, 101, 10)]
    assert [line["step"] for line in lines if "validation" in line] == [50, 100]


def test_a_report_without_a_file_is_silent() -> None:
    Report().progress(1, 2, loss=0.5)


def test_a_loss_that_is_not_a_number_is_reported_as_valid_json(tmp_path: Path) -> None:
    Report(tmp_path / "m").progress(1, 1, loss=float("nan"), other=float("inf"))
    assert json.loads((tmp_path / "m").read_text()) == {"step": 1, "total": 1, "loss": "nan", "other": "inf"}


@settings(deadline=None)  # files are written: no race against a clock
@given(steps=st.integers(1, 60), lines=st.integers(1, 80), cut=st.integers(1, 60), every=st.integers(1, 20))
def test_metrics_of_a_continued_run_are_those_of_an_uninterrupted_one(
    tmp_path_factory: pytest.TempPathFactory, steps: int, lines: int, cut: int, every: int
) -> None:
    folder = tmp_path_factory.mktemp("metrics")

    def train(path: Path, first: int, last: int) -> None:
        report = Report(path, lines)
        for step in range(first, last + 1):
            report.progress(step, steps, loss=1 / step)
            if step % 7 == 0:
                report.progress(step, steps, validation=1 / step)

    train(folder / "whole", 1, steps)
    killed_at = min(cut, steps)
    train(folder / "cut", 1, killed_at)
    with (folder / "cut").open("a") as file:
        file.write('{"step": 3')  # the line that the kill cut off
    train(folder / "cut", killed_at // every * every + 1, steps)
    assert read_metrics(folder / "cut") == read_metrics(folder / "whole")


def test_system_errors_of_the_users_making_become_user_errors() -> None:
    folder = Path("results")
    full = explain_os_error(OSError(errno.ENOSPC, "No space left on device", "results/x"), folder)
    wrapped = explain_os_error(RuntimeError("Can't write data (errno = 28, 'No space left on device')"), folder)
    denied = explain_os_error(PermissionError(errno.EACCES, "Permission denied", "results"), folder)
    in_the_way = explain_os_error(NotADirectoryError(errno.ENOTDIR, "Not a directory", "results"), folder)
    assert full is not None
    assert (full.what, full.where) == ("The disk is full.", "results/x")
    assert wrapped is not None
    assert wrapped.what == "The disk is full."
    assert denied is not None
    assert "cannot be written" in denied.what
    assert in_the_way is not None
    assert "folder is needed" in in_the_way.what
    assert explain_os_error(FileNotFoundError(errno.ENOENT, "No such file", "x"), folder) is None


def test_the_key_depends_on_the_code_of_the_stage_and_of_its_components(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(artifacts, "source_digest", lambda modules: seen.append(set(modules)) or str(len(seen)))
    assert Configured().key != Configured().key
    assert seen[0] == {__name__}
    assert "hyprepro.experiments.protocols" not in seen[0]
    _ = Configured(sizes=(PaperProtocol(),)).key  # type: ignore[arg-type]
    assert seen[-1] == {__name__, "hyprepro.experiments.protocols"}


@pytest.mark.parametrize("name", ["../secret", "/dev/zero", "link", "pipe", "folder"])
def test_a_manifest_that_names_files_elsewhere_is_of_no_artifact(
    cache: ArtifactCache, tmp_path: Path, name: str
) -> None:
    """A cache may have been fetched from somebody: nothing outside it is read, and nothing without an end."""
    stage = Toy()
    folder = cache.make(stage)
    (tmp_path / "cache" / "secret").write_text("a")
    (folder / "link").symlink_to(tmp_path / "cache" / "secret")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    digest = artifacts.fingerprint("anything")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert not cache.is_finished(stage)


@pytest.mark.parametrize("text", ["[]", '{"key": 1, "files": []}', "[" * 100_000, '{"files": {"x": 1}}', "\x00"])
def test_a_manifest_of_another_form_is_of_no_artifact(cache: ArtifactCache, text: str) -> None:
    stage = Toy()
    folder = cache.make(stage)
    (folder / "manifest.json").write_text(text.replace('"key": 1', f'"key": "{stage.key}"'))
    assert not cache.is_finished(stage)
    assert cache.is_finished(stage) or cache.make(stage) == folder
    assert cache.is_finished(stage)

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hyprepro.engine import executors
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import StageError
from hyprepro.engine.plan import missing
from hyprepro.engine.schedule import Event, execute
from hyprepro.engine.stage import Stage
from hyprepro.errors import UserError
from tests.engine.toy_stages import Chain, Faulty, Join, Memory, Pid, Prepared, TorchState, Toy, graph

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def all_stages(targets: list[Stage]) -> list[Stage]:
    found = {stage.key: stage for stage in targets}
    for stage in targets:
        found |= {source.key: source for source in all_stages(list(stage.inputs.values()))}
    return list(found.values())


def digests(cache: ArtifactCache, targets: list[Stage]) -> dict[str, str]:
    return {stage.label: cache.manifest(stage)["digest"] for stage in all_stages(targets)}


def start(cache: ArtifactCache, log: Path) -> subprocess.Popen[bytes]:
    # A shell ignores SIGINT in what it starts in the background, and children inherit that.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "tests.engine.toy_stages", str(cache.root), str(log)]
    return subprocess.Popen(command, cwd=ROOT, preexec_fn=listen)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`."""
    try:
        children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return children + [below for child in children for below in descendants(child)]


GONE_WITHIN = 60.0
"""Seconds that a process of a run may live on after the run's end, however busy the machine is (`executors`)."""


def assert_all_end(pids: list[int]) -> None:
    """All processes end soon, and by themselves."""
    deadline = time.monotonic() + GONE_WITHIN
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"processes {alive} go on without their run"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_and_this_process_make_the_same_artifacts(cache: ArtifactCache, tmp_path: Path) -> None:
    here, targets = ArtifactCache(tmp_path / "here"), graph(pause=0.0)
    paths = execute(targets, cache, workers=2)
    execute(targets, here, workers=0)
    assert paths == {stage.key: cache.path_of(stage) for stage in targets}
    assert digests(cache, targets) == digests(here, targets)


def test_only_what_is_missing_is_made(cache: ArtifactCache) -> None:
    first, second = Chain(name="x"), Chain(name="y")
    execute([first], cache, workers=0)
    events: list[Event] = []
    execute([Join(parts=(first, second))], cache, workers=0, on_event=events.append)
    assert [e.stage.label for e in events if e.kind == "started"] == ["chain y", "join a"]
    events.clear()
    execute([Join(parts=(first, second))], cache, workers=0, on_event=events.append)
    assert events == []


def test_a_finished_target_does_not_ask_for_its_inputs(cache: ArtifactCache) -> None:
    source = Toy(name="source")
    target = Chain(source=source)
    execute([target], cache, workers=0)
    (cache.path_of(source) / "result.txt").unlink()
    assert missing([target], cache) == []
    other = Chain(source=source, steps=5)
    assert missing([target, other], cache) == [source, other]  # the damaged source is made again for the other


def test_progress_reaches_the_caller(cache: ArtifactCache) -> None:
    events: list[Event] = []
    stage = Chain(steps=100, pause=0.02)
    execute([stage], cache, workers=1, on_event=events.append)
    assert events[0].kind == "started"
    assert events[-1] == Event("finished", stage, 1, 1)
    seen = [(e.step, e.steps, e.metrics) for e in events if e.kind == "progress"]
    assert seen
    assert all(metrics == {"loss": 1.0 / step} and steps == 100 for step, steps, metrics in seen)


def test_longer_chains_of_work_go_first(cache: ArtifactCache) -> None:
    short = Toy(name="short")
    long = Chain(name="end", source=Chain(name="middle", source=Chain(name="head")))
    events: list[Event] = []
    execute([short, long], cache, workers=0, on_event=events.append)
    started = [e.stage.label for e in events if e.kind == "started"]
    assert started.index("chain head") < started.index("toy short")


def test_stages_of_one_affinity_share_a_worker(cache: ArtifactCache) -> None:
    stages = [Pid(name=f"{task}-{i}", work_on=task) for i in range(4) for task in ("reach", "door-open")]
    paths = execute(stages, cache, workers=2)
    pids = {task: {s.load(paths[s.key]) for s in stages if s.work_on == task} for task in ("reach", "door-open")}
    assert len(pids["reach"] | pids["door-open"]) == 2
    assert {len(of_task) for of_task in pids.values()} <= {1, 2}
    switches = sum(len(of_task) - 1 for of_task in pids.values())
    assert switches <= 1  # only a worker that has run out of its own task's stages helps the other


@pytest.mark.parametrize("workers", [0, 1])
def test_stages_that_prepare_the_same_run_in_a_row(cache: ArtifactCache, workers: int) -> None:
    """Whatever they cost: by cost alone both long ones would come first, and each preparation would be made twice."""
    stages = [Prepared(name=f"{what}-{cost}", what=what, seconds=cost) for cost in (9, 1, 8) for what in ("a", "b")]
    stages += [Prepared(name="nothing", seconds=5)]
    events: list[Event] = []
    execute(stages, cache, workers=workers, on_event=events.append)
    started = [e.stage.name for e in events if e.kind == "started" and isinstance(e.stage, Prepared)]
    assert started == ["a-9", "a-8", "a-1", "b-9", "b-8", "b-1", "nothing"]


def test_a_worker_gives_back_what_a_stage_has_freed(cache: ArtifactCache) -> None:
    before = Memory(name="before", megabytes=300)
    after = Memory(name="after", after=before)
    paths = execute([before, after], cache, workers=1)
    assert int(after.load(paths[after.key])) < int(before.load(paths[before.key])) + 60


def test_a_user_error_reaches_the_caller_whole_and_leaves_nothing(cache: ArtifactCache) -> None:
    before = execute([Toy()], cache, workers=1)
    with pytest.raises(UserError) as caught:
        execute([Faulty(way="user")], cache, workers=1)
    assert (caught.value.what, caught.value.where, caught.value.fix) == (
        "The prompt is too short.",
        "store.h5",
        "use another",
    )
    assert not cache.path_of(Faulty(way="user")).exists()
    assert execute([Toy()], cache, workers=1) == before


def test_a_bug_is_reported_with_its_traceback(cache: ArtifactCache) -> None:
    for workers in (0, 1):
        with pytest.raises(StageError, match="ZeroDivisionError: a bug"):
            execute([Faulty(way="bug")], cache, workers=workers)


def test_a_full_disk_is_a_user_error(cache: ArtifactCache) -> None:
    with pytest.raises(UserError, match="The disk is full"):
        execute([Faulty(way="full disk")], cache, workers=1)


def test_a_killed_worker_is_a_user_error(cache: ArtifactCache) -> None:
    with pytest.raises(UserError, match=r"faulty a ended \(SIGKILL\)"):
        execute([Faulty(way="killed")], cache, workers=1)


def test_a_cache_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="A file stands where a folder is needed"):
        execute([Toy()], ArtifactCache(tmp_path / "file" / "cache"), workers=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_torch_is_deterministic_and_single_threaded_in_a_stage_and_as_before_outside(
    cache: ArtifactCache, workers: int
) -> None:
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    stage = TorchState()
    text = stage.load(execute([stage], cache, workers=workers)[stage.key])
    assert text.startswith("1 True")
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
    again = ArtifactCache(cache.root.with_name("again"))
    assert stage.load(execute([stage], again, workers=1)[stage.key]) == text


def test_killed_at_random_moments_the_same_command_gives_the_same_result(cache: ArtifactCache, tmp_path: Path) -> None:
    targets = graph()
    whole = ArtifactCache(tmp_path / "whole")
    execute(graph(), whole, workers=0)
    moments = random.Random(7)
    kills = 0
    while missing(targets, cache):
        process = start(cache, tmp_path / "log")
        deadline = time.monotonic() + moments.uniform(0.7, 1.6) * 1.07**kills  # a busy machine needs longer
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            assert process.returncode == 0
            continue
        workers = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        assert_all_end(workers)
        assert kills < 60, "the run makes no progress between kills"
    assert kills >= 2
    assert digests(cache, targets) == digests(whole, targets)
    for stage in all_stages(targets):
        theirs = sorted(p.name for p in whole.path_of(stage).iterdir())
        assert sorted(p.name for p in cache.path_of(stage).iterdir()) == theirs
        for name in set(theirs) - {"manifest.json"}:
            assert (cache.path_of(stage) / name).read_bytes() == (whole.path_of(stage) / name).read_bytes()


def test_two_runs_at_once_share_the_work(cache: ArtifactCache, tmp_path: Path) -> None:
    targets = graph()
    both = [start(cache, tmp_path / "log") for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert missing(targets, cache) == []
    runs = (tmp_path / "log").read_text().split()
    assert sorted(runs) == sorted({stage.name for stage in all_stages(targets)})  # type: ignore[attr-defined]


def test_an_interrupt_ends_the_run_and_its_workers(cache: ArtifactCache, tmp_path: Path) -> None:
    process = start(cache, tmp_path / "log")
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    workers = descendants(process.pid)
    assert workers
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=GONE_WITHIN) != 0
    assert_all_end(workers)


def test_a_worker_that_dies_before_it_has_read_its_stage(cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = executors._start_worker

    def dying(root: Path) -> Any:
        worker = begin(root)
        send = worker.pipe.send

        def send_to_a_stopped_one(stage: Any) -> None:
            os.kill(worker.process.pid, signal.SIGSTOP)  # spawning takes longer than this: it has read nothing
            send(stage)
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()

        monkeypatch.setattr(worker, "pipe", _Sending(worker.pipe, send_to_a_stopped_one))
        return worker

    monkeypatch.setattr(executors, "_start_worker", dying)
    with pytest.raises(UserError, match=r"ended \(SIGKILL\)"):
        execute([Faulty(way="never")], cache, workers=1)


class _Sending:
    """A pipe with another `send`."""

    def __init__(self, pipe: Any, send: Callable[[Any], None]) -> None:
        self._pipe, self.send = pipe, send

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

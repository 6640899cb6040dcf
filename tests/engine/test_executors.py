"""What every executor must do, whatever runs the stages."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import Executor, LocalProcesses, StageError, ThisProcess
from hyprepro.engine.plan import missing
from hyprepro.engine.schedule import Event, execute
from hyprepro.engine.slurm import SlurmJobs
from hyprepro.errors import UserError
from tests.engine.test_schedule import all_stages, digests
from tests.engine.toy_stages import Chain, Faulty, Toy, graph

HAS_RAY = importlib.util.find_spec("ray") is not None
ray_cluster = pytest.param(
    "ray", marks=[pytest.mark.ray, pytest.mark.skipif(not HAS_RAY, reason="pip install 'hyprepro[ray]'")]
)


CONCURRENT = ["local processes", "jobs", ray_cluster]


@pytest.fixture(params=["this process", *CONCURRENT])
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "this process":
        return ThisProcess()
    if request.param == "jobs":
        return SlurmJobs("local")
    return LocalProcesses(2) if request.param == "local processes" else request.getfixturevalue("cluster_of_one")


@pytest.fixture(scope="module")
def cluster_of_one() -> Iterator[Executor]:
    """A cluster that lives as long as the tests of this file: one machine of two processors."""
    from ray.cluster_utils import Cluster

    from hyprepro.engine.ray import RayCluster

    head = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield RayCluster(cluster.address)
    cluster.shutdown()


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def test_all_executors_make_what_the_serial_run_makes_in_an_order_that_inputs_allow(
    executor: Executor, cache: ArtifactCache, tmp_path: Path
) -> None:
    whole, targets, events = ArtifactCache(tmp_path / "whole"), graph(pause=0.0), list[Event]()
    execute(targets, whole, workers=0)
    execute(targets, cache, executor, events.append)
    assert digests(cache, targets) == digests(whole, targets)
    finished = [event.stage.key for event in events if event.kind == "finished"]
    started = [(event.stage, event.finished) for event in events if event.kind == "started"]
    assert sorted(finished) == sorted(stage.key for stage in all_stages(targets))
    for stage, before in started:
        assert {source.key for source in stage.inputs.values()} <= set(finished[:before])
    assert [event.finished for event in events if event.kind == "finished"] == list(range(1, len(finished) + 1))


def test_what_is_there_is_not_made_again_and_an_executor_serves_many_runs(
    executor: Executor, cache: ArtifactCache
) -> None:
    events: list[Event] = []
    execute([Toy(name="x")], cache, executor)
    execute([Toy(name="x"), Toy(name="y")], cache, executor, events.append)
    assert {event.stage.label for event in events} == {"toy y"}


def test_a_mistake_of_the_users_comes_whole_and_leaves_no_artifact(executor: Executor, cache: ArtifactCache) -> None:
    with pytest.raises(UserError) as caught:
        execute([Faulty(way="user")], cache, executor)
    assert str(caught.value) == str(UserError("The prompt is too short.", where="store.h5", fix="use another"))
    assert missing([Faulty(way="user")], cache) == [Faulty(way="user")]


def test_a_bug_comes_with_its_traceback(executor: Executor, cache: ArtifactCache) -> None:
    with pytest.raises(StageError, match="ZeroDivisionError: a bug"):
        execute([Faulty(way="bug")], cache, executor)


def test_a_full_disk_is_named(executor: Executor, cache: ArtifactCache) -> None:
    with pytest.raises(UserError, match="The disk is full"):
        execute([Faulty(way="full disk")], cache, executor)


@pytest.mark.parametrize("executor", CONCURRENT, indirect=True)
def test_a_failure_ends_what_runs_beside_it(executor: Executor, cache: ArtifactCache) -> None:
    slow = Chain(name="slow", steps=4000, pause=0.05)
    with pytest.raises(UserError, match="too short"):
        execute([slow, Faulty(way="user")], cache, executor)
    held = True
    deadline = time.monotonic() + 60
    while held and time.monotonic() < deadline:  # the lock is free once the process is gone
        waited: list[bool] = []
        thread = Thread(target=_take, args=(cache, slow, waited), daemon=True)
        thread.start()
        thread.join(0.5)
        held = thread.is_alive()
    assert not held
    assert not cache.path_of(slow).exists()


def _take(cache: ArtifactCache, stage: Chain, waited: list[bool]) -> None:
    with cache.lock(cache.name_of(stage), lambda: waited.append(True)):
        pass


def test_two_runs_at_once_make_every_stage_once(executor: Executor, cache: ArtifactCache) -> None:
    """A stage given out twice is made once, and both runs end well."""
    stage = Chain(name="twice", pause=0.005)
    errors: list[BaseException] = []

    def beside() -> None:
        try:
            execute([stage], cache, workers=1)
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=beside)
    thread.start()
    execute([stage], cache, executor)
    thread.join()
    assert errors == []
    assert missing([stage], cache) == []
    assert not list(cache.root.glob("*.partial"))


def test_relative_paths_and_the_working_folder_stay_as_they_are(executor: Executor, cache: ArtifactCache) -> None:
    before = Path.cwd(), dict(os.environ)
    execute([Toy()], cache, executor)
    assert Path.cwd() == before[0]
    assert {name: os.environ.get(name) for name in before[1]} == before[1]

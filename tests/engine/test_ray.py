"""A real Ray cluster of a head without processors and two nodes, on this machine."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyprepro.config.user_module import user_module
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import missing
from hyprepro.engine.schedule import Event, execute
from hyprepro.engine.stage import Stage
from hyprepro.errors import UserError
from tests.engine.test_schedule import ROOT, all_stages, digests
from tests.engine.toy_stages import Chain, Faulty, Join, Toy, Traced, graph

pytest.importorskip("ray")
pytestmark = pytest.mark.ray

from ray.cluster_utils import Cluster  # noqa: E402 -- only where Ray is installed

from hyprepro.engine.ray import ATTEMPTS, RayCluster  # noqa: E402

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces"


def attempts(traces: Path, name: str) -> list[list[str]]:
    """Of every attempt at a traced stage: node, process, fresh or resumed."""
    path = traces / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def plain(stage: Traced) -> Chain:
    """The chain whose content a traced stage has."""
    return Chain(name=stage.name, steps=stage.steps, every=stage.every)


def test_tasks_land_on_both_nodes_and_the_result_is_the_serial_one(
    cluster: Any, cache: ArtifactCache, traces: Path, tmp_path: Path
) -> None:
    parts = tuple(Traced(name=str(i), traces=str(traces), pause=0.01) for i in range(4))
    paths = execute([Join(parts=parts)], cache, RayCluster(cluster.address))
    nodes = {attempts(traces, part.name)[0][0] for part in parts}
    assert len(nodes) == 2
    serial = ArtifactCache(tmp_path / "serial")
    reference = Join(parts=tuple(plain(part) for part in parts))
    expected = execute([reference], serial, workers=0)
    assert reference.load(expected[reference.key]) == Join(parts=parts).load(paths[Join(parts=parts).key])
    assert RayCluster(cluster.address, limit=3).workers == 3


def test_a_node_killed_in_the_middle_costs_nothing_but_time(
    cluster: Any, cache: ArtifactCache, traces: Path, tmp_path: Path
) -> None:
    stages = [Traced(name=str(i), traces=str(traces), steps=150, pause=0.02) for i in range(2)]
    events: list[Event] = []
    killed: list[str] = []

    def kill_a_node(event: Event) -> None:
        """Kill the node of the first stage once its checkpoint is there."""
        events.append(event)
        if event.kind == "progress" and event.stage == stages[0] and event.step >= 20 and not killed:
            killed.append(attempts(traces, "0")[0][0])
            node = next(node for node in cluster.worker_nodes if node.node_id == killed[0])
            cluster.remove_node(node, allow_graceful=False)

    try:
        paths = execute(stages, cache, RayCluster(cluster.address), kill_a_node)
    finally:
        cluster.add_node(**NODE)
    assert [event.stage for event in events if event.kind == "lost"] == stages[:1]
    first, second = attempts(traces, "0")
    assert first[2] == "fresh"
    assert second[2] == "resumed"
    assert second[0] != first[0] == killed[0]
    serial = ArtifactCache(tmp_path / "serial")
    for stage in stages:
        expected = execute([plain(stage)], serial, workers=0)
        assert stage.load(paths[stage.key]) == plain(stage).load(expected[plain(stage).key])
        assert not cache.work_of(stage).exists()


def test_the_driver_killed_and_started_again_makes_only_what_is_missing(
    cluster: Any, cache: ArtifactCache, tmp_path: Path
) -> None:
    serial = ArtifactCache(tmp_path / "serial")
    execute(graph(), serial, workers=0)
    log = tmp_path / "log"
    program = "import sys; from tests.engine.toy_stages import main; main(sys.argv[1:])"  # nodes import no __main__
    command = [sys.executable, "-c", program, str(cache.root), str(log), cluster.address]
    driver = subprocess.Popen(command, cwd=ROOT)
    try:
        until(lambda: driver.poll() is not None or len(list(cache.root.glob("chain-*/manifest.json"))) >= 2)
    finally:
        driver.kill()
    assert driver.wait() == -signal.SIGKILL
    left = missing(graph(), cache)
    assert 0 < len(left) < len(all_stages(graph()))
    events: list[Event] = []
    execute(graph(), cache, RayCluster(cluster.address), events.append)
    made = {event.stage.key for event in events if event.kind == "started"}
    assert made <= {stage.key for stage in left}
    assert digests(cache, graph()) == digests(serial, graph())
    assert not list(cache.root.glob("*.partial"))


@pytest.mark.sim
@pytest.mark.timeout(1200)
def test_a_whole_table_on_a_cluster_equals_the_one_made_here(cluster: Any, tmp_path: Path) -> None:
    found = {}
    for name, where in (("ray", ["--executor", "ray", "--address", cluster.address]), ("local", ["--workers", "1"])):
        folders = ["--cache", str(tmp_path / f"{name}-cache"), "--out", str(tmp_path / name)]
        command = [sys.executable, "-m", "hyprepro", "run", "table1", "--scale", "smoke", *where, *folders]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads((tmp_path / name / "result.json").read_text())
    assert found["ray"]["rows"]
    assert found["ray"]["digest"] == found["local"]["digest"]


def test_a_task_that_runs_twice_at_once_is_made_once(cluster: Any, cache: ArtifactCache, traces: Path) -> None:
    stage = Traced(name="twice", traces=str(traces), pause=0.01)
    program = "import sys, pickle; from hyprepro.engine.cache import ArtifactCache;"
    program += "from hyprepro.engine.schedule import execute;"
    program += "from hyprepro.engine.ray import RayCluster; stage = pickle.loads(bytes.fromhex(sys.argv[1]));"
    program += "execute([stage], ArtifactCache(sys.argv[2]), RayCluster(sys.argv[3]))"
    arguments = [pickle.dumps(stage).hex(), str(cache.root), cluster.address]
    both = [subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert missing([stage], cache) == []
    assert len(attempts(traces, "twice")) == 1


def test_a_process_that_always_dies_is_named_at_last(cluster: Any, cache: ArtifactCache) -> None:
    events: list[Event] = []
    with pytest.raises(UserError, match=f"faulty a ended, {ATTEMPTS} times"):
        execute([Faulty(way="killed")], cache, RayCluster(cluster.address), events.append)
    assert sum(event.kind == "lost" for event in events) == ATTEMPTS - 1


def test_a_cache_that_the_nodes_do_not_share_is_refused(cluster: Any, cache: ArtifactCache) -> None:
    def hide(event: Event) -> None:
        for token in cache.root.glob("driver-*"):
            token.unlink()

    with pytest.raises(UserError, match="does not see what the other machines write"):
        execute([Toy()], cache, RayCluster(cluster.address), hide)


def test_other_code_on_a_node_is_refused(cluster: Any, cache: ArtifactCache) -> None:
    foreign: Stage = replace(Toy())
    foreign.__dict__["key"] = "0" * 64  # as it would be if this machine had other code than the nodes
    with pytest.raises(UserError, match="other versions of hyprepro's code"):
        execute([foreign], cache, RayCluster(cluster.address))
    assert not cache.path_of(foreign).exists()


MINE = """
from tests.engine.toy_stages import Toy

class Mine(Toy):
    pass
"""


def mine(folder: Path, name: str) -> Stage:
    """A stage of a user's module that lies in a folder beside nothing else, as a domain lies beside its recipe."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(MINE)
    stage: Stage = user_module(name, folder, "recipe.gin:1").Mine()
    return stage


def test_a_module_of_the_users_is_found_on_the_nodes_where_the_command_found_it(
    cluster: Any, cache: ArtifactCache, tmp_path: Path
) -> None:
    stage = mine(tmp_path / "mine", "my_shared_stages")
    paths = execute([stage], cache, RayCluster(cluster.address))
    assert stage.load(paths[stage.key]) == "a"


def test_a_module_of_the_users_that_the_nodes_do_not_have_is_named(
    cluster: Any, cache: ArtifactCache, tmp_path: Path
) -> None:
    stage = mine(tmp_path / "mine", "my_lonely_stages")
    assert stage.key
    shutil.rmtree(tmp_path / "mine")
    with pytest.raises(UserError, match="has no module 'my_lonely_stages'") as caught:
        execute([stage], cache, RayCluster(cluster.address))
    assert "under the same path" in caught.value.fix


def test_an_address_where_no_cluster_is(cache: ArtifactCache) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        execute([Toy()], cache, RayCluster("127.0.0.1:9"))


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UserError, match="no address of a Ray cluster"):
        RayCluster(address)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import ENOUGH, SECONDS, Calibration
from hyprepro.engine.schedule import execute
from tests.engine.toy_stages import Chain, Toy


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def finished(cache: ArtifactCache, count: int, seconds: float) -> None:
    """So many finished stages that each took some seconds."""
    for number in range(count):
        stage = Toy(name=f"finished-{number}")
        execute([stage], cache, workers=0)
        path = cache.path_of(stage) / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "processor_seconds": seconds}))


def test_a_finished_stage_says_what_it_took_and_what_was_expected(cache: ArtifactCache) -> None:
    stage = Chain(name="x")
    execute([stage], cache, workers=0)
    manifest = cache.manifest(stage)
    assert manifest["cost"] == stage.cost
    assert manifest["processor_seconds"] >= 0


def test_stages_of_a_kind_take_as_long_as_those_before_them(cache: ArtifactCache) -> None:
    finished(cache, ENOUGH, 30.0)
    stage = Toy(name="next")
    assert Calibration.of(cache.root).seconds(stage) == pytest.approx(30.0)
    assert Calibration.of(cache.root).seconds(Chain(name="other")) != pytest.approx(30.0)


def test_a_single_stage_sets_no_pace(cache: ArtifactCache) -> None:
    finished(cache, ENOUGH - 1, 30.0)
    assert Calibration.of(cache.root).paces == {}


def test_an_empty_cache_is_calibrated_by_this_machines_speed(cache: ArtifactCache) -> None:
    found = Calibration.of(cache.root)
    stage = Toy(name="next")
    assert found.speed > 0
    assert found.seconds(stage) == pytest.approx(stage.cost * SECONDS.get(stage.kind, 1.0) * found.speed)
    assert not cache.root.exists()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kind": "toy", "processor_seconds": "x", "cost": 1}', '{"kind": "toy"}']
)
def test_damaged_manifests_set_no_pace(cache: ArtifactCache, content: str) -> None:
    finished(cache, ENOUGH, 30.0)
    path = cache.path_of(Toy(name="finished-0")) / "manifest.json"
    path.write_text(content)
    assert Calibration.of(cache.root).paces == {}

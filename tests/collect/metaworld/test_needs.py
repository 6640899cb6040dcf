"""What a dry run tells of disk and memory; that a run stays within it is shown in `test_training`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyprepro.cli import app
from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.collect.metaworld.training import TrainSAC
from hyprepro.config import files
from hyprepro.config.registry import resolve
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.plan import missing

PUBLISHED = (
    "SACTraining.updates_per_step=1.0",
    "SACTraining.updates=995_000",
    "SACTraining.episode_steps=500",
    "SACTraining.checkpoint_every=2_000",
    "SACTraining.solved=None",
    "SACTraining.agents_at_once=24",
)


def told(cache: Path, *bindings: str, name: str = "metaworld-scratch", workers: int = 2) -> list[float]:
    """Megabytes: cache, beside it while it is made, stores, memory, mapped files."""
    arguments = ["collect", name, "--dry-run", "--cache", str(cache), "--workers", str(workers)]
    for binding in bindings:
        arguments += ["-b", binding]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith(("disk:", "memory:"))]
    assert len(lines) == 2, done.output
    return [float(number) for number in re.findall(r"([\d.]+) MB", " ".join(lines))]


def test_the_published_size_is_told(tmp_path: Path) -> None:
    two, one = told(tmp_path, *PUBLISHED), told(tmp_path, *PUBLISHED, workers=1)
    cache, held, stores, memory, mapped = one
    assert 3_520 < held < 3_700  # a million transitions of the ten agents of a run, once, and twice their networks
    assert held < two[1] < 2.1 * held
    assert held + 400 < mapped + 400 < memory  # 500 policies of each agent are mapped too
    assert cache > 4 * 400  # and as many again for each of the other three runs
    assert 20 < stores < 60
    assert told(tmp_path, *PUBLISHED, "SACTraining.replay=100_000")[1] < two[1] / 8


def test_the_reference_trainer_keeps_no_replay_on_the_disk(tmp_path: Path) -> None:
    trainer = "SACTraining.trainer='stable-baselines3'"
    assert told(tmp_path, trainer, "SACTraining.solved=None")[1] < 10


@pytest.mark.parametrize("route", ["clones", "independent"])
def test_what_is_told_of_the_stores_is_about_what_they_take(route: str) -> None:
    collection = MetaWorldCollection(route=route)
    found = collection.estimate(missing(collection.stages(), ArtifactCache("nowhere")))
    shipped = sum((Path("stores") / f"metaworld.{kind}.h5").stat().st_size for kind in ("policies", "trajectories"))
    assert found.stored == pytest.approx(shipped, rel=0.1)


def test_a_part_is_told_its_share_of_the_stores() -> None:
    given = resolve(files.named_file("collections", "metaworld-independent"), slot="collection").recipe
    assert isinstance(given, MetaWorldCollection)
    parts = [given.model_copy(update={"runs": runs}) for runs in ((0, 1, 2, 3), (4, 5, 6, 7, 8, 9), (10, 11))]
    whole, *stored = (one.estimate(one.stages()).stored for one in (given, *parts))
    assert whole is not None
    assert sum(stored) == pytest.approx(whole, rel=0.01)
    assert min(stored) > 0.1 * whole


@pytest.mark.parametrize("name", ["", "-independent", "-smoke", "-scratch"])
def test_no_run_of_the_shipped_collections_comes_round(name: str) -> None:
    collection = resolve(files.named_file("collections", f"metaworld{name}"), slot="collection").recipe
    runs = [s for s in missing(collection.stages(), ArtifactCache("nowhere")) if isinstance(s, TrainSAC)]
    assert runs
    assert not any(run.training.steps > run.room.capacity for run in runs)


def test_a_schedule_that_keeps_no_policy_is_refused() -> None:
    done = CliRunner().invoke(app, ["collect", "metaworld", "--dry-run", "-b", "SACTraining.updates=100"])
    assert done.exit_code == 2
    assert "no policy would be kept" in done.output

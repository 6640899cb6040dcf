"""Real recipe runs, from the command line, killed in every kind of stage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hyprepro.reports.notes import COSTS
from tests.conftest import TinyStores

pytestmark = [pytest.mark.sim, pytest.mark.long, pytest.mark.timeout(600)]

STAGES = ("LinearAutoencoder", "ContrastiveEmbedding", "HypLatent", "HypFormer", "rollouts gen-hyprl door-open")


def command(stores: TinyStores, folder: Path) -> list[str]:
    bindings = (
        f"MetaWorld.policies = '{stores.policies}'",
        f"MetaWorld.trajectories = '{stores.trajectories}'",
        "Recipe.methods = (@GenHypRL(), @GenHypRLWithoutHypFormer())",
        "Recipe.below = ()",
        "Recipe.prompts_per_task = 2",
    )
    flags = ["--scale", "smoke", "--out", str(folder / "out"), "--cache", str(folder / "cache")]
    program = [sys.executable, "-c", "from hyprepro.cli import main; main()", "run", "table1", *flags]
    return program + [part for binding in bindings for part in ("-b", binding)]


def manifests(folder: Path) -> dict[str, str]:
    """The digest of every artifact by its folder's name."""
    paths = (folder / "cache").glob("*/manifest.json")
    return {path.parent.name: json.loads(path.read_text())["digest"] for path in paths}


def kill_in(stage: str, stores: TinyStores, folder: Path) -> bool:
    """Start the run and kill it (only the parent, as a user or the kernel would) once `stage` has begun."""
    process = subprocess.Popen(command(stores, folder), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "started" in line and stage in line:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stderr.close()
    return process.wait() == -signal.SIGKILL


def run_whole(stores: TinyStores, folder: Path) -> dict[str, object]:
    finished = subprocess.run(command(stores, folder), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    result: dict[str, object] = json.loads((folder / "out" / "result.json").read_text())
    return result


def test_killed_in_every_stage_a_run_ends_as_an_uninterrupted_one(tiny_stores: TinyStores, tmp_path: Path) -> None:
    whole = run_whole(tiny_stores, tmp_path / "whole")
    for stage in STAGES:
        assert kill_in(stage, tiny_stores, tmp_path / "killed"), f"the run was over before {stage}"
    assert not (tmp_path / "killed" / "out" / "result.json").exists()
    killed = run_whole(tiny_stores, tmp_path / "killed")
    assert killed["digest"] == whole["digest"]
    assert killed["rows"] == whole["rows"]
    assert manifests(tmp_path / "killed") == manifests(tmp_path / "whole")
    for name in ("records.csv.gz", "table.md", "config.json"):
        one, other = ((tmp_path / run / "out" / name).read_bytes() for run in ("killed", "whole"))
        assert one.split(COSTS.encode())[0] == other.split(COSTS.encode())[0]
    left = [path.name for path in (tmp_path / "killed").rglob("*.partial")]
    assert left == []


def test_two_runs_at_once_end_alike(tiny_stores: TinyStores, tmp_path: Path) -> None:
    both = [subprocess.Popen(command(tiny_stores, tmp_path), stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    before = (tmp_path / "out" / "result.json").read_bytes()
    run_whole(tiny_stores, tmp_path)
    assert (tmp_path / "out" / "result.json").read_bytes() == before

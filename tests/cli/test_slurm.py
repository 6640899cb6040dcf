"""`--executor slurm` as typed: what is refused before any work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke

LOCAL = ("--executor", "slurm", "--address", "local")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--executor", "slrum"), "closest slurm"),
        (("--job", "partition=cpu"), "Only Slurm's jobs are asked for"),
        (("--executor", "ray", "--job", "partition=cpu"), "Only Slurm's jobs are asked for"),
        ((*LOCAL, "--job", "partiton=cpu"), "closest partition"),
        ((*LOCAL, "--job", "partition"), "NAME=VALUE"),
        ((*LOCAL, "--job", "partition="), "NAME=VALUE"),
        ((*LOCAL, "--job", "minutes=two"), "minutes is a whole number, at least 1, not 'two'"),
        ((*LOCAL, "--job", "memory_gb=0"), "memory_gb is a whole number"),
        ((*LOCAL, "--workers", "0"), "With Slurm, no stage runs in this process"),
        (("--executor", "slurm", "--address", "locale"), "closest local"),
        (("--executor", "slurm"), "no sbatch and srun on PATH"),
    ],
)
def test_mistakes_are_one_panel(
    hyprepro: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], says: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    places = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
    assert says in hyprepro("run", "table1", "--scale", "smoke", *places, *flags).assert_one_panel().words
    assert not list(tmp_path.iterdir())


def test_submitit_is_missing(hyprepro: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    words = hyprepro("run", "table1", "--dry-run", *LOCAL).assert_one_panel().words
    assert "submitit is not installed" in words
    assert "pip install 'hyprepro[slurm]'" in words

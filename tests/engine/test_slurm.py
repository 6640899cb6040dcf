"""Stages as jobs: submitit's local executor, and its Slurm one with stand-ins for Slurm's commands."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.remote import ATTEMPTS
from hyprepro.engine.schedule import Event, execute
from hyprepro.engine.slurm import SlurmJobs
from hyprepro.errors import UserError
from tests.engine.test_schedule import descendants
from tests.engine.toy_stages import Chain, Faulty, Toy

SBATCH = """#!/bin/sh
for script; do :; done
cp "$script" "{folder}/script"
SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
    setsid bash "$script" > "{folder}/log" 2>&1 &
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do
    case $1 in --output|--error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
REFUSING = """#!/bin/sh
echo "sbatch: error: invalid partition specified: cpuu" >&2
exit 1
"""
SINFO = """#!/bin/sh
printf 'cpu\\ngpu\\n'
"""
NOTHING = "#!/bin/sh\n"


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the head of PATH with stand-ins for Slurm's commands: a job runs here, at once."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    scripts = {"srun": SRUN, "sinfo": SINFO, "sacct": NOTHING, "scancel": NOTHING}
    for name, text in {"sbatch": SBATCH.format(folder=folder), **scripts}.items():
        command(folder / name, text)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def command(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_a_job_that_is_preempted_goes_on_from_its_checkpoint(
    cache: ArtifactCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("TOY_LOG", str(log))
    stage, preempted, before = Chain(name="x", steps=60, pause=0.02), list[int](), set(descendants(os.getpid()))

    def preempt(event: Event) -> None:
        if event.kind == "progress" and event.step >= 20 and not preempted:
            preempted.append(max(set(descendants(os.getpid())) - before))  # the controller's child, begun after it
            os.kill(preempted[0], signal.SIGUSR2)

    paths = execute([stage], cache, SlurmJobs("local"), preempt)
    monkeypatch.delenv("TOY_LOG")
    serial = ArtifactCache(tmp_path / "serial")
    assert stage.load(paths[stage.key]) == stage.load(execute([stage], serial, workers=0)[stage.key])
    assert log.read_text().splitlines() == ["x", "x"]
    assert not list((cache.root / "jobs").iterdir())


def test_a_process_that_always_dies_is_named_at_last(cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.LocalJob._results_timeout_s", 0)  # seconds that a result's file may be late
    events: list[Event] = []
    with pytest.raises(UserError, match=f"faulty a ended, {ATTEMPTS} times"):
        execute([Faulty(way="killed")], cache, SlurmJobs("local"), events.append)
    assert sum(event.kind == "lost" for event in events) == ATTEMPTS - 1


def test_a_job_asks_slurm_for_what_the_command_says(slurm: Path, cache: ArtifactCache) -> None:
    executor = SlurmJobs(asked=["partition=gpu", "minutes=90", "gpus=1", "account=lab"])
    paths = execute([Toy()], cache, executor)
    assert Toy().load(paths[Toy().key]) == "a"
    script = (slurm / "script").read_text()
    for line in (
        "--partition=gpu",
        "--time=90",
        "--gpus-per-node=1",
        "--account=lab",
        "--mem=4GB",
        "--cpus-per-task=1",
    ):
        assert f"#SBATCH {line}\n" in script
    assert executor.workers == 32


def test_a_partition_that_is_not_there_is_answered_with_the_closest(slurm: Path, cache: ArtifactCache) -> None:
    command(slurm / "sbatch", REFUSING)
    with pytest.raises(UserError, match="invalid partition specified: cpuu") as refused:
        execute([Toy()], cache, SlurmJobs(asked=["partition=cpuu"]))
    assert (refused.value.where, refused.value.closest) == ("--job partition=cpuu", "cpu")
    assert "cpu, gpu" in refused.value.fix
    assert not cache.path_of(Toy()).exists()


def test_a_refusal_without_a_partition_is_told_as_slurm_tells_it(slurm: Path, cache: ArtifactCache) -> None:
    command(slurm / "sbatch", REFUSING.replace("invalid partition specified: cpuu", "Invalid account"))
    with pytest.raises(UserError, match="does not take a job: sbatch: error: Invalid account"):
        execute([Toy()], cache, SlurmJobs())

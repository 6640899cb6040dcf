"""Running stages as jobs of a Slurm cluster: `pip install 'hyprepro[slurm]'`, then `--executor slurm`.

Every stage is one job of one processor, submitted by submitit from a machine that has `sbatch`. What the machines need,
and what becomes of a stage whose machine dies, stands in `remote`. The ledger is the artifact cache and nothing else,
see `executors`.

A job that Slurm preempts, or whose time is up, is requeued and goes on from the stage's last checkpoint, so jobs may be
shorter than the longest stage. Ctrl-C, an error and the end of a run cancel its jobs. When the command is killed, its
jobs live on and finish what they do; the same command submits the others again, and where a stage is still being made,
its job waits for the lock. What the jobs print lies in the cache under `jobs` until the run ends.

With `--address local` the jobs are processes of this machine, by submitit's own local executor: to try things, and for
the tests.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from types import ModuleType
from typing import Any
from uuid import uuid4

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import (
    POLL_SECONDS,
    WORKER_ENVIRONMENT,
    Crew,
    Outcome,
    Tell,
    Vacancy,
    check,
    variables,
)
from hyprepro.engine.remote import ATTEMPTS, Order, gave_up, require_artifact, same_everywhere, serve
from hyprepro.engine.stage import Stage
from hyprepro.errors import UserError, closest_match, needing, refuse_unknown

LIMIT = 32
"""Jobs at once, at most. We chose: few enough for a queue that others use, too."""
LOCAL_LIMIT = 2
REQUEUES = 100
"""How often a job goes on after its time was up; a stage that checkpoints is ahead each time."""
CANCEL_SECONDS = 10.0
ADDRESSES = ("slurm", "local")

FIELDS: Mapping[str, tuple[str, type]] = {
    "partition": ("slurm_partition", str),
    "account": ("slurm_account", str),
    "qos": ("slurm_qos", str),
    "constraint": ("slurm_constraint", str),
    "exclude": ("slurm_exclude", str),
    "minutes": ("timeout_min", int),
    "memory_gb": ("mem_gb", int),
    "gpus": ("gpus_per_node", int),
}
"""What may be asked of a job: submitit's name for it, and its type."""

DEFAULTS = {"timeout_min": 240, "mem_gb": 4, "cpus_per_task": 1, "name": "hyprepro"}
"""We chose: four hours, since what takes longer goes on when its job is requeued."""


class SlurmJobs:
    """An executor: jobs of the Slurm cluster that this machine submits to.

    Args:
        address: "slurm" or None; "local" for processes of this machine.
        limit: Jobs at once, at most; None for 32, and for 2 on this machine.
        asked: What each job asks for, as "NAME=VALUE".

    Raises:
        UserError: submitit is not installed, this machine has no Slurm, or a job cannot be asked for that.
    """

    def __init__(self, address: str | None = None, limit: int | None = None, asked: Sequence[str] = ()) -> None:
        _import_submitit()
        self._address = address or "slurm"
        fix = "Leave it out on a machine with sbatch; --address local runs the jobs on this machine."
        refuse_unknown(self._address, ADDRESSES, f"Slurm has no address {address!r}.", f"--address {address}", fix)
        if self._address == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise UserError(
                "This machine has no Slurm: there is no sbatch and srun on PATH.",
                where="--executor slurm",
                fix="run the command where jobs are submitted; --address local runs the jobs on this machine",
            )
        self._limit = limit or (LIMIT if self._address == "slurm" else LOCAL_LIMIT)
        self._asked = dict(_field(text) for text in asked)

    @property
    def workers(self) -> int:
        """The limit."""
        return self._limit

    @contextmanager
    def open(self, cache: ArtifactCache, tell: Tell) -> Iterator[Crew]:
        """See `Executor`."""
        submitit = _import_submitit()
        cache = ArtifactCache(cache.root.absolute())
        folder = cache.root / "jobs" / uuid4().hex
        folder.mkdir(parents=True)
        crew = None
        try:
            retries: dict[str, Any] = {f"{self._address}_max_num_timeout": REQUEUES}
            queue = submitit.AutoExecutor(folder, cluster=self._address, **retries)
            queue.update_parameters(**{**DEFAULTS, **self._asked})
            crew = _Crew(submitit, queue, self._limit, cache, tell)
            yield crew
        finally:
            if crew is not None:
                crew.close()
            shutil.rmtree(folder, ignore_errors=True)


def _import_submitit() -> ModuleType:
    with needing("submitit", "slurm", "--executor slurm"):
        import submitit
    logging.getLogger("submitit").setLevel(logging.ERROR)  # what it warns of is told by us
    module: ModuleType = submitit
    return module


def _field(text: str) -> tuple[str, Any]:
    """Submitit's name and the value of one "NAME=VALUE"."""
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise UserError("A job is asked for by NAME=VALUE.", where=f"--job {text}", fix="Say: --job partition=NAME")
    refuse_unknown(name, FIELDS, f"A job has no {name!r}.", f"--job {text}")
    theirs, kind = FIELDS[name]
    if kind is int and not (value.isascii() and value.isdigit() and int(value) > 0):
        raise UserError(
            f"{name} is a whole number, at least 1, not {value!r}.", where=f"--job {text}", fix=f"Say: --job {name}=4"
        )
    return theirs, kind(value)


@dataclass(frozen=True)
class _Job:
    """What a job computes, in the form that submitit requeues."""

    order: Order

    def __call__(self) -> Outcome:
        return serve(self.order)

    def checkpoint(self) -> Any:
        """The same again: the stage finds its own checkpoint."""
        return _import_submitit().helpers.DelayedSubmission(self)


class _Crew:
    """The jobs of one run."""

    def __init__(self, submitit: ModuleType, queue: Any, limit: int, cache: ArtifactCache, tell: Tell) -> None:
        self._errors = submitit.core.utils
        self._queue = queue
        self._limit = limit
        self._cache = cache
        self._tell = tell
        self._running: list[tuple[Any, Stage]] = []
        self._attempts: dict[str, int] = {}
        self._token = Path(queue.folder) / "command"
        self._token.touch()

    def close(self) -> None:
        for job, _ in self._running:
            with suppress(Exception):
                job.cancel()  # safe at any moment, by the design of the cache
        deadline = time.monotonic() + CANCEL_SECONDS
        while any(not job.done() for job, _ in self._running) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def vacancy(self) -> Vacancy | None:
        return Vacancy() if len(self._running) < self._limit else None

    def start(self, stage: Stage) -> None:
        self._attempts[stage.key] = self._attempts.get(stage.key, 0) + 1
        order = Order.of(stage, self._token, self._cache.root, "slurm")
        try:
            with variables(WORKER_ENVIRONMENT), _interruptible():  # a job inherits both
                job = self._queue.submit(_Job(order))
        except (self._errors.FailedJobError, self._errors.FailedSubmissionError) as error:
            raise _refused(str(error), self._queue.parameters) from error
        self._running.append((job, stage))

    def attend(self) -> None:
        time.sleep(POLL_SECONDS)
        for job, stage in [(job, stage) for job, stage in self._running if job.done()]:
            self._running.remove((job, stage))
            outcome = self._outcome(job, stage)
            if outcome is None:
                self._tell("lost", stage)
                self.start(stage)
                continue
            check(outcome, stage)
            require_artifact(stage, self._cache)
            self._tell("finished", stage)

    def _outcome(self, job: Any, stage: Stage) -> Outcome | None:
        """What became of a job; None if its process or machine died, and another attempt is due."""
        try:
            outcome: Outcome = job.result()
        except self._errors.FailedJobError as error:  # not from the stage: what that raises comes as an outcome
            what, fix = "A machine of the cluster cannot run a stage.", same_everywhere("slurm")
            raise UserError(what, where=_last_line(str(error)), fix=fix) from error
        except self._errors.UncompletedJobError as error:
            if self._attempts[stage.key] < ATTEMPTS:
                return None
            raise gave_up(stage, _last_line(job.stderr() or str(error))) from error
        return outcome


@contextmanager
def _interruptible() -> Iterator[None]:
    """What is started in here can be interrupted, which is how submitit cancels a job on this machine.

    A shell without job control lets what it starts by `&` ignore interrupts, and that is inherited.
    """
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN and current_thread() is main_thread()
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _refused(said: str, parameters: Mapping[str, Any]) -> UserError:
    """What Slurm says of a job that it does not take, with the closest partition where that is what is wrong."""
    reason = next((line for line in said.splitlines() if "error:" in line), _last_line(said)).strip()
    partition = parameters.get("partition")
    known = _partitions() if partition and "partition" in reason else []
    return UserError(
        f"Slurm does not take a job: {reason}",
        where=f"--job partition={partition}" if partition else "--executor slurm",
        closest=closest_match(str(partition), known),
        fix=f"Choose one of: {', '.join(known)}" if known else "See what the cluster offers with sinfo; ask by --job.",
    )


def _partitions() -> list[str]:
    """The names of the cluster's partitions; none where `sinfo` does not say."""
    with suppress(OSError, subprocess.SubprocessError):
        run = subprocess.run(["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, timeout=10, check=True)
        return sorted(set(run.stdout.split()))
    return []


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")

"""Running stages on the machines of a Ray cluster: `pip install 'hyprepro[ray]'`, then `--executor ray`.

Every stage is one Ray task of one processor. What the machines need, and what becomes of a stage whose machine dies,
stands in `remote`. The ledger is the artifact cache and nothing else, see `executors`. When the driver dies, Ray ends
its tasks, and the same command goes on.

Different from the local pool: affinity is ignored (Ray spreads tasks over the machines), and that another run is making
a stage is not shown, because the task waits for the lock on a machine that cannot tell the driver.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any
from uuid import uuid4

from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.executors import (
    POLL_SECONDS,
    WORKER_ENVIRONMENT,
    Crew,
    Outcome,
    StageError,
    Tell,
    Vacancy,
    check,
)
from hyprepro.engine.remote import ATTEMPTS, Order, gave_up, require_artifact, same_everywhere, serve
from hyprepro.engine.stage import DEVICE_VARIABLE, Stage, device
from hyprepro.errors import UserError, needing

OBJECT_STORE_BYTES = 80_000_000
"""Ray's least; stages exchange files, not objects."""

GPU_SHARE = 0.25
"""Of a GPU, for a stage that trains on one. We chose: the networks are small, and four processes share a GPU well."""

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
JOIN = "join the cluster on this machine (ray start --address=HOST:PORT, or ray start --head), then say --address auto"


class RayCluster:
    """An executor: the machines of a Ray cluster, one of which must be this one.

    Args:
        address: "HOST:PORT" of the cluster's head, or "auto" for the cluster that this machine belongs to. None: what
            RAY_ADDRESS says, else Ray is started on this machine for the time of the run.
        limit: Stages that run at once, at most; None for as many as the cluster has processors.

    Raises:
        UserError: Ray is not installed, or this is no address.
    """

    def __init__(self, address: str | None = None, limit: int | None = None) -> None:
        _import_ray()
        self._address = address or os.environ.get("RAY_ADDRESS")
        if self._address not in (None, "auto", "local") and not re.fullmatch(r"[^/:]+:\d+", str(self._address)):
            raise UserError("This is no address of a Ray cluster.", where=f"--address {self._address}", fix=JOIN)
        self._limit = limit
        self._seen = 1

    @property
    def workers(self) -> int:
        """The limit; without one the processors of the cluster, which nobody knows (1) before the first run."""
        return self._limit or self._seen

    @contextmanager
    def open(self, cache: ArtifactCache, tell: Tell) -> Iterator[Crew]:
        """See `Executor`.

        Raises:
            UserError: The cluster cannot be reached or has no processors.
        """
        ray = _import_ray()
        _connect(ray, self._address, self._limit)
        crew = None
        try:
            watch = _Watch(ray)
            self._seen = watch.processors
            crew = _Crew(ray, watch, self._limit, cache, tell)
            yield crew
        finally:
            if crew is not None:
                crew.close()
            ray.shutdown()


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report what it runs to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave CUDA_VISIBLE_DEVICES to the user
    with needing("Ray", "ray", "--executor ray"):
        import ray
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, address: str | None, limit: int | None) -> None:
    environment = {**WORKER_ENVIRONMENT, DEVICE_VARIABLE: device()}
    options: dict[str, Any] = {"runtime_env": {"env_vars": environment}, "log_to_driver": False}
    if address in (None, "local"):
        options |= {"address": "local", "num_cpus": limit or os.cpu_count(), "include_dashboard": False}
        options |= {"object_store_memory": OBJECT_STORE_BYTES}
    else:
        options |= {"address": address}
    try:
        if address not in (None, "auto", "local"):
            host, port = str(address).split(":")
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()  # Ray asks for five minutes
        ray.init(logging_level="error", **options)
    except Exception as error:  # Ray raises bare Exceptions, too
        with suppress(Exception):
            ray.shutdown()  # ends what was half started
        reason = str(error).splitlines()[0]
        if options["address"] == "local":
            what, fix = f"Ray cannot be started on this machine: {reason}", "try again, or leave out --executor ray"
            raise UserError(what, where="--executor ray", fix=fix) from error
        raise UserError(
            f"The Ray cluster cannot be reached: {reason}", where=f"--address {address}", fix=JOIN
        ) from error


class _Watch:
    """Asks the cluster for its size every now and then; in a thread, for the question hangs when the head is gone."""

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray
        self._answered = time.monotonic()
        self.processors = int(ray.cluster_resources().get("CPU", 0))
        if self.processors == 0:
            raise UserError(
                "The Ray cluster has no processors.",
                where="--executor ray",
                fix="let a machine join: ray start --address=HOST:PORT",
            )
        self._over = threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def require(self) -> None:
        """Fail when the cluster has been silent for long."""
        if time.monotonic() - self._answered > SILENCE_SECONDS:
            raise UserError(
                "The connection to the Ray cluster is lost.",
                where="--executor ray",
                fix="when its head runs again, the same command goes on from where it was",
            )

    def _ask(self) -> None:
        while not self._over.wait(2.0):
            with suppress(Exception):  # what counts is that no answer comes
                self.processors = int(self._ray.cluster_resources().get("CPU", 0))
                self._answered = time.monotonic()


class _Crew:
    """The tasks of one run."""

    def __init__(self, ray: ModuleType, watch: _Watch, limit: int | None, cache: ArtifactCache, tell: Tell) -> None:
        self._ray = ray
        self._watch = watch
        self._limit = limit
        self._cache = ArtifactCache(cache.root.absolute())
        self._tell = tell
        self._running: dict[Any, Stage] = {}
        self._attempts: dict[str, int] = {}
        self._token = self._cache.root / f"driver-{uuid4().hex}"
        self._token.touch()

    def close(self) -> None:
        self._watch.stop()
        for reference in self._running:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)  # safe at any moment, by the design of the cache
        self._token.unlink(missing_ok=True)

    def vacancy(self) -> Vacancy | None:
        processors = max(self._watch.processors, 1)
        return Vacancy() if len(self._running) < min(self._limit or processors, processors) else None

    def start(self, stage: Stage) -> None:
        self._attempts[stage.key] = self._attempts.get(stage.key, 0) + 1
        gpus = GPU_SHARE if device() == "cuda" and stage.uses_torch else 0
        task = self._ray.remote(num_cpus=1, num_gpus=gpus, max_calls=0, max_retries=0, scheduling_strategy="SPREAD")(
            serve
        )
        reference = task.options(name=stage.label).remote(Order.of(stage, self._token, self._cache.root, "ray"))
        self._running[reference] = stage

    def attend(self) -> None:
        self._watch.require()
        done, _ = self._ray.wait(list(self._running), timeout=POLL_SECONDS)
        for reference in done:
            stage = self._running.pop(reference)
            outcome = self._outcome(reference, stage)
            if outcome is None:
                self._tell("lost", stage)
                self.start(stage)
                continue
            check(outcome, stage)
            require_artifact(stage, self._cache)
            self._tell("finished", stage)

    def _outcome(self, reference: Any, stage: Stage) -> Outcome | None:
        """What became of a task; None if its process or machine died, and another attempt is due.

        Ray would retry by itself, but without a word; so the retries are ours.
        """
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(reference)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            if self._attempts[stage.key] < ATTEMPTS:
                return None
            raise gave_up(stage, str(error).splitlines()[0]) from error
        except errors.RayTaskError as error:  # not from the stage: those come as outcomes
            what, fix = "A machine of the cluster cannot run a stage.", same_everywhere("ray")
            raise UserError(what, where=str(error).splitlines()[-1], fix=fix) from error
        except errors.RayError as error:
            raise StageError(f"{stage.label} ({stage.kind}) failed:\n{error}") from error
        return outcome

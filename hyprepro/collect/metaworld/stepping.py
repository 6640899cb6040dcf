"""The environments of a stack of agents, stepped together: in this process, or by a pool of processes.

An episode depends on its goal and its actions alone, so where an environment runs has no effect on what it returns.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.tasks import Goal


class Outcome(NamedTuple):
    """One step of A environments: observations `[A, 39]`, rewards `[A]`, success `[A]`."""

    observations: NDArray[np.float64]
    rewards: NDArray[np.float64]
    success: NDArray[np.bool_]


class Environments(Protocol):
    """A environments in lockstep; a context manager."""

    def reset(self, goals: Sequence[Goal]) -> NDArray[np.float64]:
        """Begin an episode in each; observations `[A, 39]`."""

    def step(self, actions: NDArray[np.float32]) -> Outcome:
        """One step of each for actions `[A, 4]`."""

    def __enter__(self) -> Environments: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalEnvironments:
    """Environments of this process, one after the other."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self._envs = [MetaWorldEnv(task) for task in tasks]

    def reset(self, goals: Sequence[Goal]) -> NDArray[np.float64]:
        """See `Environments`."""
        return np.stack([env.reset(goal) for env, goal in zip(self._envs, goals, strict=True)])

    def step(self, actions: NDArray[np.float32]) -> Outcome:
        """See `Environments`."""
        steps = [env.step(action) for env, action in zip(self._envs, actions, strict=True)]
        observations, rewards, success = zip(*steps, strict=True)
        return Outcome(np.stack(observations), np.array(rewards, dtype=np.float64), np.array(success, dtype=bool))

    def advance(self, actions: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A step without rewards: observations and success."""
        steps = [env.advance(action) for env, action in zip(self._envs, actions, strict=True)]
        return np.stack([seen for seen, _ in steps]), np.array([done for _, done in steps], dtype=bool)

    def __enter__(self) -> LocalEnvironments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back."""


class PooledEnvironments:
    """The same in `workers` processes, each of which steps its share.

    They are no processes of multiprocessing, since a stage's process may have no children of that kind.

    Args:
        tasks: The task of each environment.
        workers: Processes; at most one an environment.

    Raises:
        RuntimeError: At a step, a process died.
    """

    def __init__(self, tasks: Sequence[str], workers: int) -> None:
        shares = np.array_split(np.arange(len(tasks)), min(workers, len(tasks)))
        self._slices = [slice(int(share[0]), int(share[-1]) + 1) for share in shares]
        self._pipes: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        for share in self._slices:
            ours, theirs = multiprocessing.Pipe()
            code = f"from {__name__} import serve; serve({theirs.fileno()})"
            command = [sys.executable, "-c", code]
            self._processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()], env=os.environ | path))
            theirs.close()
            ours.send(tuple(tasks[share]))
            self._pipes.append(ours)

    def reset(self, goals: Sequence[Goal]) -> NDArray[np.float64]:
        """See `Environments`."""
        return np.concatenate(self._asked([list(goals[share]) for share in self._slices]))

    def step(self, actions: NDArray[np.float32]) -> Outcome:
        """See `Environments`."""
        parts = self._asked([actions[share] for share in self._slices])
        return Outcome(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _asked(self, questions: Sequence[object]) -> list[NDArray[np.float64]]:
        try:
            for pipe, question in zip(self._pipes, questions, strict=True):
                pipe.send(question)
            return [pipe.recv() for pipe in self._pipes]
        except (EOFError, OSError) as error:
            raise RuntimeError("a process that steps environments died") from error

    def __enter__(self) -> PooledEnvironments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def environments(tasks: Sequence[str], device: str) -> Environments:
    """The environments that go with a device: a GPU would wait for one process, a CPU's core is busy with updates."""
    if device == "cpu":
        return LocalEnvironments(tasks)
    return PooledEnvironments(tasks, os.cpu_count() or 1)


def serve(descriptor: int) -> None:
    """A worker. First come tasks; then a list of goals begins episodes and an array of actions is a step."""
    pipe = Connection(descriptor)
    try:
        with LocalEnvironments(pipe.recv()) as envs:
            while True:
                question = pipe.recv()
                pipe.send(envs.reset(question) if isinstance(question, list) else tuple(envs.step(question)))
    except (EOFError, BrokenPipeError):
        return

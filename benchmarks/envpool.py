"""How fast EnvPool's C++ Meta-World steps on one core, beside ours, in turn in one run.

The two do not compute the same numbers: EnvPool carries its own build of MuJoCo, of another version than metaworld is
held to here, draws its own goals at each reset, and always computes the reward. Both are given the same random
actions, so neither waits for a policy; `policy` is our stepper with one, as an evaluation runs it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation import TimedResets, geometric_mean, random_policies, timed_episodes
from hyprepro.domains.episodes import Episode
from hyprepro.domains.metaworld.env import MetaWorldEnv
from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.domains.metaworld.tasks import COLLECTION, HORIZON, SEEN_TASKS, UNSEEN_TASKS, check_task, fresh_goal
from hyprepro.errors import UserError

PEER_ENVIRONMENTS = (1, 8, 32)
"""Numbers of environments that EnvPool steps at once; its fastest counts."""

INSTALL = "pip install 'hyprepro[envpool]' -c constraints.txt"


@dataclass(frozen=True)
class EnvPoolSpeed:
    """Environment steps per second of one process on one core, resets not counted.

    Attributes:
        ours: Of our stepper without rewards, which is what an evaluation asks of it, in as many environments.
        rewards: Of our stepper with rewards, which EnvPool always computes.
        policy: Of `run_episodes`: our stepper, and policies that act.
        peers: Of EnvPool, synchronous with one thread, by its number of environments.
    """

    ours: float
    rewards: float
    policy: float
    peers: Mapping[int, float]

    @property
    def environments(self) -> int:
        """How many environments EnvPool is fastest with."""
        return max(self.peers, key=lambda count: self.peers[count])

    @property
    def peer(self) -> float:
        """EnvPool's with that number."""
        return self.peers[self.environments]

    def figures(self) -> dict[str, Any]:
        """What is printed of it."""
        return {
            **_figures(self.ours, self.peer, self.rewards, self.policy),
            "peer_environments": self.environments,
            "peers": {str(count): round(speed, 1) for count, speed in self.peers.items()},
        }


def measure_envpool(
    tasks: Sequence[str] = (),
    episodes: int = 4,
    rounds: int = 5,
    on_measured: Callable[[str, dict[str, Any]], None] = lambda task, figures: None,
) -> dict[str, Any]:
    """What `hyprepro bench evaluation --envpool` prints: geometric means over tasks.

    Each task has a process of its own: EnvPool does not give all of its memory back, and a death takes one task along.

    Args:
        tasks: The tasks; none: those of the eighteen that EnvPool has.
        episodes: See `measure_task`.
        rounds: See `measure_task`.
        on_measured: Called with each task's figures when they are there.

    Returns:
        The means and every task's figures; `lacking`, the tasks that EnvPool has not; `died`, the exit codes of the
        processes that ended without figures, by task.

    Raises:
        UserError: Unknown task; EnvPool is not installed or lacks a named task; no task gave figures.
    """
    library = load_envpool()
    names, lacking = offered_tasks([check_task(task) for task in tasks], library.list_all_envs(), library.__version__)
    speeds: dict[str, EnvPoolSpeed] = {}
    died: dict[str, int | None] = {}
    for task in names:
        speed = measured_apart(task, episodes, rounds)
        if isinstance(speed, EnvPoolSpeed):
            speeds[task] = speed
            on_measured(task, speed.figures())
        else:
            died[task] = speed
    if not speeds:
        raise UserError(
            f"No task could be measured: exit codes {died}.", where="--envpool", fix="look at what was printed above"
        )
    return {**summary(speeds), "lacking": lacking, "died": died, "versions": versions()}


def measured_apart(task: str, episodes: int, rounds: int) -> EnvPoolSpeed | int | None:
    """`measure_task` in a new process; its exit code if it ends without an answer."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, task, episodes, rounds))
    process.start()
    there.close()
    try:
        speed: EnvPoolSpeed = here.recv()
    except EOFError:
        process.join()
        return process.exitcode
    process.join()
    return speed


def _answer(pipe: Connection, task: str, episodes: int, rounds: int) -> None:
    pipe.send(measure_task(task, episodes, rounds))


def measure_task(task: str, episodes: int, rounds: int) -> EnvPoolSpeed:
    """Let every contestant run its episodes of 500 steps `rounds` times in turn; medians over the rounds.

    Args:
        task: The task.
        episodes: Of ours a round, each with a goal of its own; EnvPool runs one in each of its environments.
        rounds: Turns of each contestant.
    """
    shape = (HORIZON, max(*PEER_ENVIRONMENTS, episodes), 4)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)
    turns: dict[str | int, Callable[[], float]] = {**_our_turns(task, episodes, actions)}
    peers = {count: _Peer(task, actions[:, :count]) for count in PEER_ENVIRONMENTS}
    turns |= {count: peer.steps_per_second for count, peer in peers.items()}
    measured: dict[str | int, list[float]] = {name: [] for name in turns}
    try:
        for _ in range(rounds):
            for name, turn in turns.items():
                measured[name].append(turn())
    finally:
        for peer in peers.values():
            peer.close()
    speeds = {name: float(np.median(values)) for name, values in measured.items()}
    return EnvPoolSpeed(
        speeds["ours"], speeds["rewards"], speeds["policy"], {count: speeds[count] for count in PEER_ENVIRONMENTS}
    )


def _our_turns(task: str, episodes: int, actions: NDArray[np.float32]) -> dict[str | int, Callable[[], float]]:
    """Our three contestants, each a function that runs a turn and returns its steps per second."""
    pool = EnvironmentPool(build=TimedResets)
    goals = [fresh_goal(COLLECTION, 0, task, index) for index in range(episodes)]
    environments = [env for env in pool.take(task, pool.slots) if isinstance(env, MetaWorldEnv)]
    controllers = random_policies(episodes)
    todo = [Episode(row, goal) for row, goal in enumerate(goals)]

    def given_actions(steps: Sequence[Callable[[NDArray[np.float32]], Any]]) -> float:
        seconds = 0.0
        for first in range(0, episodes, pool.slots):
            running = steps[: episodes - first]
            for env, goal in zip(environments, goals[first:], strict=False):
                env.reset(goal)
            started = time.process_time()
            for row in actions[:, first : first + len(running)]:
                for step, action in zip(running, row, strict=True):
                    step(action)
            seconds += time.process_time() - started
        return episodes * HORIZON / seconds

    def with_policies() -> float:
        timed = timed_episodes(task, controllers, todo, pool)
        return timed.steps / timed.seconds

    return {
        "ours": lambda: given_actions([env.advance for env in environments]),
        "rewards": lambda: given_actions([env.step for env in environments]),
        "policy": with_policies,
    }


class _Peer:
    """EnvPool's environments of one task, given actions `[steps, environments, 4]`."""

    def __init__(self, task: str, actions: NDArray[np.float32]) -> None:
        self._actions = np.ascontiguousarray(actions)
        self._steps = int(np.prod(actions.shape[:2]))
        self._pool = load_envpool().make_gymnasium(
            peer_id(task), num_envs=actions.shape[1], num_threads=1, seed=0, partially_observable=False
        )

    def steps_per_second(self) -> float:
        """Of one episode in each environment; the processor time of all threads counts."""
        self._pool.reset()
        started = time.process_time()
        for actions in self._actions:
            self._pool.step(actions)
        seconds = time.process_time() - started
        return self._steps / seconds

    def close(self) -> None:
        """Let its threads and its simulators go."""
        self._pool.close()


def summary(speeds: Mapping[str, EnvPoolSpeed]) -> dict[str, Any]:
    """Geometric means over tasks, the least ratio, and every task's figures."""
    means = [
        geometric_mean([getattr(speed, name) for speed in speeds.values()])
        for name in ("ours", "peer", "rewards", "policy")
    ]
    by_task = {task: speed.figures() for task, speed in speeds.items()}
    return {
        **_figures(*means),
        "least_ratio": min(each["ratio"] for each in by_task.values()),
        "tasks": by_task,
    }


def _figures(ours: float, peer: float, rewards: float, policy: float) -> dict[str, float]:
    return {
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "ratio": round(ours / peer, 4),
        "rewards": round(rewards, 1),
        "rewards_ratio": round(rewards / peer, 4),
        "policy": round(policy, 1),
        "policy_ratio": round(policy / peer, 4),
    }


def peer_id(task: str) -> str:
    """EnvPool's name of a task: `MetaWorld/ButtonPressWall-v3` of `button-press-wall`."""
    return f"MetaWorld/{''.join(word.capitalize() for word in task.split('-'))}-v3"


def load_envpool() -> Any:
    """The library.

    Raises:
        UserError: It is not installed, or cannot be imported.
    """
    try:
        import envpool
    except ImportError as error:
        missing = error.name == "envpool"
        raise UserError(
            "EnvPool is not installed." if missing else f"EnvPool cannot be imported: {error}",
            where="--envpool",
            fix=INSTALL,
        ) from None
    return envpool


def offered_tasks(asked: Sequence[str], offered: Collection[str], version: str) -> tuple[list[str], list[str]]:
    """The tasks to measure, and those of the eighteen that this EnvPool has not.

    Args:
        asked: The tasks; none: all of the eighteen that it has.
        offered: The names of its environments.
        version: Its version.

    Raises:
        UserError: It has not all of the tasks that were asked for, or none at all: older releases have no Meta-World.
    """
    names = list(asked) or list(SEEN_TASKS + UNSEEN_TASKS)
    lacking = [task for task in names if peer_id(task) not in set(offered)]
    if lacking and (asked or len(lacking) == len(names)):
        raise UserError(
            f"EnvPool {version} has no Meta-World task {', '.join(lacking)}.", where="--envpool", fix=INSTALL
        )
    return [task for task in names if task not in lacking], lacking


def versions() -> dict[str, str]:
    """Of both simulators; EnvPool tells its MuJoCo's in no Python attribute, so the library itself is asked."""
    from envpool.mujoco import robotics_envpool

    version_string = getattr(ctypes.CDLL(robotics_envpool.__file__), "mj_versionString", None)
    peers = "unknown"
    if version_string is not None:
        version_string.restype = ctypes.c_char_p
        peers = version_string().decode()
    return {
        "metaworld": metadata.version("metaworld"),
        "mujoco": metadata.version("mujoco"),
        "envpool": metadata.version("envpool"),
        "envpool_mujoco": peers,
    }

"""How fast an evaluation is: steps a second beside bare `env.step`, bare MuJoCo calls and a loop of single policies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyprepro.domains.episodes import Episode, Outcome, run_episodes
from hyprepro.domains.metaworld.domain import Environments, MetaWorld
from hyprepro.domains.metaworld.env import MetaWorldEnv, Start
from hyprepro.domains.metaworld.pool import EnvironmentPool
from hyprepro.domains.metaworld.tasks import (
    COLLECTION,
    HORIZON,
    SEEN_TASKS,
    SLOTS,
    UNSEEN_TASKS,
    Goal,
    check_task,
    fresh_goal,
)
from hyprepro.policies.controllers import PolicyControllers
from hyprepro.policies.layout import METAWORLD_LAYOUT


@dataclass(frozen=True)
class EvaluationSpeed:
    """Environment steps per second of the evaluation and of three others, in turn in one run, on the same episodes.

    Seconds are those of this process on its core, so that other load on the machine counts as little as possible;
    resets are not counted.

    Attributes:
        ours: Of `run_episodes`.
        peer: Of metaworld's `env.step` alone, given the actions.
        bound: Of MuJoCo's `mj_step` and `mj_forward` alone, given the controls.
        loop: Of one policy at a time: a torch forward pass and metaworld's `env.step` in turn, as Make-An-Agent's test
            code runs them.
        resets: Share of the evaluation's whole time that went into resets.
        steps: Environment steps of each measurement.
    """

    ours: float
    peer: float
    bound: float
    loop: float
    resets: float
    steps: int

    @property
    def ratio(self) -> float:
        """Ours over the peer."""
        return self.ours / self.peer

    @property
    def bound_share(self) -> float:
        """Ours over the bound; 1 would be an evaluation without any cost but the simulator's."""
        return self.ours / self.bound

    @property
    def loop_ratio(self) -> float:
        """Ours over the loop."""
        return self.ours / self.loop


class _Replay(NamedTuple):
    """What an episode did: its goal, the actions, and the simulator's inputs at every step."""

    goal: Goal
    actions: list[NDArray[np.float32]]
    inputs: list[tuple[NDArray[np.float64], NDArray[np.float64]]]


class _Recording(MetaWorldEnv):
    """Notes the actions that it is given."""

    def __init__(self, task: str, starts: dict[Goal, Start]) -> None:
        super().__init__(task, starts)
        self.episodes: list[_Replay] = []

    def reset(self, goal: Goal) -> NDArray[np.float64]:
        self.episodes.append(_Replay(goal, [], []))
        return super().reset(goal)

    def advance(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], bool]:
        self.episodes[-1].actions.append(action.copy())
        return super().advance(action)


class TimedResets(MetaWorldEnv):
    """Notes how long its resets take, and nothing else."""

    reset_seconds = 0.0

    def reset(self, goal: Goal) -> NDArray[np.float64]:
        """Start an episode, and note how long that took."""
        started = time.process_time()
        observation = super().reset(goal)
        self.reset_seconds += time.process_time() - started
        return observation


class Timed(NamedTuple):
    """Seconds of episodes without their resets, seconds of those, and steps."""

    seconds: float
    in_resets: float
    steps: int


def timed_episodes(
    task: str, controllers: PolicyControllers, episodes: Sequence[Episode], pool: EnvironmentPool
) -> Timed:
    """Run the episodes, each of which must be distinct, in a pool of `TimedResets`."""
    environments = [env for env in pool.take(task, pool.slots) if isinstance(env, TimedResets)]
    for env in environments:
        env.reset_seconds = 0.0
    started = time.process_time()
    outcomes = _run(task, controllers, episodes, pool)
    whole = time.process_time() - started
    in_resets = sum(env.reset_seconds for env in environments)
    return Timed(whole - in_resets, in_resets, sum(outcome.steps or 0 for outcome in outcomes))


def measure(
    task: str, controllers: PolicyControllers, goals: Sequence[Goal], rounds: int = 3, slots: int = SLOTS
) -> EvaluationSpeed:
    """Run every controller on one goal each, `rounds` times in turn with bare replays of the same steps.

    The medians over the rounds are reported, so that a burst of other load on the machine does not decide.
    """
    episodes = [Episode(row % controllers.n, goal) for row, goal in enumerate(goals)]
    bare = _Bare(task, _recorded(task, controllers, episodes))
    pool = EnvironmentPool(slots=slots, build=TimedResets)
    _run(task, controllers, episodes, pool)  # builds the environments
    seconds: dict[str, list[float]] = {"ours": [], "peer": [], "bound": [], "loop": []}
    resets = []
    for _ in range(rounds):
        ours = timed_episodes(task, controllers, episodes, pool)
        resets.append(ours.in_resets / (ours.seconds + ours.in_resets))
        seconds["ours"].append(ours.seconds)
        seconds["peer"].append(bare.step_seconds())
        seconds["bound"].append(bare.simulator_seconds())
        seconds["loop"].append(_loop_seconds(bare.env, controllers, episodes))
    speeds = {name: bare.steps / float(np.median(values)) for name, values in seconds.items()}
    return EvaluationSpeed(**speeds, resets=float(np.median(resets)), steps=bare.steps)


def _run(
    task: str, controllers: PolicyControllers, episodes: Sequence[Episode], pool: EnvironmentPool
) -> list[Outcome]:
    """Run the episodes in a pool's environments."""
    return run_episodes(
        MetaWorld(), task, controllers, episodes, simulator=lambda slots: Environments(pool.take(task, slots))
    )


def _recorded(task: str, controllers: PolicyControllers, episodes: Sequence[Episode]) -> list[_Replay]:
    """What the episodes do; they are deterministic, so they do it every time."""
    pool = EnvironmentPool(slots=1, build=_Recording)
    _run(task, controllers, episodes, pool)
    (env,) = pool.take(task, 1)
    return env.episodes if isinstance(env, _Recording) else []


class _Bare:
    """Recorded episodes again, without anything around the calls that are timed."""

    def __init__(self, task: str, replays: list[_Replay]) -> None:
        self.env = MetaWorldEnv(task, {}, "metaworld")
        self._metaworlds = self.env._env
        self._replays = replays
        self.steps = sum(len(replay.actions) for replay in replays)
        data = self._metaworlds.data
        for replay in replays:
            self.env.reset(replay.goal)
            for action in replay.actions:
                self._metaworlds.step(action)
                replay.inputs.append((data.mocap_pos.copy(), data.ctrl.copy()))

    def step_seconds(self) -> float:
        """Seconds in metaworld's `env.step`."""
        seconds, step = 0.0, self._metaworlds.step
        for replay in self._replays:
            self.env.reset(replay.goal)
            started = time.process_time()
            for action in replay.actions:
                step(action)
            seconds += time.process_time() - started
        return seconds

    def simulator_seconds(self) -> float:
        """Seconds in the calls of `mj_step` and `mj_forward` that these steps consist of."""
        import mujoco

        model, data, substeps = self._metaworlds.model, self._metaworlds.data, self._metaworlds.frame_skip
        hand, control = data.mocap_pos, data.ctrl
        seconds = 0.0
        for replay in self._replays:
            self.env.reset(replay.goal)
            started = time.process_time()
            for position, grip in replay.inputs:
                hand[:] = position
                control[:] = grip
                mujoco.mj_step(model, data, substeps)
                mujoco.mj_forward(model, data)
            seconds += time.process_time() - started
        return seconds


def _loop_seconds(env: MetaWorldEnv, controllers: PolicyControllers, episodes: Sequence[Episode]) -> float:
    """Seconds of one policy at a time in one environment, until success or the horizon, without resets."""
    import torch

    from hyprepro.policies.forward import StackedPolicies

    seconds = 0.0
    for episode in episodes:
        policy = StackedPolicies(controllers.layout, controllers.params[episode.row : episode.row + 1])
        observation = env.reset(episode.start)
        started = time.process_time()
        with torch.inference_mode():
            for _ in range(HORIZON):
                state = torch.as_tensor(observation, dtype=torch.float32).view(1, 1, -1)
                observation, _, success = env.step(policy.means(state)[0, 0].numpy())
                if success:
                    break
        seconds += time.process_time() - started
    return seconds


def measure_evaluation(tasks: Sequence[str] = (), episodes: int = 4, rounds: int = 5) -> dict[str, Any]:
    """What `hyprepro bench evaluation` prints, for random policies of Meta-World's layout, which fail after 500 steps.

    Over several tasks (all eighteen if none is named) the speeds and ratios are geometric means, with the least of each
    ratio beside them.

    Raises:
        UserError: Unknown task.
    """
    names = [check_task(task) for task in tasks] or list(SEEN_TASKS + UNSEEN_TASKS)
    controllers = random_policies(episodes)
    speeds: dict[str, EvaluationSpeed] = {}
    for task in names:
        goals = [fresh_goal(COLLECTION, 0, task, index) for index in range(episodes)]
        speeds[task] = measure(task, controllers, goals, rounds)
    by_task = {task: _figures(speed) for task, speed in speeds.items()}
    mean = {
        name: geometric_mean([getattr(speed, name) for speed in speeds.values()])
        for name in ("ours", "peer", "bound", "loop", "resets")
    }
    steps = sum(speed.steps for speed in speeds.values())
    return {
        **_figures(EvaluationSpeed(**mean, steps=steps)),
        "least_ratio": min(each["ratio"] for each in by_task.values()),
        "least_bound_share": min(each["bound_share"] for each in by_task.values()),
        "tasks": by_task,
    }


def random_policies(n: int) -> PolicyControllers:
    """The same `n` policies of Meta-World's layout every time."""
    return PolicyControllers(METAWORLD_LAYOUT, np.random.default_rng(0).normal(0.0, 0.08, (n, METAWORLD_LAYOUT.size)))


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers."""
    return float(np.exp(np.mean(np.log(values))))


def _figures(speed: EvaluationSpeed) -> dict[str, float]:
    return {
        "ours": round(speed.ours, 1),
        "peer": round(speed.peer, 1),
        "ratio": round(speed.ratio, 4),
        "bound": round(speed.bound, 1),
        "bound_share": round(speed.bound_share, 4),
        "loop": round(speed.loop, 1),
        "loop_ratio": round(speed.loop_ratio, 4),
    }

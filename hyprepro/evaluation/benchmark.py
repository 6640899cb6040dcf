"""How fast an evaluation is: its steps per second against bare `env.step` calls and a loop over single policies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hyprepro.envs.metaworld import HORIZON, Goal, MetaWorldEnv
from hyprepro.envs.pool import SLOTS, Environment, EnvironmentPool
from hyprepro.evaluation.controllers import PolicyControllers
from hyprepro.evaluation.goals import COLLECTION, fresh_goal
from hyprepro.evaluation.rollouts import Episode, run_episodes
from hyprepro.policies.layout import METAWORLD_LAYOUT


@dataclass(frozen=True)
class EvaluationSpeed:
    """Environment steps per second of the evaluation, of bare `env.step` calls and of a loop, in turn in one run.

    Seconds are those of this process on its core, so that other load on the machine counts as little as possible.

    Attributes:
        ours: Steps per second of `run_episodes`, resets not counted as time.
        peer: Steps per second of `env.step` alone, on the same episodes and actions.
        loop: Steps per second of one policy at a time: a torch forward pass and a step of one environment in turn, as
            Make-An-Agent's test code runs them; resets not counted either.
        resets: Share of the evaluation's whole time that went into resets.
        steps: Environment steps of each measurement.
    """

    ours: float
    peer: float
    loop: float
    resets: float
    steps: int

    @property
    def ratio(self) -> float:
        """Ours over the peer; 1 would be an evaluation without any cost but simulation."""
        return self.ours / self.peer

    @property
    def loop_ratio(self) -> float:
        """Ours over the loop."""
        return self.ours / self.loop


@dataclass
class _Recorded:
    """An environment that notes what it was asked to do and how long its resets took."""

    inner: Environment
    episodes: list[tuple[Goal, list[NDArray[np.float32]]]] = field(default_factory=list)
    reset_seconds: float = 0.0

    def reset(self, goal: Goal) -> NDArray[np.float64]:
        started = time.process_time()
        observation = self.inner.reset(goal)
        self.reset_seconds += time.process_time() - started
        self.episodes.append((goal, []))
        return observation

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool]:
        self.episodes[-1][1].append(action)
        return self.inner.step(action)


def measure(
    task: str, controllers: PolicyControllers, goals: Sequence[Goal], rounds: int = 3, slots: int = SLOTS
) -> EvaluationSpeed:
    """Run every controller on one goal each, `rounds` times in turn with a bare replay of the same steps.

    The medians over the rounds are reported, so that a burst of other load on the machine does not decide.
    """
    pool = EnvironmentPool(slots=slots, build=lambda name, starts: _Recorded(MetaWorldEnv(name, starts)))
    episodes = [Episode(row % controllers.n, goal) for row, goal in enumerate(goals)]
    run_episodes(task, controllers, episodes, pool)  # builds the environments
    ours, peer, loop, resets, steps = [], [], [], [], 0
    for _ in range(rounds):
        recorded = [env for env in pool.take(task, slots) if isinstance(env, _Recorded)]
        for env in recorded:
            env.episodes, env.reset_seconds = [], 0.0
        started = time.process_time()
        run_episodes(task, controllers, episodes, pool)
        seconds = time.process_time() - started
        in_resets = sum(env.reset_seconds for env in recorded)
        steps = sum(len(actions) for env in recorded for _, actions in env.episodes)
        ours.append(steps / (seconds - in_resets))
        resets.append(in_resets / seconds)
        peer.append(steps / _replay_seconds(recorded))
        loop.append(steps / _loop_seconds(recorded[0].inner, controllers, episodes))
    return EvaluationSpeed(
        ours=float(np.median(ours)),
        peer=float(np.median(peer)),
        loop=float(np.median(loop)),
        resets=float(np.median(resets)),
        steps=steps,
    )


def _replay_seconds(recorded: Sequence[_Recorded]) -> float:
    """Seconds in `env.step` for the recorded episodes again, environment by environment."""
    seconds = 0.0
    for env in recorded:
        for goal, actions in env.episodes:
            env.inner.reset(goal)
            started = time.process_time()
            for action in actions:
                env.inner.step(action)
            seconds += time.process_time() - started
    return seconds


def _loop_seconds(env: Environment, controllers: PolicyControllers, episodes: Sequence[Episode]) -> float:
    """Seconds of one policy at a time in one environment, until success or the horizon, without resets."""
    import torch

    from hyprepro.policies.stacked import StackedPolicies

    seconds = 0.0
    for episode in episodes:
        policy = StackedPolicies(controllers.layout, controllers.params[episode.row : episode.row + 1])
        observation = env.reset(episode.goal)
        started = time.process_time()
        with torch.inference_mode():
            for _ in range(HORIZON):
                state = torch.as_tensor(observation, dtype=torch.float32).view(1, 1, -1)
                observation, _, success = env.step(policy.means(state)[0, 0].numpy())
                if success:
                    break
        seconds += time.process_time() - started
    return seconds


def measure_evaluation(task: str = "reach", episodes: int = 16, rounds: int = 5) -> dict[str, float]:
    """What `hyprepro bench evaluation` prints, for random policies of Meta-World's layout, which fail after 500 steps.

    `bound_share` is `ratio`: without a faster simulator, bare `env.step` calls are the bound.
    """
    params = np.random.default_rng(0).normal(0.0, 0.08, (episodes, METAWORLD_LAYOUT.size))
    goals = [fresh_goal(COLLECTION, 0, task, index) for index in range(episodes)]
    speed = measure(task, PolicyControllers(METAWORLD_LAYOUT, params), goals, rounds)
    return {
        "ours": round(speed.ours, 1),
        "peer": round(speed.peer, 1),
        "ratio": round(speed.ratio, 4),
        "bound_share": round(speed.ratio, 4),
        "loop": round(speed.loop, 1),
        "loop_ratio": round(speed.loop_ratio, 4),
    }
